"""Handlers of a subscription share a task while they leave nothing there, and never notice."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from gestalt.amq import Bus, BusMessage, Retry, connect
from gestalt.core import Batch, Call, Handlers, Message
from tests.support.waiting import Reported, until

SOON = Retry(attempts=3, delay=0.01, factor=1)

seen: ContextVar[int | None] = ContextVar("seen", default=None)
held: ContextVar[Any] = ContextVar("held", default=None)

KINDS = pytest.mark.parametrize(
    "options",
    [
        {},
        {"concurrency": 3},
        {"key": lambda message: message.body % 3},
        {"batch": Batch(size=3, within=0.01)},
    ],
    ids=["one by one", "at once", "by key", "in batches"],
)


def current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def publish(bus: Bus, exchange: str, count: int) -> None:
    publisher = bus.publisher(exchange)
    await asyncio.gather(*(publisher.publish(number) for number in range(count)))


class Seen:
    """Keeps what handlers found in their context, and sets it, in one of several ways."""

    def __init__(self) -> None:
        self.found: list[int | None] = []

    def plainly(self, _: object) -> None:
        self.found.append(seen.get())
        seen.set(len(self.found))

    async def without_waiting(self, message: object) -> None:
        self.plainly(message)

    async def across_a_wait(self, message: object) -> None:
        self.plainly(message)
        mine = seen.get()
        await asyncio.sleep(0)
        assert seen.get() == mine

    def before_what_is_awaited(self, message: object) -> Awaitable[None]:
        self.plainly(message)
        mine = seen.get()

        async def look() -> None:
            assert seen.get() == mine

        return look()

    async def in_turns(self, message: object) -> None:
        ways: list[Callable[[object], Any]] = [self.plainly, self.without_waiting]
        ways += [self.across_a_wait, self.before_what_is_awaited]
        if (result := ways[len(self.found) % 4](message)) is not None:
            await result


@KINDS
async def test_what_a_handler_sets_in_its_context_no_other_sees(
    amqp_url: str, unique: str, options: dict[str, Any]
) -> None:
    async with connect(amqp_url) as bus:
        for way in ("plainly", "without_waiting", "across_a_wait", "before_what_is_awaited"):
            kept = Seen()
            handler = getattr(kept, way)
            subscription = await bus.subscribe(f"{unique}.{way}", "#", handler, **options)
            await publish(bus, f"{unique}.{way}", 12)
            await until(lambda subscription=subscription: subscription.stats.handled == 12)
            assert set(kept.found) == {None}
        kept = Seen()
        subscription = await bus.subscribe(unique, "#", kept.in_turns, **options)
        await publish(bus, unique, 40)
        await until(lambda: subscription.stats.handled == 40)
        assert set(kept.found) == {None}


@KINDS
async def test_what_a_handler_has_set_that_failed_its_retry_does_not_see(
    amqp_url: str, unique: str, options: dict[str, Any]
) -> None:
    kept = Seen()

    async def fail(message: object) -> None:
        kept.plainly(message)
        if len(kept.found) < 20:
            raise ValueError

    async with connect(amqp_url) as bus:
        options = {"retry": SOON, **options}
        subscription = await bus.subscribe(unique, "#", fail, queue=unique, **options)
        await publish(bus, unique, 9)
        stats = subscription.stats
        await until(lambda: stats.handled + stats.parked == 9)
        assert set(kept.found) == {None}
        assert len(kept.found) > 9


async def test_what_is_around_handlers_and_key_functions_reaches_no_other_message(
    amqp_url: str, unique: str
) -> None:
    before: list[int | None] = []
    within: list[tuple[int | None, int]] = []
    by_key: list[int | None] = []
    handlers = Handlers()

    @handlers.use
    async def note(message: Message[int], call: Call) -> Any:
        before.append(seen.get())
        seen.set(message.body)
        return await call(message)

    @handlers.default
    async def handle(message: Message[int]) -> None:
        within.append((seen.get(), message.body))

    def key(message: BusMessage[int]) -> int:
        by_key.append(held.get())
        held.set(message.body)
        return message.body

    async with connect(amqp_url) as bus:
        await bus.subscribe(unique, "#", handlers, key=key, concurrency=2)
        await publish(bus, unique, 20)
        await until(lambda: len(within) == 20)
    assert before == by_key == [None] * 20
    assert within == [(number, number) for number in range(20)]


@KINDS
async def test_handlers_find_the_context_in_which_their_subscription_began(
    amqp_url: str, unique: str, options: dict[str, Any]
) -> None:
    found: list[Any] = []

    async def handle(message: object) -> None:
        found.append(held.get())
        held.set("changed")
        await asyncio.sleep(0)

    async with connect(amqp_url) as bus:
        held.set("begun")
        subscription = await bus.subscribe(unique, "#", handle, **options)
        held.set("later")
        await publish(bus, unique, 6)
        await until(lambda: subscription.stats.handled == 6)
        for task in asyncio.all_tasks():
            if " worker " in task.get_name():
                task.cancel()
        await publish(bus, unique, 6)
        await until(lambda: subscription.stats.handled == 12)
    assert set(found) == {"begun"}


async def test_handlers_that_leave_nothing_share_one_task(amqp_url: str, unique: str) -> None:
    tasks: list[asyncio.Task[Any]] = []
    token_of: ContextVar[int] = ContextVar("token_of")

    async def handle(message: BusMessage[int]) -> None:
        token = token_of.set(message.body)
        await asyncio.sleep(0)
        tasks.append(current_task())
        token_of.reset(token)

    async with connect(amqp_url) as bus:
        await bus.subscribe(unique, "#", handle)
        await publish(bus, unique, 20)
        await until(lambda: len(tasks) == 20)
    assert len(set(tasks)) == 1


def take_back_a_cancellation(_: object) -> None:
    current_task().cancel()
    current_task().uncancel()


def rename(_: object) -> None:
    current_task().set_name("mine")


async def swallow(_: object) -> None:
    current_task().cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


async def leave_a_generator(_: object) -> None:
    async def numbers() -> Any:
        yield 1
        await asyncio.sleep(0)

    generator = numbers()
    assert await anext(generator) == 1


@KINDS
@pytest.mark.parametrize(
    "leave",
    [take_back_a_cancellation, rename, swallow, leave_a_generator],
    ids=lambda f: f.__name__,
)
async def test_what_a_handler_leaves_in_its_task_harms_no_other(
    amqp_url: str,
    unique: str,
    reported: Reported,
    options: dict[str, Any],
    leave: Callable[[object], Any],
) -> None:
    names: list[str] = []
    count = 0

    async def handle(message: object) -> None:
        nonlocal count
        names.append(current_task().get_name())
        assert not current_task().cancelling()
        await asyncio.sleep(0)
        count += 1
        if count % 3 == 1 and (result := leave(message)) is not None:
            await result

    async with connect(amqp_url, stop_timeout=5) as bus:
        options = {"retry": None, **options}
        subscription = await bus.subscribe(unique, "#", handle, queue=unique, **options)
        await publish(bus, unique, 12)
        await until(lambda: subscription.stats.handled + subscription.stats.parked == 12)
        assert subscription.stats.parked == 0
        assert all(name.startswith(subscription.name) for name in names)
    assert reported == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs asyncio.eager_task_factory")
@KINDS
async def test_a_group_of_eager_tasks_that_fails_leaves_nothing_to_the_next_message(
    amqp_url: str, unique: str, options: dict[str, Any]
) -> None:
    async def fail() -> None:
        raise ValueError

    async def handle(_: object) -> None:
        await asyncio.sleep(0)
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())

    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    async with connect(amqp_url) as bus:
        options = {"retry": None, **options}
        subscription = await bus.subscribe(unique, "#", handle, queue=unique, **options)
        await publish(bus, unique, 12)
        await until(lambda: subscription.stats.handled + subscription.stats.parked == 12)
        assert subscription.stats.parked == 0


@KINDS
async def test_a_handler_that_keeps_its_cancellation_to_itself_does_not_hold_up_a_stop(
    amqp_url: str, unique: str, options: dict[str, Any]
) -> None:
    begun: list[object] = []

    async def handle(message: object) -> None:
        begun.append(message)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with connect(amqp_url) as bus:
        subscription = await bus.subscribe(
            unique, "#", handle, queue=unique, stop_timeout=0.05, **options
        )
        await publish(bus, unique, 9)
        await until(lambda: len(begun) == options.get("concurrency", 1))
        # Nothing that still ran after being cancelled is told of.
        await subscription.stop()
    assert len(begun) == options.get("concurrency", 1)
