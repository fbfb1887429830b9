"""A handler has its time, each its own; what ends it is told apart from all other ends."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gestalt.amq import Bus, BusMessage, connect
from gestalt.core import Batch
from tests.support.waiting import until

TIMEOUT = 0.05

KINDS = pytest.mark.parametrize(
    "options",
    [
        {},
        {"concurrency": 3},
        {"concurrency": 3, "key": lambda message: message.body},
        {"batch": Batch(size=1)},
    ],
    ids=["one by one", "at once", "by key", "in batches"],
)


def bodies(message: Any) -> list[Any]:
    return list(getattr(message, "bodies", ())) or [message.body]


async def errors(bus: Bus, queue: str, count: int) -> list[str]:
    async with asyncio.timeout(10):
        while len(found := await bus.parked(queue).list()) < count:
            await asyncio.sleep(0.01)
    return [each.error for each in found]


async def publish(bus: Bus, exchange: str, count: int) -> None:
    publisher = bus.publisher(exchange)
    for number in range(count):
        await publisher.publish(number)


@KINDS
async def test_each_handler_has_the_whole_of_its_time(
    amqp_url: str, unique: str, options: dict[str, Any]
) -> None:
    took: list[float] = []
    now = asyncio.get_running_loop().time

    def handle(message: object) -> Coroutine[Any, Any, None] | None:
        # A plain one: what it returns has its time from when it is awaited.
        return hang(now()) if bodies(message)[0] % 2 else None

    async def hang(begun: float) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            took.append(now() - begun)

    async with connect(amqp_url) as bus:
        subscription = await bus.subscribe(
            unique, "#", handle, queue=unique, timeout=TIMEOUT, retry=None, **options
        )
        await publish(bus, unique, 2)
        # So that one is still within its time when that of another one is over.
        await asyncio.sleep(TIMEOUT / 2)
        await publish(bus, unique, 4)
        assert await errors(bus, unique, 3) == ["TimeoutError"] * 3
        await until(lambda: subscription.stats.handled == 3)
    assert min(took) >= TIMEOUT
    assert len(took) == 3


@KINDS
async def test_a_handler_that_goes_on_beyond_its_time_has_handled_its_message(
    amqp_url: str, unique: str, options: dict[str, Any]
) -> None:
    expired: list[Any] = []

    async def handle(message: object) -> None:
        for body in bodies(message):
            if body % 2:
                # It waits: what was left of the cancellation would be met here.
                await asyncio.sleep(0)
                return
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                expired.append(body)
            await asyncio.sleep(0)

    async with connect(amqp_url) as bus:
        subscription = await bus.subscribe(
            unique, "#", handle, queue=unique, timeout=TIMEOUT, retry=None, **options
        )
        await publish(bus, unique, 4)
        await until(lambda: subscription.stats.handled == 4)
        assert sorted(expired) == [0, 2]
        assert subscription.stats.parked == 0
        assert subscription.reported == 0


async def cancels_what_it_awaits() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def raises_when_it_is_cancelled() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise KeyError("cleanup") from None


async def is_cancelled_by_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def has_a_shorter_time_of_its_own() -> None:
    async with asyncio.timeout(0):
        await asyncio.Event().wait()


@KINDS
async def test_what_else_ends_a_handler_keeps_its_name(
    amqp_url: str, unique: str, options: dict[str, Any]
) -> None:
    ways: dict[Callable[[], Coroutine[Any, Any, None]], str] = {
        cancels_what_it_awaits: "CancelledError",
        raises_when_it_is_cancelled: "KeyError",
        is_cancelled_by_itself: "CancelledError",
        has_a_shorter_time_of_its_own: "TimeoutError",
    }
    works = list(ways)

    async def handle(message: object) -> None:
        await works[bodies(message)[0]]()

    async with connect(amqp_url) as bus:
        await bus.subscribe(
            unique, "#", handle, queue=unique, timeout=TIMEOUT, retry=None, **options
        )
        await publish(bus, unique, len(works))
        assert sorted(await errors(bus, unique, len(works))) == sorted(ways.values())


class Cleaning:
    """A handler that is cancelled twice before it ends."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any] | None] = []
        self.cleaning = asyncio.Event()

    async def __call__(self, _: object) -> None:
        self.tasks.append(asyncio.current_task())
        try:
            await asyncio.Event().wait()
        finally:
            self.cleaning.set()
            await asyncio.Event().wait()

    async def wait(self, first: str) -> asyncio.Task[Any]:
        """Wait until the other reason may come first, or the deadline has."""
        await (self.cleaning.wait() if first == "deadline" else until(lambda: self.tasks))
        assert self.tasks[0] is not None
        return self.tasks[0]


FIRST = pytest.mark.parametrize("first", ["deadline", "other"])


@KINDS
@FIRST
async def test_a_stop_wins_over_the_deadline_and_the_message_goes_back(
    amqp_url: str, unique: str, options: dict[str, Any], first: str
) -> None:
    handle = Cleaning()
    async with connect(amqp_url) as bus:
        subscription = await bus.subscribe(
            unique, "#", handle, queue=unique, timeout=TIMEOUT, retry=None, **options
        )
        await publish(bus, unique, 1)
        await handle.wait(first)
        await subscription.stop(timeout=0)
        assert subscription.stats.parked == 0
        assert subscription.stats.handled == 0
        again: list[BusMessage[int]] = []
        await bus.subscribe(unique, "#", again.append, queue=unique)
        await until(lambda: again)
        assert again[0].redelivered


@KINDS
@FIRST
async def test_whoever_else_cancels_a_handler_wins_over_the_deadline(
    amqp_url: str, unique: str, options: dict[str, Any], first: str
) -> None:
    handle = Cleaning()
    async with connect(amqp_url) as bus:
        await bus.subscribe(
            unique, "#", handle, queue=unique, timeout=TIMEOUT, retry=None, **options
        )
        await publish(bus, unique, 1)
        (await handle.wait(first)).cancel()
        assert await errors(bus, unique, 1) == ["CancelledError"]


@pytest.mark.parametrize("timeout", [None, 60.0])
async def test_a_handler_within_its_time_is_let_alone(
    amqp_url: str, unique: str, timeout: float | None
) -> None:
    async def handle(_: object) -> None:
        await asyncio.sleep(0.001)

    async with connect(amqp_url) as bus:
        subscription = await bus.subscribe(unique, "#", handle, queue=unique, timeout=timeout)
        await publish(bus, unique, 3)
        await until(lambda: subscription.stats.handled == 3)


def test_handlers_have_their_time_in_every_event_loop(amqp_url: str, unique: str) -> None:
    bus = connect(amqp_url)

    @bus.subscriber(unique, "#", queue=unique, timeout=TIMEOUT, retry=None)
    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    async def run(count: int) -> None:
        async with bus:
            await publish(bus, unique, 1)
            assert await errors(bus, unique, count) == ["TimeoutError"] * count

    asyncio.run(run(1))
    asyncio.run(run(2))
