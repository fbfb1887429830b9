"""In what the versions of RabbitMQ differ: on the embedded broker in each, and on RabbitMQ.

Each test is a row of the table in docs/amq/embedded.md.
"""

import re
import time

import pytest

from gestalt.amq.embedded import EmbeddedBroker, Settings, ThreadedBroker
from gestalt.amq.wire import methods as m
from gestalt.amq.wire import read_properties
from tests.support.wire_client import ClosedError, WireClient

NOT_EQUAL = "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '{}' in vhost '/': "
LATE = (
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: {}"
    " ms. This timeout value can be configured, see consumers doc guide to learn more"
)


@pytest.fixture(params=["3.10", "4.0", "4.3", "rabbitmq"])
def url(request):
    if request.param == "rabbitmq":
        yield request.getfixturevalue("rabbitmq_url")
        return
    with ThreadedBroker(stop_timeout=0, compatible=request.param) as broker:
        yield broker.url


@pytest.fixture
def client(url):
    with WireClient(url) as client:
        client.channel(1)
        client.call(1, m.ConfirmSelect())
        yield client


def by_version(client, *, old, middle, new):
    """What is expected of the version that the client is connected to."""
    if client.version >= (4, 3):
        return new
    return middle if client.version >= (4, 0) else old


@pytest.fixture
def quorum(client, unique):
    """Declares a quorum queue, which goes with the test."""

    def declare(**arguments):
        named = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
        named["x-queue-type"] = "quorum"
        return client.call(1, m.QueueDeclare(0, unique, durable=True, arguments=named)).queue

    yield declare
    with WireClient(client.url) as other:
        other.channel(1)
        other.call(1, m.QueueDelete(0, unique))


def declared(client, name="", *, durable=False, **arguments):
    named = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    method = m.QueueDeclare(0, name, durable=durable, exclusive=True, arguments=named)
    return client.call(1, method).queue


def publish(client, queue, *messages, **properties):
    for body, options in (
        (item, properties) if isinstance(item, bytes) else item for item in messages
    ):
        client.publish(1, "", queue, body, **options)
        client.receive(m.BasicAck)


def get(client, queue, *, no_ack=True, within=5.0):
    deadline = time.monotonic() + within
    while True:
        received = client.get(1, queue, no_ack=no_ack)
        if received.content is not None:
            return received
        assert time.monotonic() < deadline, "no message came"


def taken(client, queue, count):
    return [get(client, queue).content.body.decode() for _ in range(count)]


def headers(received):
    return read_properties(received.content.header).headers or {}


def refused(client, method):
    client.send(1, method)
    error = client.closed()
    return error.scope, error.text


# Declarations


def test_an_unknown_type_of_exchange_closes_the_channel_since_4(client):
    scope, text = refused(client, m.ExchangeDeclare(0, "odd", "x-odd-type"))
    text = text.replace("invalid", "unknown")
    expected = by_version(
        client,
        old=("connection", "COMMAND_INVALID - unknown exchange type 'x-odd-type'"),
        middle=("channel", "PRECONDITION_FAILED - unknown exchange type 'x-odd-type'"),
        new=("channel", "PRECONDITION_FAILED - unknown exchange type 'x-odd-type'"),
    )
    assert (scope, text) == expected


def test_a_mode_of_classic_queues_is_ignored_since_4_3(client):
    def outcome():
        try:
            return bool(declared(client, queue_mode="odd"))
        except ClosedError as error:
            return error.text.rpartition(": ")[2]

    refusal = "\"unsupported queue mode 'odd'\""
    assert outcome() == by_version(client, old=refusal, middle=refusal, new=True)


def test_the_first_version_of_classic_queues_is_gone_in_4_3(client):
    def outcome():
        try:
            return bool(declared(client, queue_version=1))
        except ClosedError as error:
            return error.text.rpartition(": ")[2]

    refusal = "\"unsupported queue version '1'\""
    assert outcome() == by_version(client, old=True, middle=True, new=refusal)


def test_the_argument_queue_master_locator_is_not_permitted_in_4_3(client):
    def outcome():
        try:
            return bool(declared(client, queue_master_locator="min-masters"))
        except ClosedError as error:
            return error.scope, error.code, error.text[:61], error.text[-10:]

    refusal = (
        "connection",
        541,
        "INTERNAL_ERROR - Feature `queue_master_locator` is deprecated",
        "\nTo con...",
    )
    assert outcome() == by_version(client, old=True, middle=True, new=refusal)


def test_classic_queues_take_a_leader_locator_since_4(client):
    def outcome():
        try:
            return bool(declared(client, queue_leader_locator="client-local"))
        except ClosedError as error:
            return error.text.rpartition(" of queue type ")[2]

    assert outcome() == by_version(client, old="rabbit_classic_queue", middle=True, new=True)


def test_a_queue_without_a_type_is_classic_in_the_words_of_4(client, quorum):
    name = quorum()
    scope, text = refused(client, m.QueueDeclare(0, name, durable=True))
    old = "received none but current is the value 'quorum' of type 'longstr'"
    new = "received 'classic' but current is 'quorum'"
    difference = by_version(client, old=old, middle=new, new=new)
    assert (scope, text) == ("channel", NOT_EQUAL.format(name) + difference)


def test_transient_queues_that_are_shared_are_taken(client, unique):
    assert client.call(1, m.QueueDeclare(0, unique)) == m.QueueDeclareOk(unique, 0, 0)
    client.call(1, m.QueueDelete(0, unique))


def test_the_largest_message_is_16_mib_since_4(client):
    queue = declared(client)
    client.publish(1, "", queue, bytes(16 * 1024 * 1024 + 1))

    def outcome():
        try:
            client.receive(m.BasicAck)
        except ClosedError as error:
            return error.scope, error.text
        return "taken"

    refusal = (
        "channel",
        "PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216",
    )
    assert outcome() == by_version(client, old="taken", middle=refusal, new=refusal)


def test_a_limit_for_the_channel_is_one_for_each_consumer_in_4_3(client):
    queue = declared(client)
    client.call(1, m.BasicQos(0, 1, True))
    for tag in ("a", "b"):
        client.call(1, m.BasicConsume(0, queue, tag))
    publish(client, queue, b"1", b"2", b"3")
    count = by_version(client, old=1, middle=1, new=2)
    for _ in range(count):
        client.receive(m.BasicDeliver)
    answer = client.call(1, m.QueueDeclare(0, queue, True))
    assert answer.message_count == 3 - count


def test_a_limit_for_the_channel_goes_with_quorum_queues_in_4_3(client, quorum):
    name = quorum()
    client.call(1, m.BasicQos(0, 1, True))

    def outcome():
        try:
            return client.call(1, m.BasicConsume(0, name, "tag")).consumer_tag
        except ClosedError as error:
            return error.scope, error.text

    text = f"NOT_IMPLEMENTED - queue '{name}' in vhost '/' does not support global qos"
    refusal = ("connection", text)
    assert outcome() == by_version(client, old=refusal, middle=refusal, new="tag")


def test_the_mechanism_anonymous_is_offered_since_4(client):
    if "Gestalt" not in client.server_properties["platform"]:
        pytest.skip("the run's node offers what it is told to")
    offered = client.mechanisms.split()
    assert (b"ANONYMOUS" in offered) == by_version(client, old=False, middle=True, new=True)


# Quorum queues: what comes back


RETURNS = {
    "nack": lambda client, tag: client.send(1, m.BasicNack(tag, False, True)),
    "recover": lambda client, _: client.call(1, m.BasicRecover(True)),
    "reject": lambda client, tag: client.send(1, m.BasicReject(tag, True)),
    "close": lambda client, _: (client.call(1, m.ChannelClose(200, "")), client.channel(1)),
}


@pytest.mark.parametrize("how", RETURNS)
def test_what_counts_against_the_delivery_limit(client, quorum, how):
    dead = declared(client)
    name = quorum(delivery_limit=2, dead_letter_exchange="", dead_letter_routing_key=dead)
    publish(client, name, b"message")
    seen = []
    for _ in range(4):
        received = client.get(1, name, no_ack=False)
        for _ in range(100):
            if received.content is not None or client.get(1, dead).content is not None:
                break
            received = client.get(1, name, no_ack=False)
        if received.content is None:
            break
        counts = {key: value for key, value in headers(received).items() if key.endswith("-count")}
        seen.append(counts)
        RETURNS[how](client, received.method.delivery_tag)
    old = [{"x-delivery-count": count} for count in range(3)]
    new = [{}, *({"x-delivery-count": count, "x-acquired-count": count} for count in (1, 2))]
    if how in ("nack", "recover"):
        new = [{}, *({"x-acquired-count": count} for count in (1, 2, 3))]
    assert seen == by_version(client, old=old, middle=[{}, *old[1:]], new=new)


def test_the_delivery_limit_is_20_since_4_where_a_queue_has_none(client, quorum):
    name = quorum()
    publish(client, name, b"message")
    count = 0
    while count < 23:
        received = client.get(1, name, no_ack=False)
        for _ in range(20):
            if received.content is not None:
                break
            received = client.get(1, name, no_ack=False)
        if received.content is None:
            break
        count += 1
        client.send(1, m.BasicReject(received.method.delivery_tag, True))
    assert count == by_version(client, old=23, middle=21, new=21)


def test_a_negative_delivery_limit_is_none_since_4(client, quorum):
    dead = declared(client)
    name = quorum(delivery_limit=-1, dead_letter_exchange="", dead_letter_routing_key=dead)
    publish(client, name, b"message")
    received = get(client, name, no_ack=False)
    client.send(1, m.BasicReject(received.method.delivery_tag, True))
    where = by_version(client, old=dead, middle=name, new=name)
    assert get(client, where).content.body == b"message"


@pytest.mark.parametrize("limit", [None, -1, 5])
def test_what_is_requeued_without_a_limit_goes_to_the_end_before_4_3(client, quorum, limit):
    if limit == -1 and client.version < (4, 0):
        pytest.skip("there, that buries them")
    name = quorum(**({} if limit is None else {"delivery_limit": limit}))
    publish(client, name, b"a", b"b", b"c", b"d")
    tags = [get(client, name, no_ack=False).method.delivery_tag for _ in range(2)]
    client.send(1, m.BasicNack(tags[1], True, True))
    unlimited = by_version(client, old=limit is None, middle=limit == -1, new=False)
    assert "".join(taken(client, name, 4)) == ("cdab" if unlimited else "abcd")


# Quorum queues: priorities


def test_quorum_queues_order_by_priority_strictly_since_4_3(client, quorum):
    name = quorum()
    priorities = [None, 0, 1, 2, 3, 4, 5, 6, 9, 31, 32, 40, 255]
    publish(client, name, *((str(item).encode(), {"priority": item}) for item in priorities))
    expected = by_version(
        client,
        old="None 0 1 2 3 4 5 6 9 31 32 40 255",
        middle="5 6 None 9 31 0 32 40 1 255 2 3 4",
        new="31 32 40 255 9 6 5 None 4 3 2 1 0",
    )
    assert taken(client, name, len(priorities)) == expected.split()


def test_what_comes_back_to_a_quorum_queue_comes_first_whatever_its_priority(client, quorum):
    name = quorum(delivery_limit=5)
    low, high = {"priority": 1}, {"priority": 9}
    publish(client, name, (b"low", low), (b"high 1", high), (b"high 2", high))
    first, second, third = (get(client, name, no_ack=False) for _ in range(3))
    publish(client, name, (b"high 3", high))
    for received in (third, first, second):
        client.send(1, m.BasicNack(received.method.delivery_tag, False, True))
    new = ["low", "high 1", "high 2", "high 3"]
    old = ["high 2", "low", "high 1", "high 3"]
    assert taken(client, name, 4) == by_version(client, old=old, middle=new, new=new)


def test_a_full_priority_queue_drops_what_it_would_deliver_next(client, quorum):
    dead = declared(client)
    name = quorum(max_length=3, dead_letter_exchange="", dead_letter_routing_key=dead)
    publish(client, name, *((b"%d" % item, {"priority": item}) for item in (9, 1, 5, 7, 2, 9)))
    expected = by_version(client, old=["9", "1", "5"], middle=["9", "5", "1"], new=["9", "7", "9"])
    assert taken(client, dead, 3) == expected


# Dead letters


def test_the_deaths_that_a_publisher_tells_of_do_not_count_since_4(client):
    dead = declared(client)
    queue = declared(client, dead_letter_exchange="", dead_letter_routing_key=dead)
    told = {
        "x-death": [{"queue": queue, "reason": "rejected", "count": 5, "exchange": ""}],
        "x-first-death-queue": "elsewhere",
        "CC": ["copy"],
    }
    publish(client, queue, b"message", headers=told)
    assert headers(get(client, queue, no_ack=False)) == told
    client.send(1, m.BasicReject(1, False))
    found = headers(get(client, dead))
    [death] = found["x-death"]
    new = (1, queue, ["copy"], {"reason": "rejected", "queue": queue, "exchange": ""})
    last = {
        name.removeprefix("x-last-death-"): value
        for name, value in found.items()
        if name.startswith("x-last-death-")
    }
    outcome = (death["count"], found["x-first-death-queue"], found.get("CC"), last)
    assert outcome == by_version(client, old=(6, "elsewhere", None, {}), middle=new, new=new)


def test_dead_letters_tell_of_their_last_death_since_4(client):
    second = declared(client)
    first = declared(client, dead_letter_exchange="", dead_letter_routing_key=second, message_ttl=1)
    queue = declared(client, dead_letter_exchange="", dead_letter_routing_key=first)
    publish(client, queue, b"message")
    get(client, queue, no_ack=False)
    client.send(1, m.BasicReject(1, False))
    found = headers(get(client, second))
    assert [death["queue"] for death in found["x-death"]] == [first, queue]
    assert found["x-first-death-queue"] == queue
    expected = by_version(
        client, old=(None, None), middle=(first, "expired"), new=(first, "expired")
    )
    assert (found.get("x-last-death-queue"), found.get("x-last-death-reason")) == expected


# Replies


def test_a_message_to_a_reply_address_is_never_returned_since_4_3(client):
    queue = declared(client)
    client.call(1, m.BasicConsume(0, "amq.rabbitmq.reply-to", "replies", no_ack=True))
    publish(client, queue, b"", reply_to="amq.rabbitmq.reply-to")
    address = read_properties(get(client, queue).content.header).reply_to
    client.call(1, m.BasicCancel("replies"))
    client.publish(1, "", address, mandatory=True)
    client.receive(m.BasicAck)
    returned = any(isinstance(received.method, m.BasicReturn) for received in client.inbox)
    assert returned == by_version(client, old=True, middle=True, new=False)


# Consumers that take too long


def end_of_delivery(client, name):
    client.call(1, m.BasicQos(0, 1))
    client.call(1, m.BasicConsume(0, name, "slow"))
    publish(client, name, b"first", b"second")
    assert client.receive(m.BasicDeliver).content.body == b"first"


def test_a_delivery_that_is_not_acknowledged_in_time(client, quorum):
    name = quorum(consumer_timeout=300)
    end_of_delivery(client, name)
    if client.version < (4, 0):
        with pytest.raises(TimeoutError):
            client.receive(m.BasicCancel, timeout=0.6)
        return
    if client.version < (4, 3):
        if "Gestalt" not in client.server_properties["platform"]:
            pytest.skip("RabbitMQ 4.0 looks once a minute")
        error = client.closed()
        assert (error.scope, error.text) == ("channel", LATE.format(300))
        return
    assert client.receive(m.BasicCancel).method == m.BasicCancel("slow", True)
    with WireClient(client.url) as other:
        other.channel(1)
        received = get(other, name)
        assert (received.content.body, received.method.redelivered) == (b"first", True)
        assert headers(received) == {"x-acquired-count": 1}
    # It gets nothing before it has acknowledged what it held.
    client.send(1, m.BasicAck(1))
    assert client.receive(m.BasicDeliver).content.body == b"second"


def test_a_consumer_has_a_timeout_of_its_own_in_4_3(client, quorum):
    name = quorum()
    arguments = {"x-consumer-timeout": 200}
    client.call(1, m.BasicConsume(0, name, "slow", arguments=arguments))
    publish(client, name, b"first")
    client.receive(m.BasicDeliver)
    if client.version < (4, 3):
        with pytest.raises(TimeoutError):
            client.receive(m.BasicCancel, timeout=0.4)
    else:
        assert client.receive(m.BasicCancel).method == m.BasicCancel("slow", True)
        assert client.call(1, m.BasicCancel("slow")) == m.BasicCancelOk("slow")
        assert get(client, name).content.body == b"first"


def test_what_basic_get_has_brought_is_late_as_well(url, client, quorum):
    name = quorum(consumer_timeout=200)
    publish(client, name, b"first")
    with WireClient(url) as other:
        other.channel(1)
        assert other.get(1, name, no_ack=False).content.body == b"first"
        if client.version < (4, 3) and "Gestalt" not in client.server_properties["platform"]:
            pytest.skip("RabbitMQ looks once a minute")
        if client.version < (4, 0):
            assert other.call(1, m.BasicQos(0, 1)) == m.BasicQosOk()
            return
        error = other.closed()
    timeout = -1 if client.version >= (4, 3) else 200
    assert (error.scope, error.text) == ("channel", LATE.format(timeout))
    assert get(client, name).content.body == b"first"


def test_who_cannot_be_told_of_the_end_of_a_delivery_loses_the_channel(url, client, quorum):
    if client.version < (4, 3):
        pytest.skip("a timeout closes the channel of everybody, or of nobody")
    name = quorum(consumer_timeout=200)
    with WireClient(url, capabilities={}) as other:
        other.channel(1)
        other.call(1, m.BasicConsume(0, name, "slow"))
        publish(client, name, b"first")
        other.receive(m.BasicDeliver)
        error = other.closed()
    assert (error.scope, error.text) == ("channel", LATE.format(-1))
    assert get(client, name).content.body == b"first"


# What clients look at


def test_clients_find_the_product_and_its_version_among_the_server_properties(client):
    properties = client.server_properties
    assert properties["product"] == "RabbitMQ"
    assert properties["version"].startswith(by_version(client, old="3.", middle="4.0", new="4."))
    assert {"platform", "information", "cluster_name", "copyright"} <= set(properties)
    assert properties["capabilities"] == dict.fromkeys(
        (
            "authentication_failure_close",
            "basic.nack",
            "connection.blocked",
            "consumer_cancel_notify",
            "consumer_priorities",
            "direct_reply_to",
            "exchange_exchange_bindings",
            "per_consumer_qos",
            "publisher_confirms",
        ),
        True,
    )


# How a version is chosen


def test_the_default_is_4_3(amqp_url):
    with ThreadedBroker(stop_timeout=0) as broker, WireClient(broker.url) as client:
        assert client.version == (4, 3)


def test_an_unknown_version_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"compatible must be one of 3.10, 4.0, 4.3, got '5.0'"):
        EmbeddedBroker(compatible="5.0")


def test_deprecated_features_can_be_permitted_and_forbidden():
    settings = Settings(permit={"global_qos": True, "transient_nonexcl_queues": False})
    with (
        ThreadedBroker(settings=settings, stop_timeout=0) as broker,
        WireClient(broker.url) as client,
    ):
        client.channel(1)
        queue = client.call(1, m.QueueDeclare(0, "", exclusive=True)).queue
        client.call(1, m.BasicQos(0, 1, True))
        for tag in ("a", "b"):
            client.call(1, m.BasicConsume(0, queue, tag))
        for _ in range(2):
            client.publish(1, "", queue)
        assert client.call(1, m.QueueDeclare(0, queue, True)).message_count == 1
        scope, text = refused(client, m.QueueDeclare(0, "shared"))
    assert scope == "connection"
    assert text.startswith("INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.\n")
    assert len(text) == 255
    assert text.endswith("...")
    with pytest.raises(ValueError, match=re.escape("got 'odd'")):
        EmbeddedBroker(settings=Settings(permit={"odd": True}))
