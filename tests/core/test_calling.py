"""Calling what an application gave: plain or async, and whose cancellation ended the call."""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest

from gestalt.core.calling import (
    call_plain,
    cancellations,
    is_awaitable,
    is_end,
    is_own_cancellation,
    own_task,
)


class Awaits:
    def __await__(self) -> Iterator[Any]:
        yield from ()


async def nothing() -> None:
    pass


async def test_what_is_to_be_awaited_is_known_by_what_it_can_not_by_its_class() -> None:
    coro = nothing()
    future = asyncio.get_running_loop().create_future()
    for result in (coro, future, Awaits()):
        assert is_awaitable(result)
    for result in (None, 0, "text", nothing, Awaits):
        assert not is_awaitable(result)
    coro.close()
    future.cancel()


def test_an_async_function_in_the_place_of_a_plain_one_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="on_event must be a plain function"):
        call_plain("on_event", nothing)


def test_a_plain_function_is_given_its_arguments_and_raises_what_it_raises() -> None:
    got: list[int] = []
    call_plain("on_event", got.append, 1)
    assert got == [1]
    with pytest.raises(ZeroDivisionError):
        call_plain("on_event", lambda: 1 // 0)


async def test_a_cancellation_that_was_awaited_is_not_that_of_the_task() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await future
    assert not is_own_cancellation(caught.value)


async def test_the_cancellation_of_the_task_is_its_own_and_no_other_error_is() -> None:
    seen: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            seen.append(is_own_cancellation(error))
            seen.append(is_own_cancellation(ValueError()))
            raise

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [True, False]


async def test_a_task_that_goes_on_after_a_cancellation_tells_a_later_one_from_it() -> None:
    seen: list[bool] = []

    async def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        before = cancellations()
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        try:
            await future
        except asyncio.CancelledError as error:
            seen.append(is_own_cancellation(error, since=before))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            seen.append(is_own_cancellation(error, since=before))

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()
    while not seen:
        await asyncio.sleep(0)
    task.cancel()
    await task
    assert seen == [False, True]


def test_without_a_task_nobody_was_cancelled() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        cancellations()


async def test_the_task_that_calls_is_known_and_a_callback_has_none() -> None:
    assert own_task() is asyncio.current_task()
    loop = asyncio.get_running_loop()
    found: asyncio.Future[BaseException] = loop.create_future()

    def call() -> None:
        try:
            own_task()
        except RuntimeError as error:
            found.set_result(error)

    loop.call_soon(call)
    assert "by a task" in str(await found)


@pytest.mark.parametrize("inner", [False, True], ids=["itself", "what it awaits"])
async def test_a_coroutine_that_is_closed_is_told_from_a_call_that_raises_the_like(
    inner: bool,
) -> None:
    seen: list[bool] = []

    async def fail() -> None:
        raise GeneratorExit

    async def handle(work: Awaitable[None]) -> None:
        try:
            await work
        except BaseException as error:
            seen.append(is_end(error))
            raise

    async def wait() -> None:
        await handle(asyncio.get_running_loop().create_future())

    with pytest.raises(GeneratorExit):
        await handle(fail())
    closed = wait() if inner else handle(asyncio.get_running_loop().create_future())
    closed.send(None)
    closed.close()
    assert seen == [False, True]


def test_what_ends_the_event_loop_is_an_end_wherever_it_comes_from() -> None:
    for error in (KeyboardInterrupt(), SystemExit(1)):
        assert is_end(error)
    for other in (ValueError(), asyncio.CancelledError(), BaseExceptionGroup("", [SystemExit()])):
        assert not is_end(other)
