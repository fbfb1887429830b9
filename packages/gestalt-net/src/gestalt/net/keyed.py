"""Handlers of messages that have a key: those of one key one after the other, others meanwhile."""

import asyncio
import inspect
from collections.abc import Callable, Hashable
from contextvars import copy_context
from typing import Any, Generic, Protocol, TypeVar

from gestalt.core import Handler, Message
from gestalt.core.calling import ENDS, is_awaitable, is_end, is_own_cancellation, own_task
from gestalt.core.keyed import KeyedQueue, Lane
from gestalt.core.leftovers import is_left_behind
from gestalt.core.numbers import kind_of

from .pace import Pace, TimeSlice

T = TypeVar("T")
M = TypeVar("M", bound=Message[Any])


def check_handling(
    handler: Handler | None, concurrency: int, key: Callable[..., Hashable] | None
) -> None:
    """Look at what an application has said of how its messages are handled.

    Raises:
        TypeError: the key is no plain function.
        ValueError: the concurrency is below 1, or there is a key and no handler.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, got {concurrency}")
    if key is None:
        return
    if inspect.iscoroutinefunction(key) or not callable(key):
        raise TypeError(f"key is a plain function of a message, got {kind_of(key)}")
    if handler is None:
        raise ValueError("key is for on_message: without it, messages are iterated in their order")


class Source(Protocol[T, M]):
    """What is asked of whoever has received messages."""

    def __bool__(self) -> bool:
        """Whether there may be something to take."""

    def take(self) -> T | None:
        """The next message, as it came; None where there is none."""

    def decode(self, item: T) -> M | None:
        """What came as a message; None where it is none, which has been told."""

    def keep(self, item: T, lane: Lane[T]) -> None:
        """Hear that what was taken waits for those of its key."""

    def begin(self, item: T) -> None:
        """Hear that what was kept waits no more."""

    def failed(self, error: BaseException, item: T, message: M) -> None:
        """Hear that the handler of a message, or its key function, raised."""

    def abandoned(self) -> None:
        """Hear that the handling of a message was cut by a stop."""

    def handles(self) -> bool:
        """Whether handlers are to run, still."""

    def done(self) -> None:
        """Hear that everything that came is handled."""


class KeyedTasks(Generic[T, M]):
    """Runs handlers, up to `concurrency` at a time, and at most one of a key.

    Its tasks last as long as there is something to do, and nothing is left there that the next
    handler would find. A message is sorted when a handler is free
    and nothing that was sorted before can be begun. One that has to wait for its key is kept as it
    came, since what it is decoded to may be many times as large, and is decoded again.

    Args:
        key: gives the key of a message.
        handler: takes each message.
        queue: where messages wait for those of their key.
        source: has what came.
        concurrency: how many tasks there may be.
        pace: lets others have their turn.
        spawn: makes a task of the endpoint.
        name: how these tasks are called.
    """

    __slots__ = (
        "_concurrency",
        "_context",
        "_handler",
        "_key",
        "_name",
        "_pace",
        "_queue",
        "_source",
        "_spawn",
        "_tasks",
        "_time_slice",
    )

    def __init__(
        self,
        key: Callable[[M], Hashable],
        handler: Handler,
        queue: KeyedQueue[T],
        source: Source[T, M],
        *,
        concurrency: int,
        pace: Pace,
        spawn: Callable[..., asyncio.Task[None]],
        name: str,
    ) -> None:
        self._key = key
        self._handler = handler
        self._queue = queue
        self._source = source
        self._concurrency = concurrency
        self._pace = pace
        self._time_slice = TimeSlice(pace)
        self._spawn = spawn
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()
        # In which each handler begins, whatever has caused that.
        self._context = copy_context()

    def __len__(self) -> int:
        """How much is under way."""
        return len(self._tasks)

    def wake(self) -> None:
        """Begin what can be begun: call this when something has come."""
        if len(self._tasks) < self._concurrency and (self._queue.ready or self._source):
            task = self._context.copy().run(self._spawn, self._run(), name=self._name)
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def finish(self) -> None:
        """Wait until everything is handled."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Whoever cancels one of the tasks costs a message, and does not end the handling; but the
        # endpoint cancels all of them when it cuts a stop.
        if self._source.handles():
            self.wake()
            if not self._tasks:
                self._source.done()

    async def _run(self) -> None:
        task = own_task()
        context, name = copy_context(), task.get_name()
        queue, source, time_slice = self._queue, self._source, self._time_slice
        if time_slice.overran:
            await time_slice.give_way()
        else:
            await self._pace.unspent()
        time_slice.begin()
        while not is_left_behind(task, context, name):
            if queue.ready:
                lane, item = queue.take()
                source.begin(item)
                await self._handle(lane, item, source.decode(item))
            elif source and (taken := source.take()) is not None:
                await self._sort(taken)
            else:
                # From now on, what comes needs another one.
                self._tasks.discard(task)
                return
            if time_slice.over():
                await time_slice.give_way()
        self._tasks.discard(task)
        if source.handles():  # pragma: no branch - its handler outlives a stop that was cut
            self.wake()

    async def _sort(self, item: T) -> None:
        """Find out the key of what was taken, and handle it, unless it has to wait."""
        message = self._source.decode(item)
        if message is None:
            return
        try:
            lane = self._queue.put(self._key(message), item)
        except ENDS:
            raise
        except BaseException as error:
            error.add_note("raised by the key function of the endpoint, or for what it gave")
            self._source.failed(error, item, message)
            return
        if self._queue.ready:
            lane, item = self._queue.take()
            await self._handle(lane, item, message)
        else:
            self._source.keep(item, lane)

    async def _handle(self, lane: Lane[T], item: T, message: M | None) -> None:
        try:
            if message is None:  # pragma: no cover - it was decoded before, and now is not
                return
            result = self._handler(message)
            if is_awaitable(result):
                self.wake()
                await result
        except BaseException as error:
            if is_end(error):
                raise
            cancelled = is_own_cancellation(error)
            if cancelled and not self._source.handles():
                self._source.abandoned()
            elif message is not None:  # pragma: no branch - for type checkers
                self._source.failed(error, item, message)
            if cancelled:
                raise
        finally:
            self._queue.done(lane)
