"""Handlers share a task while they do not wait, and never notice."""

import asyncio
import time
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import pytest

from gestalt.amq import Bus, DeadlineExceeded, Request

seen: ContextVar[int | None] = ContextVar("seen", default=None)


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
    requester = bus.requester(unique)
    results = await asyncio.gather(
        *(requester.request(number, timeout=1 if number % 10 else 0.3) for number in range(60)),
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
