"""Asynchronous handlers of a datagram endpoint: in tasks that last, over a bounded backlog."""

import asyncio
from collections.abc import Awaitable
from inspect import isawaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from gestalt.core import Handler
from gestalt.core.calling import RAISED, is_own_cancellation
from gestalt.net.pace import Pace, TimeSlice

from .backlog import Backlog, Received
from .message import DatagramMessage

if TYPE_CHECKING:
    from .endpoint import DatagramEndpoint


class DatagramWorker:
    """Runs asynchronous handlers, `concurrency` of them at a time.

    The tasks are made when they are needed, and kept until the endpoint stops.
    """

    __slots__ = (
        "_backlog",
        "_concurrency",
        "_endpoint",
        "_first",
        "_handler",
        "_tasks",
        "_time_slice",
    )

    def __init__(
        self,
        endpoint: "DatagramEndpoint",
        backlog: Backlog,
        handler: Handler,
        concurrency: int,
        pace: Pace,
    ) -> None:
        self._endpoint = endpoint
        self._backlog = backlog
        self._handler = handler
        self._concurrency = concurrency
        self._time_slice = TimeSlice(pace)
        # What the handler returned that made this worker, until a task awaits it.
        self._first: tuple[Awaitable[Any], DatagramMessage[Any]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, result: Awaitable[Any], message: DatagramMessage[Any]) -> None:
        """Await what the handler returned for `message`, then handle what comes."""
        self._first = result, message
        self._spawn()

    def put(self, received: Received) -> None:
        """Take another datagram."""
        if len(self._tasks) < self._concurrency and not self._backlog.awaited:
            self._spawn()
        if not self._backlog.put(received):
            self._endpoint.stats.overflowed += 1

    async def finish(self) -> None:
        """Wait until everything in the backlog, which is closed, is handled."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _spawn(self) -> None:
        task = self._endpoint._spawn(self._run(), name="handler")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        # Whoever cancels one of the tasks costs a message, and does not end the handling; but the
        # endpoint cancels all of them when it cuts a stop.
        if task.cancelled() and self._endpoint.handles:
            self._spawn()

    async def _run(self) -> None:
        if self._first is not None:
            (result, message), self._first = self._first, None
            await self._await(result, message)
        backlog = self._backlog
        time_slice = self._time_slice
        time_slice.begin()
        while True:
            if time_slice.over():
                await time_slice.give_way()
            if backlog:
                received = backlog.take_nowait()
            elif (taken := await backlog.take()) is not None:
                received = taken
            else:
                return
            await self._handle(received)

    async def _handle(self, received: Received) -> None:
        message = self._endpoint._decoded(received)
        if message is None:
            return
        try:
            result = self._handler(message)
            if type(result) is CoroutineType or isawaitable(result):
                await result
        except RAISED as error:
            self._raised(error, message)

    async def _await(self, result: Awaitable[Any], message: DatagramMessage[Any]) -> None:
        try:
            await result
        except RAISED as error:
            self._raised(error, message)

    def _raised(self, error: BaseException, message: DatagramMessage[Any]) -> None:
        """Tell of an error of a handler, but not of the end that a stop puts to it.

        Raises:
            CancelledError: this task was cancelled.
        """
        cancelled = is_own_cancellation(error)
        if not cancelled or self._endpoint.handles:
            self._endpoint._handler_failed(error, message)
        if cancelled:
            raise error
