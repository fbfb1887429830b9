"""Asynchronous handlers of a datagram endpoint: in tasks that last, over a bounded backlog."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, Generic, TypeVar

from gestalt.core import Handler
from gestalt.core.calling import is_awaitable, is_end, is_own_cancellation, own_task
from gestalt.core.leftovers import is_left_behind
from gestalt.net.pace import TimeSlice

from .backlog import Backlog, Received
from .decoding import Decode
from .failures import DatagramFailures

M = TypeVar("M")


class DatagramWorker(Generic[M]):
    """Runs asynchronous handlers, `concurrency` of them at a time.

    The tasks are made when they are needed, and kept until the endpoint stops, or until a handler
    leaves something there that the next one would find.

    Args:
        handler: takes each message.
        backlog: where datagrams wait.
        decode: gives the message of one, or None where it is none.
        failures: is told what a handler raises.
        concurrency: how many tasks there may be.
        time_slice: how long all of them have been at it.
        spawn: makes a task that ends with the endpoint.
        context: in which each handler begins.
        several: how many messages are handled between two looks at the clock, where they are quick.
    """

    __slots__ = (
        "_backlog",
        "_concurrency",
        "_context",
        "_decode",
        "_ending",
        "_failures",
        "_first",
        "_handler",
        "_several",
        "_spawn",
        "_tasks",
        "_time_slice",
    )

    def __init__(
        self,
        handler: Handler,
        *,
        backlog: Backlog,
        decode: Decode,
        failures: DatagramFailures,
        concurrency: int,
        time_slice: TimeSlice,
        spawn: Callable[..., asyncio.Task[None]],
        context: Context,
        several: int,
    ) -> None:
        self._handler = handler
        self._backlog = backlog
        self._decode = decode
        self._failures = failures
        self._concurrency = concurrency
        self._time_slice = time_slice
        self._spawn = spawn
        self._context = context
        self._several = several
        # What the handler returned that made this worker, until a task awaits it.
        self._first: tuple[Awaitable[Any], M] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        # The handling has ended, or was cut: who is cancelled from now on is so by the endpoint.
        self._ending = False

    @property
    def waiting(self) -> int:
        """How many datagrams wait that are not in the backlog."""
        return 0

    @property
    def in_flight(self) -> int:
        """How many messages are being handled."""
        return len(self._tasks) - self._backlog.awaited

    def start(self, result: Awaitable[Any], message: M) -> None:
        """Await what the handler returned for `message`, in its context, then handle what comes."""
        self._first = result, message
        self._own(self._spawn(self._run(), name="handler"))

    def put(self, received: Received) -> None:
        """Take another datagram."""
        if len(self._tasks) < self._concurrency and not self._backlog.awaited:
            self._add_task()
        self._backlog.put(received)

    async def finish(self) -> None:
        """Wait until everything in the backlog, which is closed, is handled."""
        try:
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            self._ending = True

    def abandon(self) -> None:
        """Drop what is in the backlog: nobody handles it any more."""
        self._backlog.abandon()

    def _add_task(self) -> None:
        self._own(self._context.copy().run(self._spawn, self._run(), name="handler"))

    def _own(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        # Whoever cancels one of the tasks costs a message, and does not end the handling; but the
        # endpoint cancels all of them when it cuts a stop.
        if task.cancelled() and not self._ending:
            self._add_task()

    async def _run(self) -> None:
        task = own_task()
        context, name = self._context, task.get_name()
        backlog = self._backlog
        time_slice = self._time_slice
        if self._first is not None:
            (result, message), self._first = self._first, None
            await self._await(result, message)
        time_slice.begin()
        if time_slice.over():
            await time_slice.give_way()
        several = 1
        while not is_left_behind(task, context, name):
            if backlog:
                received = backlog.take_nowait()
            elif (taken := await backlog.take()) is not None:
                received = taken
            else:
                return
            await self._handle(received)
            several -= 1
            if not several:
                if time_slice.over():
                    await time_slice.give_way()
                several = self._several if time_slice.quick else 1
        # Where the handling was cut, this is to end, and so is everything.
        self._tasks.discard(task)
        if self._backlog and not self._ending:
            self._add_task()

    async def _handle(self, received: Received) -> None:
        message: Any = self._decode(*received)
        if message is None:
            return
        try:
            result = self._handler(message)
            if is_awaitable(result):
                await result
        except BaseException as error:
            if is_end(error):
                raise
            self._raised(error, message)

    async def _await(self, result: Awaitable[Any], message: M) -> None:
        try:
            await result
        except BaseException as error:
            if is_end(error):
                raise
            self._raised(error, message)
        finally:
            self._settled(message)

    def _settled(self, message: M) -> None:
        """Note that the handler of the first message has ended."""

    def _size(self, message: M) -> int:  # noqa: ARG002 - for batches
        """How many datagrams are lost with one that was to be handled."""
        return 1

    def _tell(self, error: BaseException, message: Any) -> None:
        self._failures.handler_failed(error, message)

    def _raised(self, error: BaseException, message: M) -> None:
        """Tell of an error of a handler, but not of the end that a stop puts to it.

        Raises:
            CancelledError: this task was cancelled.
        """
        cancelled = is_own_cancellation(error)
        if cancelled and self._ending:
            self._backlog.abandoned(self._size(message))
        else:
            self._tell(error, message)
        if cancelled:
            raise error
