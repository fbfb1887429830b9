"""What must be as before when a connection was lost and made again."""

import asyncio

import aio_pika
import pytest

from gestalt.amq import (
    Bus,
    BusMessage,
    Connected,
    Disconnected,
    Exchange,
    OutcomeUnknown,
    Queue,
    Rejected,
    Unroutable,
    connect,
)
from gestalt.amq.embedded import ThreadedBroker
from gestalt.amq.wire.codec import method_frame
from gestalt.amq.wire.methods import ConnectionClose
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, Reported, until

# Its class and method, and what is reserved, before the name of the exchange.
EXCHANGE_DECLARE = b"\x00\x28\x00\x0a\x00\x00"


async def cut(proxy: Proxy, bus: Bus) -> None:
    accepted = proxy.accepted
    await proxy.cut()
    await until(lambda: proxy.accepted == accepted + 2)
    await until(lambda: bus.ready)


async def test_private_queues_and_all_bindings_come_back_and_returns_still_arrive(
    broker_url: str, broker_port: int, unique: str
) -> None:
    plain: list[int] = []
    by_headers: list[int] = []
    headers_exchange = Exchange(f"{unique}-headers", type="headers")
    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK) as bus,
    ):
        await bus.subscribe(unique, ["a", "b"], lambda message: plain.append(message.body))
        await bus.subscribe(
            headers_exchange,
            "",
            lambda message: by_headers.append(message.body),
            bind_arguments={"x-match": "all", "colour": "red"},
        )
        publisher = bus.publisher(unique, mandatory=True)
        headers_publisher = bus.publisher(headers_exchange, mandatory=True)
        for number in range(3):
            await publisher.publish(number, "a")
            await publisher.publish(number, "b")
            await headers_publisher.publish(number, headers={"colour": "red"})
            with pytest.raises(Unroutable):
                await publisher.publish(number, "c")
            with pytest.raises(Unroutable):
                await headers_publisher.publish(number, headers={"colour": "blue"})
            await until(lambda n=number: by_headers[-1:] == [n] and plain[-2:] == [n, n])
            await cut(proxy, bus)


async def test_a_running_handler_outlives_the_connection_and_its_message_comes_again(
    broker_url: str, broker_port: int, unique: str
) -> None:
    begun: list[tuple[int, bool]] = []
    ended: list[int] = []
    finish = asyncio.Event()

    async def handle(message: BusMessage[int]) -> None:
        begun.append((message.body, message.redelivered))
        await finish.wait()
        ended.append(message.body)

    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK) as bus,
    ):
        await bus.subscribe(unique, "#", handle, queue=unique)
        await bus.publisher(unique).publish(1)
        await until(lambda: begun)
        await cut(proxy, bus)
        finish.set()
        await until(lambda: len(ended) == 2)
    assert begun == [(1, False), (1, True)]


async def test_a_deleted_queue_is_reported_and_made_again(
    bus: Bus,
    broker_url: str,
    unique: str,
    reported: Reported,
    caplog: pytest.LogCaptureFixture,
) -> None:
    got: list[int] = []
    subscription = await bus.subscribe(
        unique, "#", lambda message: got.append(message.body), queue=unique
    )
    async with await aio_pika.connect(broker_url) as connection:
        await (await connection.channel()).queue_delete(unique)
    await until(lambda: subscription.reported)
    assert "the broker cancelled the consumer: its queue has gone" in caplog.text
    await until(lambda: bus.ready)
    await bus.publisher(unique, mandatory=True).publish(1)
    await until(lambda: got == [1])
    assert reported == []


async def test_why_a_subscription_cannot_consume_is_its_trouble_and_told_once(
    broker_url: str, broker_port: int, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gestalt.amq")
    got: list[int] = []
    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK) as bus,
        await aio_pika.connect(broker_url) as other,
    ):
        channel = await other.channel()
        subscription = await bus.subscribe(
            unique, "#", lambda message: got.append(message.body), queue=unique
        )
        proxy.refuse()
        await proxy.cut()
        await channel.queue_delete(unique)
        await channel.declare_queue(unique, durable=True, arguments={"x-queue-type": "classic"})
        proxy.allow()
        await until(lambda: "PRECONDITION_FAILED" in str(bus.trouble))
        assert subscription.trouble is not None
        assert unique in subscription.trouble
        for _ in range(2):
            # The try before has failed by the time that the next one begins.
            proxy.freeze_at = EXCHANGE_DECLARE + bytes([len(unique)]) + unique.encode()
            await until(lambda: proxy.frozen)
            proxy.thaw()
        await channel.queue_delete(unique)
        await until(lambda: bus.ready)
        await bus.publisher(unique, mandatory=True).publish(1)
        await until(lambda: got == [1])
    lines = [record.getMessage() for record in caplog.records]
    (told,) = (line for line in lines if "cannot consume, and tries again" in line)
    assert "PRECONDITION_FAILED" in told
    assert any(line.endswith("consumes again") for line in lines)


@pytest.mark.parametrize(
    "junk",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x01\x00\x01\xff\xff\xff\xff\x00",
        b"\x01\x00\x01\x00\x00\x00\x02\x00\x3c\xce",
        b"\x03\x00\x01\x00\x00\x00\x01x\x00",
    ],
    ids=["another protocol", "a frame of 4 GiB", "half a method", "a frame without an end"],
)
async def test_what_is_no_amqp_costs_the_connection_and_says_so(
    broker_url: str, broker_port: int, unique: str, junk: bytes
) -> None:
    reasons: list[str] = []

    def note(event: object) -> None:
        if isinstance(event, Disconnected):
            reasons.append(str(event.reason))

    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK, on_event=note) as bus,
    ):
        publisher = bus.publisher(unique)
        await publisher.publish(1)
        proxy.inject(junk)
        await until(lambda: reasons)
        await publisher.publish(2)
    assert "is no AMQP 0-9-1: a frame" in reasons[0]


# aiormq, in its older versions, leaves the stream of such a connection unclosed.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*StreamWriter.__del__")
async def test_what_is_published_while_the_broker_closes_the_connection_has_its_outcome(
    broker_url: str, broker_port: int, unique: str, reported: Reported
) -> None:
    """The client library ends its output some turns of the loop before the connection is lost."""
    lost = asyncio.Event()

    def note(event: object) -> None:
        if isinstance(event, Disconnected):
            lost.set()

    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK, on_event=note) as bus,
    ):
        publisher = bus.publisher(unique, max_unconfirmed=100_000)
        await publisher.publish(0)
        # Nothing is confirmed from here on.
        proxy.freeze()
        proxy.inject(method_frame(0, ConnectionClose(320, "it was closed", 0, 0)))
        publishes = []
        async with asyncio.timeout(10):
            # In every turn, before and after whatever else there is to do.
            while not lost.is_set():
                publishes += [asyncio.create_task(publisher.publish(n)) for n in range(2)]
                await asyncio.sleep(0)
            proxy.thaw()
            results = await asyncio.gather(*publishes, return_exceptions=True)
        assert {type(result) for result in results} <= {type(None), OutcomeUnknown}
        assert OutcomeUnknown in map(type, results)
        assert reported == []


# The embedded broker has no streams.
@pytest.mark.parametrize("broker_url", ["rabbitmq"], indirect=True)
async def test_a_stream_goes_on_where_it_was(
    broker_url: str, broker_port: int, unique: str
) -> None:
    got: list[int] = []
    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK) as bus,
    ):
        await bus.subscribe(
            unique,
            "#",
            lambda message: got.append(message.body),
            queue=Queue(unique, type="stream"),
            consumer_arguments={"x-stream-offset": "first"},
        )
        publisher = bus.publisher(unique)
        for number in range(5):
            await publisher.publish(number)
        await until(lambda: got == [0, 1, 2, 3, 4])
        await cut(proxy, bus)
        await publisher.publish(5)
        await until(lambda: len(got) >= 6)
    assert got == [0, 1, 2, 3, 4, 5]


# aiormq, in its older versions, leaves the stream of a connection unclosed that was cut.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*StreamWriter.__del__")
async def test_a_bus_goes_over_to_another_broker_and_back(unique: str) -> None:
    # What was handled and not acknowledged in time comes again from the first.
    got: set[int] = set()
    connected: list[Connected] = []

    def note(event: object) -> None:
        if isinstance(event, Connected):
            connected.append(event)

    def lose(broker: ThreadedBroker) -> None:
        broker.refuse_connections()
        assert broker.drop_connections() == 2

    with ThreadedBroker(stop_timeout=0) as first, ThreadedBroker(stop_timeout=0) as second:
        brokers = [first.url, second.url]
        async with connect(brokers, backoff=QUICK, on_event=note) as bus:
            await bus.subscribe(unique, "#", lambda m: got.add(m.body), queue=unique)
            publisher = bus.publisher(unique, mandatory=True)
            await publisher.publish(0)
            await until(lambda: got == {0})
            assert second.connection_count() == 0
            lose(first)
            await until(lambda: len(connected) == 4 and bus.ready)
            await publisher.publish(1)
            await until(lambda: got == {0, 1})
            assert second.connection_count() == 2
            first.accept_connections()
            lose(second)
            await until(lambda: len(connected) == 6 and bus.ready)
            await publisher.publish(2)
            await until(lambda: got == {0, 1, 2})
            assert first.connection_count() == 2


async def test_a_stopped_bus_starts_again(broker_url: str, unique: str) -> None:
    bus = connect(broker_url, backoff=QUICK)
    publisher = bus.publisher(unique)
    for _ in range(2):
        async with bus:
            got: list[int] = []
            await bus.subscribe(unique, "#", lambda message, got=got: got.append(message.body))
            await publisher.publish(1)
            await until(lambda got=got: got == [1])


async def test_a_single_active_consumer_is_replaced_by_the_next(bus: Bus, unique: str) -> None:
    queue = Queue(unique, arguments={"x-single-active-consumer": True})
    first: list[int] = []
    second: list[int] = []
    active = await bus.subscribe(unique, "#", lambda m: first.append(m.body), queue=queue)
    await bus.subscribe(unique, "#", lambda m: second.append(m.body), queue=queue)
    publisher = bus.publisher(unique)
    for number in range(4):
        await publisher.publish(number)
    await until(lambda: first == [0, 1, 2, 3])
    assert second == []
    await active.stop()
    await publisher.publish(4)
    await until(lambda: second == [4])


def through(proxy: Proxy, url: str) -> str:
    """The broker's URL, by way of the proxy."""
    credentials = url.partition("://")[2].rpartition("@")[0] or "guest:guest"
    return f"amqp://{credentials}@127.0.0.1:{proxy.port}/"


async def test_a_rejection_costs_the_channel_and_nothing_else(bus: Bus, unique: str) -> None:
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    queue = Queue(unique, type="classic", arguments=full)
    subscription = await bus.subscribe(unique, "full", print, queue=queue)
    await subscription.stop()
    got: list[int] = []
    await bus.subscribe(unique, "free", lambda message: got.append(message.body))
    publisher = bus.publisher(unique)
    await publisher.publish(0, "full")
    first = publisher._keeper._channel
    rejected = 0
    sent = 0
    async with asyncio.timeout(10):
        while publisher._keeper._channel in (first, None):
            with pytest.raises(Rejected):
                await publisher.publish(1, "full")
            rejected += 1
            await publisher.publish(sent, "free")
            sent += 1
    assert rejected
    await until(lambda: got == list(range(sent)))
