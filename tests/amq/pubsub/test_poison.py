"""What a message may hold, or do, without harm to any other."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import aio_pika
import pytest

from gestalt.amq import Bus, BusMessage, ParkedMessage, Queue, Retry, connect
from gestalt.core import Handlers
from tests.support.collector import Collector
from tests.support.waiting import Reported, until
from tests.support.wire_headers import ODD_HEADERS, nested, publish_raw

SOON = Retry(attempts=3, delay=0.02, factor=1)


class SilentError(Exception):
    """Says nothing, and breaks whoever asks."""

    def __str__(self) -> str:
        raise ZeroDivisionError


class End(BaseException):
    """None of the errors that handlers are expected to raise."""


async def parked(bus: Bus, queue: str, count: int = 1) -> list[ParkedMessage]:
    async with asyncio.timeout(15):
        while len(found := await bus.parked(queue).list()) < count:
            await asyncio.sleep(0.05)
    return found


async def test_a_message_without_a_handler_or_sense_is_parked_and_the_application_goes_on(
    bus: Bus, broker_url: str, unique: str, reported: Reported
) -> None:
    got = Collector()
    handlers = Handlers()
    handlers.on(str)(got)
    subscription = await bus.subscribe(unique, "#", handlers, queue=unique)
    await bus.publisher(unique).publish(1)
    await publish_raw(broker_url, unique, b'{"not": json', {})
    await bus.publisher(unique).publish("good")
    assert await got.wait(1) == ["good"]
    assert {each.error for each in await parked(bus, unique, 2)} == {
        "HandlerNotFound",
        "DecodeError",
    }
    assert (subscription.reported, subscription.stats.parked) == (2, 2)
    assert reported == []


async def test_in_a_private_queue_they_are_dropped_reported_and_counted(
    bus: Bus, unique: str, reported: Reported, caplog: pytest.LogCaptureFixture
) -> None:
    got = Collector()
    handlers = Handlers()
    handlers.on(str)(got)
    subscription = await bus.subscribe(unique, "#", handlers)
    publisher = bus.publisher(unique)
    await publisher.publish(1, "a.key", message_id="the culprit")
    await publisher.publish("good")
    assert await got.wait(1) == ["good"]
    assert (subscription.stats.dropped, subscription.reported) == (1, 1)
    line = caplog.messages[-1]
    for told in ("bus 'gestalt'", unique, "'the culprit'", "'a.key'", "attempt 1", "dropped"):
        assert told in line
    assert reported == []


async def test_a_private_queue_has_its_failures_tried_again(bus: Bus, unique: str) -> None:
    attempts: list[int] = []

    def fail(message: BusMessage[int]) -> None:
        attempts.append(message.attempt)
        raise ValueError

    subscription = await bus.subscribe(unique, "#", fail, retry=SOON)
    await bus.publisher(unique).publish(1)
    await until(lambda: subscription.stats.dropped)
    assert attempts == [1, 2, 3]


async def test_a_private_queue_goes_with_its_subscription_and_takes_its_retry_queues_along(
    bus: Bus, broker_url: str, unique: str
) -> None:
    def fail(message: BusMessage[int]) -> None:
        raise ValueError

    subscription = await bus.subscribe(unique, "#", fail, retry=Retry(delay=60))
    await bus.publisher(unique).publish(1)
    await until(lambda: subscription.stats.retried)
    name = subscription.queue_name
    assert name is not None
    await subscription.stop()
    async with await aio_pika.connect(broker_url) as connection:
        for each in (name, f"{name.removeprefix('amq.')}.retry.60000"):
            channel = await connection.channel()
            with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
                await channel.declare_queue(each, passive=True)


@pytest.mark.parametrize("headers", ODD_HEADERS.values(), ids=ODD_HEADERS)
async def test_odd_headers_are_parked_with_their_message_listed_and_replayed(
    bus: Bus, broker_url: str, unique: str, headers: dict[str, Any]
) -> None:
    got = Collector()
    subscription = await bus.subscribe(unique, "#", got, queue=unique, retry=SOON)
    await publish_raw(broker_url, unique, b"{]", headers, timestamp=2**64 - 1)
    await bus.publisher(unique).publish("good")
    assert await got.wait(1) == ["good"]
    (message,) = await parked(bus, unique)
    assert (message.error, message.body) == ("DecodeError", b"{]")
    assert headers.keys() <= message.headers.keys() | {"n", "x-death"}
    await subscription.stop()
    assert await bus.parked(unique).replay() == 1
    assert await bus.parked(unique).list() == []
    # What cannot be decoded comes again, and is parked again, with all that it held.
    await bus.subscribe(unique, "#", got, queue=unique, retry=SOON)
    (again,) = await parked(bus, unique)
    assert again.headers.keys() == message.headers.keys()
    assert bus.ready


async def test_headers_that_nest_deeper_than_anybody_reads_are_replayed_as_they_came(
    rabbitmq_url: str, unique: str
) -> None:
    async with connect(rabbitmq_url) as bus:
        subscription = await bus.subscribe(unique, "#", print, queue=unique)
        await publish_raw(rabbitmq_url, unique, b"1", {"n": nested(2000), "known": 5})
        (message,) = await parked(bus, unique)
        assert "headers cannot be read" in message.reason
        assert message.headers["known"] == 5
        # Sent back, it is parked again, and is not sent back for ever.
        assert await bus.parked(unique).replay() == 1
        await until(lambda: subscription.stats.parked == 2)
        (again,) = await parked(bus, unique)
        assert again.headers["known"] == 5


@pytest.mark.parametrize(
    "headers",
    [each for key, each in ODD_HEADERS.items() if not key.startswith(("attempts", "tables"))],
    ids=[key for key in ODD_HEADERS if not key.startswith(("attempts", "tables"))],
)
async def test_odd_headers_do_not_keep_a_message_from_being_tried_again(
    bus: Bus, broker_url: str, unique: str, headers: dict[str, Any]
) -> None:
    attempts: list[int] = []

    def fail(message: BusMessage[Any]) -> None:
        assert isinstance(message.exchange, str)
        assert isinstance(message.routing_key, str)
        attempts.append(message.attempt)
        raise ValueError

    await bus.subscribe(unique, "#", fail, queue=unique, retry=SOON)
    await publish_raw(broker_url, unique, b"{}", headers)
    (message,) = await parked(bus, unique)
    assert attempts == [1, 2, 3]
    assert (message.exchange, message.routing_key, message.attempts) == ("", unique, 3)


@pytest.mark.parametrize(
    ("error", "name", "reason"),
    [
        (lambda: ValueError("bad \ud800 name"), "ValueError", r"bad \ud800 name"),
        (SilentError, "SilentError", "(its text cannot be had: ZeroDivisionError)"),
        (lambda: OSError("x" * 10_000_000), "OSError", "x" * 2000),
        (lambda: ExceptionGroup("two", [SilentError(), KeyError()]), "ExceptionGroup", "two (2 "),
        (End, "End", ""),
        (GeneratorExit, "GeneratorExit", ""),
        (lambda: BaseExceptionGroup("one", [End()]), "BaseExceptionGroup", "one (1 "),
        (lambda: type("\u20ac" * 500, (Exception,), {})(), "\u20ac" * 255, ""),
    ],
    ids=["lone surrogate", "silent", "10 MB", "group", "base", "exit", "base group", "long name"],
)
async def test_whatever_a_handler_raises_is_tried_again_and_parked(
    bus: Bus,
    unique: str,
    error: Callable[[], BaseException],
    name: str,
    reason: str,
    reported: Reported,
    caplog: pytest.LogCaptureFixture,
) -> None:
    attempts: list[int] = []
    got = Collector()

    def handle(message: BusMessage[str]) -> None:
        if message.body == "good":
            return got(message)
        attempts.append(message.attempt)
        raise error()

    await bus.subscribe(unique, "#", handle, queue=unique, retry=SOON)
    publisher = bus.publisher(unique)
    await publisher.publish("poison")
    await publisher.publish("good")
    assert await got.wait(1) == ["good"]
    (message,) = await parked(bus, unique)
    assert attempts == [1, 2, 3]
    assert message.error == name
    assert message.reason.startswith(reason)
    assert len(message.reason) <= 2000
    assert reported == []
    assert len(caplog.text) < 100_000


async def test_a_copy_is_not_sent_on_by_the_routing_headers_of_the_original(
    bus: Bus, broker_url: str, unique: str
) -> None:
    attempts: list[int] = []

    def fail(message: BusMessage[Any]) -> None:
        attempts.append(message.attempt)
        raise ValueError

    subscription = await bus.subscribe(unique, "#", fail, queue=unique, retry=SOON)
    other = f"{unique}-other"
    got = Collector()
    await bus.subscribe(other, "#", got, queue=other)
    await publish_raw(broker_url, unique, b"1", {"CC": [other], "BCC": [other]})
    (message,) = await parked(bus, unique)
    assert attempts == [1, 2, 3]
    assert message.headers["x-gestalt-cc"] == [other]
    await subscription.stop()
    assert await bus.parked(unique).replay() == 1
    # What follows arrives after any copy of it would have.
    await bus.publisher(other).publish("last")
    await until(lambda: got.bodies[-1:] == ["last"])
    assert got.bodies == [1, "last"]


@pytest.mark.parametrize("size", [131_072 - 100, 131_072 - 4096, 60_000])
async def test_of_headers_that_do_not_fit_a_frame_the_largest_are_left_out(
    bus: Bus, broker_url: str, unique: str, size: int
) -> None:
    attempts: list[int] = []
    got = Collector()

    def handle(message: BusMessage[str]) -> None:
        if message.body == "good":
            return got(message)
        attempts.append(message.attempt)
        raise ValueError("x" * 3000)

    await bus.subscribe(unique, "#", handle, queue=unique, retry=SOON)
    headers = {"large": "x" * (size - 200), "small": "kept"}
    await publish_raw(broker_url, unique, b'"poison"', headers)
    await bus.publisher(unique).publish("good")
    assert await got.wait(1) == ["good"]
    (message,) = await parked(bus, unique)
    assert attempts == [1, 2, 3]
    assert message.headers["small"] == "kept"
    if size > 100_000:
        assert "large" not in message.headers
        assert message.headers["x-gestalt-left-out"] == "large"
    else:
        assert message.headers["large"] == headers["large"]
    assert bus.ready


async def test_under_a_flood_of_poison_the_log_says_how_much_it_left_out(
    bus: Bus, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(message: BusMessage[int]) -> None:
        raise ValueError

    subscription = await bus.subscribe(unique, "#", fail, queue=Queue(unique), retry=None)
    async with bus.publisher(unique).batch() as batch:
        for number in range(500):
            await batch.publish(number)
    await until(lambda: subscription.stats.parked == 500)
    await subscription.stop()
    lines = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert len(lines) < 100
    assert subscription.reported == 500
    assert "left out" in caplog.text
