"""What becomes of messages that could not be handled: tried again, parked, replayed."""

import asyncio
from typing import Any

import aio_pika

from gestalt.amq import Bus, BusMessage, Queue, Retry, connect
from gestalt.amq.embedded import Settings, ThreadedBroker
from gestalt.codecs import Codec
from tests.support.collector import Collector


async def wait_parked(bus: Bus, queue: str) -> Any:
    async with asyncio.timeout(10):
        while not (found := await bus.parked(queue).list()):
            await asyncio.sleep(0.05)
    assert len(found) == 1
    return found[0]


async def test_a_failing_handler_is_tried_exactly_as_often_as_told_then_parked(
    bus: Bus, unique: str
) -> None:
    attempts: list[int] = []
    got = Collector()

    def handle(message: BusMessage[str]) -> None:
        if message.body == "poison":
            attempts.append(message.attempt)
            raise LookupError("no such vehicle")
        got(message)

    await bus.subscribe(
        unique, "#", handle, queue=unique, retry=Retry(attempts=3, delay=0.05, factor=2)
    )
    publisher = bus.publisher(unique)
    await publisher.publish("poison", "a.b")
    for number in range(20):
        await publisher.publish(number, "c")
    assert await got.wait(20) == list(range(20))
    parked = await wait_parked(bus, unique)
    assert attempts == [1, 2, 3]
    assert (parked.error, parked.reason) == ("LookupError", "no such vehicle")
    assert (parked.exchange, parked.routing_key) == (unique, "a.b")
    assert parked.attempts == 3
    assert parked.body == b'"poison"'


async def test_what_cannot_be_decoded_is_parked_at_once(
    bus: Bus, broker_url: str, unique: str
) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got, queue=unique)
    await bus.publisher(unique, codec=Codec("bytes")).publish(b"\xff{", "k")
    await bus.publisher(unique).publish("good")
    assert await got.wait(1) == ["good"]
    parked = await wait_parked(bus, unique)
    assert parked.attempts == 1


async def test_headers_that_cannot_be_read_park_their_message_and_harm_no_other(
    bus: Bus, broker_url: str, unique: str
) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got, queue=unique)
    headers: dict[str, Any] = {}
    for _ in range(40):
        headers = {"deeper": headers}
    async with await aio_pika.connect(broker_url) as connection:
        exchange = await (await connection.channel()).get_exchange(unique)
        message = aio_pika.Message(b"1", headers=headers, content_type="application/json")
        await exchange.publish(message, "a.key")
    await bus.publisher(unique).publish("good")
    assert await got.wait(1) == ["good"]
    parked = await wait_parked(bus, unique)
    assert parked.error == "DecodeError"
    assert "headers cannot be read" in parked.reason
    assert (parked.body, parked.routing_key) == (b"1", "a.key")


async def test_parked_messages_are_replayed_as_new(bus: Bus, unique: str) -> None:
    got = Collector()
    broken = True

    def handle(message: BusMessage[str]) -> None:
        if broken:
            raise ValueError("not yet")
        got(message)

    await bus.subscribe(unique, "#", handle, queue=unique, retry=None)
    await bus.publisher(unique).publish("again", "a.key")
    await wait_parked(bus, unique)
    broken = False
    assert await bus.parked(unique).replay() == 1
    assert await got.wait(1) == ["again"]
    assert (got.messages[0].routing_key, got.messages[0].attempt) == ("a.key", 1)
    assert await bus.parked(unique).list() == []


async def test_a_handler_over_its_time_is_cancelled_and_its_message_parked(
    bus: Bus, unique: str
) -> None:
    async def hang(message: BusMessage[int]) -> None:
        await asyncio.Event().wait()

    await bus.subscribe(unique, "#", hang, queue=unique, timeout=0.05, retry=None)
    await bus.publisher(unique).publish(1)
    assert (await wait_parked(bus, unique)).error == "TimeoutError"


async def test_a_message_of_another_user_is_replayed(unique: str) -> None:
    """The broker itself parks a message as it is, and takes none in the name of another user."""
    settings = Settings(users={"guest": "guest", "other": "other"})
    with ThreadedBroker(settings=settings, stop_timeout=0) as broker:
        async with connect(broker.url) as bus:
            got = Collector()
            await bus.subscribe(unique, "#", got, queue=unique)
            async with await aio_pika.connect(broker.url_for("other")) as connection:
                exchange = (await connection.channel()).default_exchange
                message = aio_pika.Message(b"1", content_type="application/json", user_id="other")
                await exchange.publish(message, Queue(unique).parking_name)
            assert await bus.parked(unique).replay() == 1
            assert await got.wait(1) == [1]
