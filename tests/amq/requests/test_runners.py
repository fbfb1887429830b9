"""Handlers share a task while they do not wait, and never notice."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import pytest

from gestalt.amq import Bus, DeadlineExceeded, RemoteError, Request, connect
from tests.support.waiting import until

seen: ContextVar[int | None] = ContextVar("seen", default=None)
held: ContextVar[Any] = ContextVar("held", default=None)


@pytest.fixture(autouse=True)
def _untraced(untraced: None) -> None:
    """The usual case; test_tracing.py has the other one."""


def current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def test_handlers_that_do_not_wait_share_tasks(bus: Bus, unique: str) -> None:
    tasks: set[int] = set()
    kept: list[asyncio.Task[Any]] = []

    async def handle(request: Request[int]) -> int:
        kept.append(current_task())
        tasks.add(id(kept[-1]))
        return request.body

    await bus.respond(unique, handle, concurrency=200)
    requester = bus.requester(unique)
    assert await requester.request(-1) == -1
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(requester.request(number)) for number in range(200)]
    assert [call.result() for call in calls] == list(range(200))
    assert len(tasks) < 100


async def test_what_a_handler_sets_in_its_context_no_other_sees(bus: Bus, unique: str) -> None:
    async def handle(request: Request[int]) -> int | None:
        before = seen.get()
        seen.set(request.body)
        return before

    def handle_plainly(request: Request[int]) -> int | None:
        before = seen.get()
        seen.set(request.body)
        return before

    await bus.respond(unique, handle)
    await bus.respond(f"{unique}.plain", handle_plainly)
    requester, plain = bus.requester(unique), bus.requester(f"{unique}.plain")
    for _ in range(3):
        replies = await asyncio.gather(*(requester.request(number) for number in range(50)))
        assert replies == [None] * 50
        assert await plain.request(1) is None


def look_and_set(request: Request[int]) -> int | None:
    before = seen.get()
    seen.set(request.body)
    return before


async def look_and_set_later(request: Request[int]) -> int | None:
    return look_and_set(request)


async def look_set_and_wait(request: Request[int]) -> int | None:
    before = look_and_set(request)
    await asyncio.sleep(0)
    assert seen.get() == request.body
    return before


def set_and_look_later(request: Request[int]) -> Awaitable[int | None]:
    look_and_set(request)

    async def look() -> int | None:
        return None if seen.get() == request.body else seen.get()

    return look()


HANDLERS: list[Callable[[Request[int]], Any]] = [
    look_and_set,
    look_and_set_later,
    look_set_and_wait,
    set_and_look_later,
]


@pytest.mark.parametrize("concurrency", [1, 20])
async def test_what_handlers_of_all_kinds_set_no_other_sees(
    bus: Bus, unique: str, concurrency: int
) -> None:
    def handle(request: Request[int]) -> Any:
        return HANDLERS[request.body * request.body % 7 % 4](request)

    for number, handler in enumerate([handle, *HANDLERS]):
        await bus.respond(f"{unique}.{number}", handler, concurrency=concurrency)
        requester = bus.requester(f"{unique}.{number}")
        async with asyncio.timeout(10):
            replies = await asyncio.gather(*(requester.request(each) for each in range(60)))
        assert replies == [None] * 60


async def test_requests_find_the_context_in_which_their_responder_began(
    bus: Bus, unique: str
) -> None:
    async def handle(_: Request[None]) -> Any:
        await asyncio.sleep(0)
        return held.get()

    await bus.respond(f"{unique}.first", handle)
    held.set("begun")
    await bus.respond(f"{unique}.async", handle, concurrency=1)
    await bus.respond(f"{unique}.plain", lambda _: held.get())
    held.set("later")
    for name in ("async", "plain"):
        requester = bus.requester(f"{unique}.{name}")
        replies = await asyncio.gather(*(requester.request(None) for _ in range(10)))
        assert replies == ["begun"] * 10


class NotComparable:
    """As arrays are, where one of them is asked for."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None  # type: ignore[assignment]


async def test_what_is_in_the_context_need_not_be_comparable(bus: Bus, unique: str) -> None:
    async def handle(request: Request[int]) -> int:
        held.set(NotComparable())
        return request.body

    def handle_plainly(request: Request[int]) -> int:
        held.set(NotComparable())
        return request.body

    held.set(NotComparable())
    for handler in (handle, handle_plainly):
        await bus.respond(f"{unique}.{handler.__name__}", handler)
        requester = bus.requester(f"{unique}.{handler.__name__}")
        async with asyncio.timeout(10):
            replies = await asyncio.gather(*(requester.request(number) for number in range(20)))
        assert replies == list(range(20))


class Odd(BaseException):
    """Derived as some test frameworks and libraries derive theirs."""


async def test_whatever_a_handler_raises_is_its_own_failure_alone(bus: Bus, unique: str) -> None:
    def fail_plainly(request: Request[int]) -> int:
        if request.body % 10 == 3:
            raise Odd("so odd")
        if request.body % 10 == 4:
            raise GeneratorExit
        return request.body

    async def fail(request: Request[int]) -> int:
        return fail_plainly(request)

    async def fail_later(request: Request[int]) -> int:
        await asyncio.sleep(0)
        return fail_plainly(request)

    for handler in (fail_plainly, fail, fail_later):
        responder = await bus.respond(f"{unique}.{handler.__name__}", handler)
        requester = bus.requester(f"{unique}.{handler.__name__}")
        replies = await asyncio.gather(
            *(requester.request(number, timeout=10) for number in range(30)), return_exceptions=True
        )
        for number, reply in enumerate(replies):
            if number % 10 in (3, 4):
                assert isinstance(reply, RemoteError)
                assert reply.remote_type.endswith("Odd" if number % 10 == 3 else "GeneratorExit")
            else:
                assert reply == number
        assert responder.stats.failed == 6
        assert responder.consuming


def test_what_ends_the_event_loop_ends_no_other_request_where_that_goes_on(
    broker_url: str, unique: str
) -> None:
    def handle(request: Request[int]) -> int:
        if request.body == 3:
            raise KeyboardInterrupt
        return request.body

    async def begin() -> tuple[Bus, list[asyncio.Task[int]]]:
        bus = connect(broker_url)
        await bus.start()
        await bus.respond(unique, handle)
        requester = bus.requester(unique)
        calls = [requester.request(number, timeout=10) for number in range(20)]
        return bus, [asyncio.create_task(call) for call in calls]

    async def end(bus: Bus, asking: list[asyncio.Task[int]]) -> None:
        asking.pop(3).cancel()
        assert await asyncio.gather(*asking) == [number for number in range(20) if number != 3]
        await bus.stop()

    with asyncio.Runner() as runner:
        bus, asking = runner.run(begin())
        loop = runner.get_loop()
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        loop.run_until_complete(end(bus, asking))


async def test_tasks_are_named_after_the_request_that_waits_in_them(bus: Bus, unique: str) -> None:
    names: dict[int, tuple[str, str]] = {}

    async def handle(request: Request[int]) -> int:
        at_first = current_task().get_name()
        if request.body % 3 == 0:
            await asyncio.sleep(0.02)
            assert str(request.properties.correlation_id) in current_task().get_name()
        names[request.body] = at_first, str(request.properties.correlation_id)
        return request.body

    await bus.respond(unique, handle, concurrency=50)
    requester = bus.requester(unique)
    assert await asyncio.gather(*(requester.request(n) for n in range(30))) == list(range(30))
    ids = [correlation_id for _, correlation_id in names.values()]
    for at_first, correlation_id in names.values():
        assert unique in at_first
        assert not any(each in at_first for each in ids if each != correlation_id)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs asyncio.eager_task_factory")
async def test_a_group_of_eager_tasks_that_fails_leaves_nothing_to_the_next_request(
    bus: Bus, unique: str
) -> None:
    async def fail() -> None:
        raise ValueError

    async def handle(request: Request[int]) -> int:
        if request.body % 2:
            await asyncio.sleep(0)
            return request.body
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        return request.body

    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    await bus.respond(unique, handle)
    requester = bus.requester(unique)
    replies = await asyncio.gather(*(requester.request(number) for number in range(40)))
    assert replies == list(range(40))


async def test_one_that_waits_has_its_task_to_itself(bus: Bus, unique: str) -> None:
    go = asyncio.Event()
    waiting: dict[int, asyncio.Task[Any]] = {}

    async def handle(request: Request[int]) -> int:
        if request.body % 2:
            waiting[request.body] = current_task()
            await go.wait()
            assert current_task() is waiting[request.body]
        return request.body

    await bus.respond(unique, handle)
    requester = bus.requester(unique)
    async with asyncio.TaskGroup() as group, asyncio.timeout(10):
        calls = [group.create_task(requester.request(number)) for number in range(40)]
        await asyncio.gather(*calls[::2])
        await until(lambda: len(waiting) == 20)
        assert not any(call.done() for call in calls[1::2])
        assert len(set(waiting.values())) == 20
        calls[1].cancel()
        while not waiting[1].done():
            await asyncio.sleep(0.005)
        assert not any(task.done() for number, task in waiting.items() if number > 1)
        go.set()
    assert calls[1].cancelled()
    assert [call.result() for call in calls[2:]] == list(range(2, 40))


async def test_one_that_is_late_takes_no_other_with_it(bus: Bus, unique: str) -> None:
    async def handle(request: Request[int]) -> int:
        if request.body % 10 == 0:
            await asyncio.Event().wait()
        return request.body

    responder = await bus.respond(unique, handle)
    requester = bus.requester(unique, timeout=30.0)
    # From then on, requests leave at once.
    assert await requester.request(1) == 1
    results = await asyncio.gather(
        *(requester.request(number, timeout=30 if number % 10 else 0.5) for number in range(60)),
        return_exceptions=True,
    )
    for number, result in enumerate(results):
        if number % 10:
            assert result == number
        else:
            assert isinstance(result, DeadlineExceeded)
    async with asyncio.timeout(5):
        while responder.info.running:
            await asyncio.sleep(0.005)


async def test_one_that_cancels_the_task_it_runs_in_ends_that_alone(bus: Bus, unique: str) -> None:
    async def handle(request: Request[int]) -> int:
        if request.body % 5 == 0:
            current_task().cancel()
        return request.body

    await bus.respond(unique, handle)
    requester = bus.requester(unique)
    async with asyncio.timeout(10):
        replies = await asyncio.gather(*(requester.request(number) for number in range(50)))
    assert replies == list(range(50))


def take_back_a_cancellation() -> None:
    current_task().cancel()
    current_task().uncancel()


def rename() -> None:
    current_task().set_name("mine")


@pytest.mark.parametrize("leave", [take_back_a_cancellation, rename], ids=lambda f: f.__name__)
@pytest.mark.parametrize("concurrency", [1, 50])
async def test_what_a_handler_leaves_in_its_task_harms_no_other(
    amqp_url: str, unique: str, leave: Callable[[], None], concurrency: int
) -> None:
    names: list[str] = []

    async def handle(request: Request[int]) -> int:
        names.append(current_task().get_name())
        assert not current_task().cancelling()
        if request.body % 3:
            await asyncio.sleep(0)
        else:
            leave()
        return request.body

    async with connect(amqp_url) as bus:
        await bus.respond(unique, handle, concurrency=concurrency)
        requester = bus.requester(unique)
        async with asyncio.timeout(10):
            replies = await asyncio.gather(*(requester.request(number) for number in range(50)))
        assert replies == list(range(50))
    assert "mine" not in names


async def test_what_a_plain_function_sets_before_what_is_awaited_no_other_sees(
    amqp_url: str, unique: str
) -> None:
    found: list[int | None] = []

    def handle(request: Request[int]) -> Awaitable[int | None]:
        found.append(seen.get())
        return set_and_look_later(request)

    async with connect(amqp_url) as bus:
        await bus.respond(unique, handle)
        requester = bus.requester(unique)
        replies = await asyncio.gather(*(requester.request(number) for number in range(50)))
        assert replies == found == [None] * 50


async def test_handlers_that_take_long_give_way_to_the_event_loop(bus: Bus, unique: str) -> None:
    handled: list[int] = []
    seen_between: set[int] = set()

    async def handle(request: Request[int]) -> int:
        time.sleep(0.002)  # noqa: ASYNC251 - it is to keep the event loop
        handled.append(request.body)
        return request.body

    async def watch() -> None:
        while True:
            seen_between.add(len(handled))
            await asyncio.sleep(0)

    await bus.respond(unique, handle)
    requester = bus.requester(unique)
    async with asyncio.timeout(10):
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(requester.request(number) for number in range(60)))
        watching.cancel()
    # Of 2 ms each, at most four begin within 5 ms; a read may come in the same turn of the loop.
    steps = [after - before for before, after in pairwise(sorted(seen_between | {60}))]
    assert max(steps) <= 8, steps
