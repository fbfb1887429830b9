"""Calling what an application gave us: plain or async, and whose cancellation ended it."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import Any, TypeGuard

RAISED = (Exception, asyncio.CancelledError)
"""What a function of the application may raise without being at the end of its task: it may ask a
future that was cancelled for its result, or await one."""

ENDS = (KeyboardInterrupt, SystemExit)
"""What is no failure of the one that raises it: it ends the event loop."""


def is_awaitable(result: object) -> TypeGuard[Awaitable[Any]]:
    """Whether what a function returned is to be awaited; soonest for what most of them return."""
    # isawaitable looks the type up in three ways: 80 ns for None, and 60 for a coroutine.
    if result is None:
        return False
    return type(result) is CoroutineType or inspect.isawaitable(result)


def call_plain(name: str, function: Callable[..., object], *args: object) -> None:
    """Call a function that nobody can await, such as `on_event`, which `name` says.

    Raises:
        TypeError: it returned a coroutine, which is closed.
        Exception: whatever the function raises.
    """
    result = function(*args)
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(f"{name} must be a plain function, it returned a coroutine")


def name_of(function: object) -> str:
    """How a function is called in messages; arguments that it was given in advance stay untold."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


def is_end(error: BaseException) -> bool:
    """Whether `error`, just caught in a coroutine, ends the event loop, or this coroutine.

    One that is closed, since nobody runs it any more, gets a GeneratorExit of its own; what it
    calls may raise one, too, which is a failure as any other.
    """
    if isinstance(error, GeneratorExit):
        traceback = error.__traceback__
        return traceback is not None and traceback.tb_next is None
    return isinstance(error, ENDS)


def own_task() -> asyncio.Task[Any]:
    """The task that calls this.

    Raises:
        RuntimeError: no task does.
    """
    if (task := asyncio.current_task()) is None:
        raise RuntimeError("this is called by a task")
    return task


def cancellations() -> int:
    """How often the current task was asked to end, and goes on."""
    current = asyncio.current_task()
    return current.cancelling() if current is not None else 0


def is_own_cancellation(error: BaseException, *, since: int = 0) -> bool:
    """Whether `error` is the cancellation of the current task, not of what it awaited.

    Args:
        error: what was caught.
        since: what `cancellations` gave before; by default, that of a task that nobody cancelled.
    """
    return isinstance(error, asyncio.CancelledError) and cancellations() > since
