"""Policies, on the embedded broker and, where a node can be told of them, on RabbitMQ alike."""

import json
import time

import pytest

from gestalt.amq.embedded import (
    EmbeddedBroker,
    Policy,
    Settings,
    ThreadedBroker,
    command,
    read_policies,
)
from gestalt.amq.embedded.command import main
from gestalt.amq.embedded.model.arguments import read_options
from gestalt.amq.embedded.model.policies import effective, merged
from gestalt.amq.embedded.model.versions import semantics_of
from gestalt.amq.wire import methods as m
from tests.support.wire_client import ClosedError, WireClient


def wait_until(condition, timeout=10.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"


class Operator:
    """Sets policies on either broker; for names that begin with a prefix of the test's own."""

    def __init__(self, request, prefix):
        self.prefix = prefix
        self.names = []
        if request.param == "embedded":
            broker = request.getfixturevalue("amqp_broker")
            self.url = broker.url
            self._set, self._clear = broker.set_policy, broker.clear_policy
        else:
            node = request.getfixturevalue("rabbitmq_node")
            self.url = node.url
            kinds = {False: "policy", True: "operator_policy"}
            self._clear = lambda name, *, operator: node.control(f"clear_{kinds[operator]}", name)
            self._set = lambda name, pattern, definition, *, operator, **options: node.control(
                f"set_{kinds[operator]}", name, pattern, json.dumps(definition),
                *(f"--{key.replace('_', '-')}={value}" for key, value in options.items()),
            )  # fmt: skip

    def set(self, definition, *, name="", operator=False, **options):
        name = self.prefix + name
        self._set(name, f"^{self.prefix}", definition, operator=operator, **options)
        self.names.append((name, operator))
        return name

    def clear(self, name, *, operator=False):
        self._clear(name, operator=operator)
        self.names.remove((name, operator))


# Each call of rabbitmqctl takes a second.
@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.slow)])
def operator(request, unique):
    operator = Operator(request, unique)
    yield operator
    for name, of_operator in list(operator.names):
        operator.clear(name, operator=of_operator)


@pytest.fixture
def client(operator):
    with WireClient(operator.url) as client:
        client.channel(1)
        client.call(1, m.ConfirmSelect())
        # How many of its messages were confirmed.
        client.seen = 0
        yield client


def declared(client, operator, name="", **arguments):
    named = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    method = m.QueueDeclare(0, operator.prefix + name, exclusive=True, arguments=named)
    return client.call(1, method).queue


def left_of(client, queue, count=4):
    for _ in range(count):
        client.publish(1, "", queue)
    outcomes = []
    while len(outcomes) < count:
        answer = client.receive((m.BasicAck, m.BasicNack)).method
        outcomes += [type(answer).__name__[5:]] * (
            answer.delivery_tag - len(outcomes) - client.seen
        )
    client.seen += count
    return client.call(1, m.QueueDeclare(0, queue, True)).message_count, outcomes


def ready(client, queue):
    return client.call(1, m.QueueDeclare(0, queue, True)).message_count


@pytest.mark.parametrize(("argument", "expected"), [(None, 2), (1, 1), (3, 2)])
def test_of_two_numbers_the_lower_one_holds(client, operator, argument, expected):
    operator.set({"max-length": 2})
    arguments = {} if argument is None else {"max_length": argument}
    assert left_of(client, declared(client, operator, **arguments))[0] == expected


def test_of_two_words_that_of_the_declaration_holds(client, operator):
    operator.set({"max-length": 2, "overflow": "reject-publish"})
    assert left_of(client, declared(client, operator, "a")) == (2, ["Ack", "Ack", "Nack", "Nack"])
    queue = declared(client, operator, "b", overflow="drop-head")
    assert left_of(client, queue) == (2, ["Ack"] * 4)


def test_the_policy_of_the_highest_priority_holds_alone(client, operator):
    operator.set({"max-length": 2, "overflow": "reject-publish"})
    above = operator.set({"max-length": 1}, name="above", priority=5)
    queue = declared(client, operator)
    assert left_of(client, queue) == (1, ["Ack"] * 4)
    operator.clear(above)
    assert left_of(client, queue) == (2, ["Ack", "Nack", "Nack", "Nack"])


def test_a_policy_holds_at_once_for_what_is_there_and_no_more_when_it_is_cleared(client, operator):
    queue = declared(client, operator)
    assert left_of(client, queue)[0] == 4
    name = operator.set({"max-length": 2})
    wait_until(lambda: ready(client, queue) == 2)
    operator.clear(name)
    assert left_of(client, queue)[0] == 6


def test_a_policy_with_a_key_that_a_type_does_not_know_is_not_for_it(client, operator):
    operator.set({"max-length": 2, "delivery-limit": 5})
    assert left_of(client, declared(client, operator))[0] == 4


def test_a_policy_for_exchanges_is_not_for_queues(client, operator):
    operator.set({"alternate-exchange": "amq.fanout"}, apply_to="exchanges")
    queue = declared(client, operator)
    client.call(1, m.QueueBind(0, queue, "amq.fanout"))
    client.call(1, m.ExchangeDeclare(0, operator.prefix, "direct", auto_delete=True))
    client.publish(1, operator.prefix, "nowhere")
    client.receive(m.BasicAck)
    assert ready(client, queue) == 1


@pytest.mark.parametrize(("policy", "expected"), [(None, 2), (1, 1), (3, 2)])
def test_an_operator_policy_holds_beside_a_policy(client, operator, policy, expected):
    operator.set({"max-length": 2}, operator=True)
    if policy is not None:
        operator.set({"max-length": policy, "overflow": "reject-publish"})
    queue = declared(client, operator)
    left, outcomes = left_of(client, queue)
    assert left == expected
    # What the operator says nothing of is as the policy says.
    assert outcomes.count("Nack") == (0 if policy is None else 4 - expected)
    operator.clear(operator.prefix, operator=True)
    if policy is None:
        assert left_of(client, queue)[0] == expected + 4


def test_messages_expire_and_die_by_a_policy(client, operator):
    dead = client.call(1, m.QueueDeclare(0, "", exclusive=True)).queue
    definition = {"message-ttl": 1, "dead-letter-exchange": "", "dead-letter-routing-key": dead}
    operator.set(definition)
    client.publish(1, "", declared(client, operator))
    wait_until(lambda: ready(client, dead) == 1)


def test_an_unused_queue_expires_by_a_policy(client, operator):
    queue = operator.prefix
    client.call(1, m.QueueDeclare(0, queue, durable=True))
    operator.set({"expires": 50})

    def gone():
        try:
            client.channel(2)
            client.call(2, m.QueueBind(0, queue, "amq.fanout"))
            client.call(2, m.ChannelClose(200, ""))
        except ClosedError:
            return True
        return False

    wait_until(gone)


def test_a_quorum_queue_gives_up_by_a_policy(client, operator):
    dead = client.call(1, m.QueueDeclare(0, "", exclusive=True)).queue
    queue, quorum = operator.prefix, {"x-queue-type": "quorum"}
    client.call(1, m.QueueDeclare(0, queue, durable=True, arguments=quorum))
    operator.set({"delivery-limit": 0, "dead-letter-exchange": "", "dead-letter-routing-key": dead})
    client.publish(1, "", queue)
    client.receive(m.BasicAck)
    tag = client.get(1, queue, no_ack=False).method.delivery_tag
    client.send(1, m.BasicReject(tag, True))
    wait_until(lambda: ready(client, dead) == 1)
    client.call(1, m.QueueDelete(0, queue))


# Of the embedded broker alone


def held(version="4.3", **definition):
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": definition.pop("declared", None)}
    semantics = semantics_of(version)
    declared = read_options({k: v for k, v in arguments.items() if v is not None}, "it", semantics)
    named = {key.replace("_", "-"): value for key, value in definition.items()}
    return effective(declared, named, semantics)


@pytest.mark.parametrize(
    ("version", "declared", "policy", "limit"),
    [
        ("3.10", None, None, None),
        ("4.0", None, None, 20),
        ("4.3", None, None, 20),
        ("4.3", 5, None, 5),
        ("4.3", None, 3, 3),
        ("4.3", 5, 3, 3),
        ("4.3", -1, None, None),
        ("4.3", -1, 3, 3),
        ("3.10", 5, 3, 3),
        ("3.10", -1, None, -1),
    ],
)
def test_the_delivery_limit_of_a_declaration_a_policy_and_a_version(
    version, declared, policy, limit
):
    definition = {} if policy is None else {"delivery_limit": policy}
    assert held(version, declared=declared, **definition).delivery_limit == limit


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"definition": {}}, "the policy 'p' defines nothing"),
        ({"definition": {"odd": 1}}, "a policy cannot define 'odd', as 'p' does"),
        ({"definition": {"max-length": -1}}, "max-length cannot be -1, as the policy 'p' says"),
        ({"definition": {"max-length": "1"}}, "max-length cannot be '1', as the policy 'p' says"),
        ({"definition": {"overflow": "odd"}}, "overflow cannot be 'odd', as the policy 'p' says"),
        ({"pattern": "("}, r"the pattern '\(' of the policy 'p' is no regular expression"),
        ({"apply_to": "odd"}, "a policy applies to one of all, queues, classic_queues,"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(fields, text):
    options = {"name": "p", "pattern": "q", "definition": {"max-length": 1}, **fields}
    with pytest.raises(ValueError, match=text):
        Policy(**options)


@pytest.mark.parametrize(
    ("version", "policy", "operator", "expected"),
    [
        ("4.3", {"max-length": 5}, {"max-length": 3}, {"max-length": 3}),
        ("4.3", {"max-length": 2, "expires": 7}, {"max-length": 3},
         {"max-length": 2, "expires": 7}),
        ("4.3", {"overflow": "drop-head"}, {"overflow": "reject-publish"},
         {"overflow": "reject-publish"}),
        ("4.3", {"delivery-limit": -1}, {"delivery-limit": 3}, {"delivery-limit": 3}),
        ("4.3", {"delivery-limit": 3}, {"delivery-limit": -1}, {"delivery-limit": 3}),
        ("3.10", {"delivery-limit": 3}, {"delivery-limit": -1}, {"delivery-limit": -1}),
    ],
)  # fmt: skip
def test_what_a_policy_and_an_operator_policy_say_together(version, policy, operator, expected):
    """As `rabbit_policies:merge_policy_value` of the version answers."""
    both = [
        Policy(name="p", pattern="", definition=definition, operator=is_operator)
        for definition, is_operator in ((policy, False), (operator, True))
    ]
    assert merged(*both, semantics_of(version)) == expected


def test_an_operator_policy_cannot_say_everything():
    with pytest.raises(ValueError, match="an operator policy cannot define 'dead-letter-exchange'"):
        Policy(name="p", pattern="", definition={"dead-letter-exchange": "x"}, operator=True)
    with (
        ThreadedBroker(stop_timeout=0, compatible="3.10") as broker,
        pytest.raises(ValueError, match="an operator policy cannot define 'overflow'"),
    ):
        broker.set_policy("p", "", {"overflow": "drop-head"}, operator=True)


FILE = {
    "rabbit_version": "4.3.6",
    "queues": [],
    "policies": [
        {
            "vhost": "/",
            "name": "short",
            "pattern": "^short",
            "apply-to": "queues",
            "definition": {"max-length": 1},
            "priority": 3,
        }
    ],
    "parameters": [
        {"component": "federation-upstream", "vhost": "/", "name": "other", "value": {}},
        {
            "component": "operator_policy",
            "vhost": "/",
            "name": "most",
            "value": {"pattern": "", "definition": {"max-length": 9}, "apply-to": "queues"},
        },
    ],
}


def test_policies_come_from_a_file_of_definitions(tmp_path):
    path = tmp_path / "definitions.json"
    path.write_text(json.dumps(FILE))
    policies = read_policies(path)
    assert [(item.name, item.priority, item.apply_to) for item in policies] == [
        ("short", 3, "queues"),
        ("most", 0, "queues"),
    ]
    with ThreadedBroker(settings=Settings(policies=policies), stop_timeout=0) as broker:
        assert broker.policies() == policies[:1]
        assert broker.policies(operator=True) == policies[1:]
        with WireClient(broker.url) as client:
            client.channel(1)
            client.call(1, m.QueueDeclare(0, "short.one", exclusive=True))
            client.call(1, m.QueueDeclare(0, "long", exclusive=True))
            assert [info.policy for info in broker.queues()] == [None, "short"]
            assert [info.operator_policy for info in broker.queues()] == ["most", "most"]
        assert broker.clear_policy("short")
        assert not broker.clear_policy("short")
        assert broker.policies() == []


async def test_a_policy_for_a_virtual_host_that_is_not_there_is_refused():
    policy = Policy(name="p", pattern="", definition={"max-length": 1}, virtual_host="no")
    with pytest.raises(ValueError, match="for the virtual host 'no'; there are /"):
        await EmbeddedBroker(settings=Settings(policies=[policy])).start()
    with (
        ThreadedBroker(stop_timeout=0) as broker,
        pytest.raises(ValueError, match="for the virtual host 'no'; there are /"),
    ):
        broker.set_policy("p", "", {"max-length": 1}, virtual_host="no")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "is no JSON"),
        ("3", "has no list of policies"),
        ('{"policies": [{"name": "p"}]}', "is not whole: it has no 'pattern'"),
        (
            '[{"name": "p", "pattern": "", "definition": {"odd": 1}}]',
            "a policy cannot define 'odd'",
        ),
        (
            '[{"name": "p", "pattern": "", "definition": {"expires": 1}, "vhost": "no"}]',
            "there are policies for virtual hosts that are not: no; add them by --vhost",
        ),
    ],
)
def test_the_command_refuses_a_file_that_is_not_good(tmp_path, caplog, content, text):
    path = tmp_path / "policies.json"
    path.write_text(content)
    assert main(["--port", "0", "--policies", str(path)]) == 1
    assert text in caplog.text
    assert "Traceback" not in caplog.text


def test_the_command_sets_the_policies_of_a_file(tmp_path, monkeypatch):
    path = tmp_path / "definitions.json"
    path.write_text(json.dumps(FILE))
    brokers = []

    async def serve(broker, *_, **__):
        brokers.append(broker)

    monkeypatch.setattr(command, "_serve", serve)
    assert main(["--policies", str(path), "--policies", str(path), "--compatible", "4.0"]) == 0
    assert [policy.name for policy in brokers[0].settings.policies] == [
        "short", "most", "short", "most",
    ]  # fmt: skip
