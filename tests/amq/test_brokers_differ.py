"""In what versions of RabbitMQ differ, a test for each row of docs/amq/brokers.md.

What is not the same everywhere is nothing that the client relies on.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from gestalt.amq import BusMessage, Queue, Retry, connect
from gestalt.amq.wire import methods as m
from gestalt.amq.wire import read_properties
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import QUICK, until
from tests.support.wire_client import ClosedError, Received, WireClient

Version = tuple[int, ...]


@pytest.fixture
def version(rabbitmq_version: Version) -> Version:
    return rabbitmq_version[:2]


@pytest.fixture
def client(rabbitmq_url: str) -> Iterator[WireClient]:
    with WireClient(rabbitmq_url) as client:
        client.channel(1)
        client.call(1, m.ConfirmSelect())
        yield client


def declare(client: WireClient, name: str, **arguments: Any) -> str:
    named = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    client.call(1, m.QueueDeclare(0, name, durable=True, arguments=named))
    return name


def publish(client: WireClient, queue: str, **properties: Any) -> None:
    client.publish(1, "", queue, **properties)
    client.receive(m.BasicAck)


def get(client: WireClient, queue: str, *, channel: int = 1, no_ack: bool = False) -> Any:
    """The next message of a queue, None when there is none for a while."""
    until = time.monotonic() + 1
    while time.monotonic() < until:
        got = client.get(channel, queue, no_ack=no_ack)
        if isinstance(got.method, m.BasicGetOk):
            return got
    return None


def headers(received: Received) -> dict[str, Any]:
    assert received.content is not None
    return dict(read_properties(received.content.header).headers or {})


def attempt(client: WireClient, method: m.Method) -> tuple[str, int] | None:
    """Of what the broker refuses, what ends, and the code; None where it does as it is told."""
    try:
        client.call(1, method)
    except ClosedError as error:
        return error.scope, error.code
    return None


# Dead letters


def test_deaths_that_a_client_tells_of_count_with_3_only(
    client: WireClient, unique: str, version: Version
) -> None:
    dead = declare(client, f"{unique}.dead")
    queue = declare(
        client, unique, message_ttl=1, dead_letter_exchange="", dead_letter_routing_key=dead
    )
    told = {"queue": queue, "reason": "expired", "count": 5, "exchange": "", "routing-keys": []}
    publish(client, queue, headers={"x-death": [told]})
    buried = headers(get(client, dead))
    assert [death["count"] for death in buried["x-death"]] == [6 if version < (4, 0) else 1]
    assert ("x-last-death-reason" in buried) == (version >= (4, 0))


# Deliveries that count


@pytest.mark.parametrize("how", ["nack", "reject", "close"])
def test_of_what_comes_back_a_nack_does_not_count_with_4_3(
    client: WireClient, unique: str, version: Version, how: str
) -> None:
    queue = declare(client, unique, queue_type="quorum", delivery_limit=2)
    publish(client, queue)
    deliveries = 0
    while deliveries < 6:
        client.channel(2)
        if (got := get(client, queue, channel=2)) is None:
            break
        deliveries += 1
        if how == "nack":
            client.send(2, m.BasicNack(got.method.delivery_tag, False, True))
        elif how == "reject":
            client.send(2, m.BasicReject(got.method.delivery_tag, True))
        client.call(2, m.ChannelClose(200, "", 0, 0))
    assert deliveries == (6 if how == "nack" and version >= (4, 3) else 3)


def test_a_quorum_queue_gives_up_by_itself_with_4(
    client: WireClient, unique: str, version: Version
) -> None:
    queue = declare(client, unique, queue_type="quorum")
    publish(client, queue)
    deliveries = 0
    while deliveries < 23:
        client.channel(2)
        if get(client, queue, channel=2) is None:
            break
        deliveries += 1
        client.call(2, m.ChannelClose(200, "", 0, 0))
    assert deliveries == (23 if version < (4, 0) else 21)


async def test_a_message_that_fails_is_tried_so_often_and_parked_whatever_the_broker_counts(
    rabbitmq_url: str, unique: str
) -> None:
    async with connect(rabbitmq_url, backoff=QUICK) as bus:
        attempts: list[int] = []

        def fail(message: BusMessage[int]) -> None:
            attempts.append(message.body)
            raise ValueError("always")

        retry = Retry(attempts=25, delay=0.01, factor=1)
        queue = Queue(unique, delivery_limit=2)
        await bus.subscribe(unique, "#", fail, queue=queue, retry=retry)
        await bus.publisher(unique).publish(1)
        parked: list[Any] = []
        while not parked:
            await until(lambda: len(attempts) >= 25, 20)
            parked = await bus.parked(unique).list()
        assert len(attempts) == 25
        assert [message.attempts for message in parked] == [25]


# A message that is kept too long


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_message_that_is_kept_too_long_costs_the_channel_and_with_4_3_the_consumer(
    rabbitmq_node: RabbitMQNode, client: WireClient, unique: str, version: Version, kind: str
) -> None:
    set_patience = (
        "begin application:set_env(rabbit, consumer_timeout, {}), "
        "application:set_env(rabbit, channel_tick_interval, {}) end"
    )
    rabbitmq_node.evaluate(set_patience.format(500, 200))
    try:
        client.channel(3)  # has the present patience
        declare(client, unique, queue_type=kind)
        client.call(3, m.BasicConsume(0, unique, "tag"))
        publish(client, unique)
        client.receive(m.BasicDeliver)
        if version < (4, 3):
            with pytest.raises(ClosedError, match="acknowledgement on channel 3 timed out"):
                client.receive(m.BasicCancel, 5)
        elif kind == "quorum":
            assert client.receive(m.BasicCancel, 5).channel == 3
            client.call(3, m.BasicQos(0, 1))
        else:
            with pytest.raises(TimeoutError):
                client.receive(m.BasicCancel, 1.5)
    finally:
        rabbitmq_node.evaluate(set_patience.format(1_800_000, 60_000))


# What is refused


def test_an_unknown_type_of_exchange_costs_the_connection_or_the_channel(
    client: WireClient, unique: str, version: Version
) -> None:
    refused = attempt(client, m.ExchangeDeclare(0, unique, "odd", arguments={}))
    assert refused == (("connection", 503) if version < (4, 0) else ("channel", 406))


@pytest.mark.parametrize(
    ("argument", "value", "refused_before", "refused_now"),
    [
        ("x-queue-mode", "lazy", False, False),
        ("x-queue-mode", "odd", True, False),
        ("x-queue-version", 1, False, True),
        ("x-queue-version", 2, False, False),
    ],
)
def test_modes_of_classic_queues_are_gone_with_4_3(
    client: WireClient,
    unique: str,
    version: Version,
    argument: str,
    value: object,
    refused_before: bool,
    refused_now: bool,
) -> None:
    method = m.QueueDeclare(0, unique, durable=True, arguments={argument: value})
    refused = attempt(client, method)
    expected = refused_before if version < (4, 3) else refused_now
    assert refused == (("channel", 406) if expected else None)


def test_an_address_for_replies_that_is_none_costs_the_connection_with_4_3(
    client: WireClient, version: Version
) -> None:
    nobody = m.QueueDeclare(0, "amq.rabbitmq.reply-to.nobody", passive=True)
    refused = attempt(client, nobody)
    assert refused == (("channel", 404) if version < (4, 3) else ("connection", 541))


def test_frames_have_8192_bytes_at_least_with_4_3(rabbitmq_url: str, version: Version) -> None:
    tune = m.ConnectionTuneOk(100, 4096, 0)
    if version < (4, 3):
        WireClient(rabbitmq_url, tune=tune).socket.close()
    else:
        with pytest.raises(ConnectionError):
            WireClient(rabbitmq_url, tune=tune)
    WireClient(rabbitmq_url, tune=m.ConnectionTuneOk(100, 8192, 0)).socket.close()


# What is fading


def test_a_limit_for_all_consumers_of_a_channel_is_none_with_4_3(
    client: WireClient, unique: str, version: Version
) -> None:
    client.call(1, m.BasicQos(0, 1, True))
    queue = declare(client, unique)
    for tag in "ab":
        client.call(1, m.BasicConsume(0, queue, tag))
    for _ in range(2):
        client.publish(1, "", queue)
    client.receive(m.BasicDeliver)
    if version < (4, 3):
        with pytest.raises(TimeoutError):
            client.receive(m.BasicDeliver, 0.3)
    else:
        client.receive(m.BasicDeliver)


def test_transient_queues_that_are_shared_are_deprecated(
    rabbitmq_node: RabbitMQNode, client: WireClient, unique: str, version: Version
) -> None:
    """They are taken by all of them unless the operator denies what is deprecated."""
    assert attempt(client, m.QueueDeclare(0, unique, arguments={})) is None
    client.call(1, m.QueueDelete(0, unique))
    if version >= (4, 0):
        permitted = rabbitmq_node.evaluate(
            "rabbit_deprecated_features:get_phase(transient_nonexcl_queues)"
        )
        assert permitted == "permitted_by_default"


async def test_the_client_declares_no_queue_that_is_deprecated(
    rabbitmq_node: RabbitMQNode, unique: str
) -> None:
    async with connect(rabbitmq_node.url, backoff=QUICK) as bus:
        await bus.subscribe(unique, "#", print)
        await bus.subscribe(unique, "#", print, queue=unique)
        await bus.respond(unique, print)
        shared = "[Name || Q <- rabbit_amqqueue:list(), not amqqueue:is_durable(Q), "
        shared += "amqqueue:get_exclusive_owner(Q) =:= none, "
        shared += "Name <- [element(4, amqqueue:get_name(Q))]]"
        assert unique not in rabbitmq_node.evaluate(shared)


# Limits


def test_a_message_has_16_mib_at_most_with_4(rabbitmq_node: RabbitMQNode, version: Version) -> None:
    limit = "application:get_env(rabbit, max_message_size, none)"
    expected = 128 if version < (4, 0) else 16
    assert int(rabbitmq_node.evaluate(limit)) == expected * 1024 * 1024


def test_patience_and_credit_are_the_same(rabbitmq_node: RabbitMQNode) -> None:
    def setting(name: str) -> str:
        return rabbitmq_node.evaluate(f"application:get_env(rabbit, {name}, none)")

    assert setting("consumer_timeout") == "1800000"
    assert setting("credit_flow_default_credit") == "{400, 200}"


# How far it lags


def test_what_goes_with_its_consumer_is_routed_to_for_a_while_with_4_3(
    client: WireClient, unique: str, version: Version
) -> None:
    """A mandatory message is lost there: neither delivered nor returned, nor even confirmed."""
    lost = 0
    for number in range(10):
        client.channel(2)
        queue = m.QueueDeclare(0, f"{unique}.{number}", exclusive=True, auto_delete=True)
        client.call(2, queue)
        client.call(2, m.BasicConsume(0, queue.queue, "tag"))
        client.call(2, m.ChannelClose(200, "", 0, 0))
        client.publish(1, "", queue.queue, mandatory=True)
        # A round trip: what is returned comes before its end.
        client.call(1, m.BasicQos(0, 1))
        lost += not any(isinstance(each.method, m.BasicReturn) for each in client.inbox)
        client.inbox.clear()
    assert lost == 0 if version < (4, 3) else lost > 0


@pytest.mark.parametrize("what", ["declare", "bind", "unbind", "delete"])
def test_what_is_answered_otherwise_is_so(client: WireClient, unique: str, what: str) -> None:
    client.call(1, m.ExchangeDeclare(0, unique, "topic", arguments={}))
    for number in range(10):
        queue = f"{unique}.{number}"
        client.call(1, m.QueueDeclare(0, queue, exclusive=True))
        if what != "declare":
            client.call(1, m.QueueBind(0, queue, unique, "key"))
        if what == "unbind":
            client.call(1, m.QueueUnbind(0, queue, unique, "key"))
        elif what == "delete":
            client.call(1, m.QueueDelete(0, queue))
        exchange, key = ("", queue) if what == "declare" else (unique, "key")
        client.publish(1, exchange, key, mandatory=True)
        client.receive(m.BasicAck)
        returned = any(isinstance(each.method, m.BasicReturn) for each in client.inbox)
        assert returned == (what in ("unbind", "delete"))
        client.inbox.clear()
        if what != "delete":
            client.call(1, m.QueueDelete(0, queue))
    client.call(1, m.ExchangeDelete(0, unique))
