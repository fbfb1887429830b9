"""Asking the application's event loop from another one, with a deadline."""

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Asked(Protocol):
    """What is asked of the application."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that it runs in."""

    def attend(self, coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `coro` in a task that its stop leaves alone."""


class Question(Generic[T]):
    """A call in the application's event loop, which all share who ask while it is under way.

    Args:
        asked: the application.
        call: what is called there.
        name: what its task is called.
        timeout: how long the answer may take, in seconds.
    """

    def __init__(
        self, asked: Asked, call: Callable[[], Awaitable[T]], *, name: str, timeout: float
    ) -> None:
        self._asked = asked
        self._call = call
        self._name = name
        self._timeout = timeout
        self._asking: asyncio.Task[T] | None = None

    async def ask(self) -> T:
        """Ask, and wait for the answer.

        Raises:
            TimeoutError: there is none in time.
            RuntimeError: the event loop is closed.
            Exception: what the call raises.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> T:
        answer: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._asked.loop.call_soon_threadsafe(self._begin, answer)
        async with asyncio.timeout(self._timeout):
            return await asyncio.wrap_future(answer)

    def _begin(self, answer: "concurrent.futures.Future[T]") -> None:
        if answer.set_running_or_notify_cancel():  # pragma: no branch - it comes after its deadline
            self._asked.attend(self._answer(answer), self._name)

    async def _answer(self, answer: "concurrent.futures.Future[T]") -> None:
        try:
            answer.set_result(await self._call())
        except BaseException as error:
            answer.set_exception(error)
            if not isinstance(error, Exception):
                raise  # pragma: no cover - it is cancelled, or leaves by SystemExit
