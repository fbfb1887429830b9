"""What becomes of messages that could not be handled: tried again, parked, replayed."""

import asyncio
from dataclasses import dataclass
from typing import Any

import aio_pika

from gestalt.amq import Bus, BusMessage, ParkedMessage, Queue, Retry, connect
from gestalt.amq.embedded import Settings, ThreadedBroker
from gestalt.codecs import Codec, MessageTypes
from tests.support.collector import Collector
from tests.support.waiting import until


@dataclass
class Position:
    lat: float
    lon: float


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
    assert (parked.body, parked.encoded, parked.undecodable) == ("poison", b'"poison"', None)


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
    assert (parked.encoded, parked.routing_key) == (b"1", "a.key")


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


async def park(bus: Bus, unique: str, count: int) -> None:
    def fail(message: BusMessage[Any]) -> None:
        raise ValueError(f"not {message.body}")

    subscription = await bus.subscribe(unique, "#", fail, queue=unique, retry=None)
    for number in range(count):
        headers = {"tenant": number % 2}
        await bus.publisher(unique).publish(
            {"n": number}, f"key.{number}", message_id=f"m{number}", headers=headers
        )
    await until(lambda: subscription.stats.parked == count)
    await subscription.stop()


async def test_what_was_parked_is_known_by_its_id_type_headers_and_body(
    bus: Bus, unique: str
) -> None:
    types = MessageTypes()
    types.add(1, Position)
    codec = Codec("json", types=types)
    await bus.subscribe(unique, "#", {}.__getitem__, queue=unique, retry=None)
    sent = Position(-34.9, 138.6)
    publisher = bus.publisher(unique, codec=codec)
    await publisher.publish(sent, "k", message_id="m", headers={"tenant": 7})
    message = await wait_parked(bus, unique)
    assert (message.message_id, message.type, message.headers["tenant"]) == ("m", "Position", 7)
    assert message.body == {"lat": -34.9, "lon": 138.6}
    (typed,) = await bus.parked(unique, codec=codec).list()
    assert typed.body == sent
    (other,) = await bus.parked(unique, codec=Codec("text")).list()
    assert other.body == other.encoded == message.encoded
    assert "application/json" in str(other.undecodable)


async def test_parked_messages_are_chosen_to_be_listed_replayed_and_deleted(
    bus: Bus, unique: str
) -> None:
    await park(bus, unique, 6)
    parking = bus.parked(unique)

    async def keys() -> list[str]:
        return [each.routing_key for each in await parking.list()]

    def odd(message: ParkedMessage) -> bool:
        return message.headers["tenant"] == 1

    assert [each.body["n"] for each in await parking.list(2, where=odd)] == [1, 3]
    assert await parking.purge(1, where=odd) == 1
    assert await keys() == ["key.0", "key.2", "key.3", "key.4", "key.5"]
    assert await parking.replay(where=odd) == 2
    assert await keys() == ["key.0", "key.2", "key.4"]
    assert await parking.purge() == 3
    assert await keys() == []
    got = Collector()
    await bus.subscribe(unique, "#", got, queue=unique)
    assert await got.wait(2) == [{"n": 3}, {"n": 5}]


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
