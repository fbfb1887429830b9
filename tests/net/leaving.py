"""Handlers that leave something behind, in the context or in the task that they run in."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

seen: ContextVar[Any] = ContextVar("seen", default=None)

KINDS = pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 1},
        {"concurrency": 3},
        {"concurrency": 2, "key": lambda message: message.body},
        {"in_batches": True},
    ],
    ids=["one by one", "at once", "by key", "in batches"],
)

WAYS = ("plainly", "without_waiting", "across_a_wait", "before_what_is_awaited")


class Seen:
    """Keeps what handlers found in their context, and sets it, in one of several ways."""

    def __init__(self) -> None:
        self.found: list[tuple[object, object]] = []

    def plainly(self, message: Any) -> None:
        source = str(message.sources[0] if hasattr(message, "sources") else message.source)
        self.found.append((source, seen.get()))
        seen.set(source)

    async def without_waiting(self, message: Any) -> None:
        self.plainly(message)

    async def across_a_wait(self, message: Any) -> None:
        self.plainly(message)
        mine = seen.get()
        await asyncio.sleep(0)
        assert seen.get() == mine

    def before_what_is_awaited(self, message: Any) -> Awaitable[None]:
        self.plainly(message)
        mine = seen.get()

        async def look() -> None:
            assert seen.get() == mine

        return look()


def current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def take_back_a_cancellation() -> None:
    current_task().cancel()
    current_task().uncancel()


async def swallow_a_cancellation() -> None:
    current_task().cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


LEAVING = (take_back_a_cancellation, swallow_a_cancellation)


class Leaving:
    """Each third handler leaves something in its task; each looks for it, and counts messages."""

    def __init__(self, leave: Any) -> None:
        self.handled = 0
        self._calls = 0
        self._leave = leave

    async def __call__(self, message: Any) -> None:
        assert not current_task().cancelling()
        await asyncio.sleep(0)
        self._calls += 1
        self.handled += len(message) if hasattr(message, "bodies") else 1
        if self._calls % 3 == 1:
            await self._leave()


class Staying:
    """Handlers that do not end when they are cancelled, but return."""

    def __init__(self) -> None:
        self.begun = 0

    async def __call__(self, _: object) -> None:
        self.begun += 1
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


class Odd(BaseException):
    """Derived as some test frameworks and libraries derive theirs."""


class Failing:
    """Raises what is no Exception for each of BODIES but "good", at once, later or as a group."""

    BODIES = (b"plain", b"good", b"async", b"group", b"exit", b"async exit", b"plain", b"good")

    def __init__(self) -> None:
        self.good = 0

    def __call__(self, message: Any) -> Awaitable[None] | None:
        bodies = message.bodies if hasattr(message, "bodies") else [message.body]
        if b"plain" in bodies:
            raise Odd
        if b"exit" in bodies:
            raise GeneratorExit
        return self._later(bodies)

    async def _later(self, bodies: list[bytes]) -> None:
        if b"async" in bodies:
            raise Odd
        await asyncio.sleep(0)
        if b"async exit" in bodies:
            raise GeneratorExit
        if b"group" in bodies:
            raise BaseExceptionGroup("of a library", [Odd(), ValueError()])
        self.good += len(bodies)


def taken_by(handler: Callable[[Any], Any], options: dict[str, Any]) -> dict[str, Any]:
    """The options of an endpoint whose handler takes messages, or batches of them."""
    if "in_batches" in options:
        return {"on_messages": handler}
    return {**options, "on_message": handler}
