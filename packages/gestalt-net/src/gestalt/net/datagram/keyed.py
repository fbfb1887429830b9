"""Datagrams whose messages have a key: handled in its order, over a bounded backlog."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

from gestalt.core import Handler
from gestalt.core.keyed import KeyedQueue, Lane
from gestalt.net.keyed import KeyedTasks
from gestalt.net.pace import Pace

from .backlog import Overflow, Received
from .decoding import Decode
from .failures import DatagramFailures
from .message import DatagramMessage
from .stats import DatagramStats

Key: TypeAlias = Callable[[DatagramMessage[Any]], Hashable]
"""Tells which messages are to be handled in order: those for which it gives the same."""

Numbered: TypeAlias = tuple[int, Received]
"""A datagram, and which one of the endpoint it is."""


class KeyedWorker:
    """Runs handlers: those of one key one after the other, others meanwhile.

    Args:
        handler: takes each message.
        key: gives the key of a message.
        limit: how many datagrams may wait, for a handler or for their key.
        overflow: which one to drop when there are so many.
        stats: where those that are dropped are counted.
        decode: gives the message of one, or None where it is none.
        failures: is told what a handler raises.
        concurrency: how many tasks there may be.
        pace: lets others have their turn.
        spawn: makes a task that ends with the endpoint.
    """

    __slots__ = (
        "_decode",
        "_ending",
        "_failures",
        "_items",
        "_kept",
        "_limit",
        "_number",
        "_overflow",
        "_queue",
        "_stats",
        "_tasks",
    )

    def __init__(
        self,
        handler: Handler,
        key: Key,
        limit: int,
        overflow: Overflow,
        *,
        stats: DatagramStats,
        decode: Decode,
        failures: DatagramFailures,
        concurrency: int,
        pace: Pace,
        spawn: Callable[..., asyncio.Task[None]],
    ) -> None:
        self._limit = limit
        self._overflow = overflow
        self._stats = stats
        self._decode = decode
        self._failures = failures
        # What waits to be sorted; and where that is which waits for its key, the oldest first.
        self._items: deque[Received] = deque()
        self._kept: OrderedDict[int, Lane[Numbered]] = OrderedDict()
        self._queue: KeyedQueue[Numbered] = KeyedQueue()
        self._number = 0
        # The handling has ended, or was cut: who is cancelled from now on is so by the endpoint.
        self._ending = False
        self._tasks: KeyedTasks[Numbered, DatagramMessage[Any]] = KeyedTasks(
            key,
            handler,
            self._queue,
            self,
            concurrency=concurrency,
            pace=pace,
            spawn=spawn,
            name="handler",
        )

    # Called by the reader and the endpoint

    @property
    def waiting(self) -> int:
        """How many datagrams wait that are not in the backlog."""
        return len(self._items) + len(self._queue)

    @property
    def in_flight(self) -> int:
        """How many messages are being handled."""
        return len(self._tasks)

    def put(self, received: Received) -> None:
        """Add a datagram; where there is no room, drop it, or the oldest one that waits."""
        if len(self._items) + len(self._kept) >= self._limit:
            self._stats.overflowed += 1
            if self._overflow == "drop-newest":
                return
            if self._kept:
                _, lane = self._kept.popitem(last=False)
                self._queue.drop_first(lane)
            else:
                self._items.popleft()
        self._items.append(received)
        self._tasks.wake()

    async def finish(self) -> None:
        """Wait until everything that was received is handled."""
        try:
            await self._tasks.finish()
        finally:
            self._ending = True

    def abandon(self) -> None:
        """Drop everything: nobody handles it any more."""
        self._stats.abandoned += len(self._items) + len(self._queue.remove(lambda _: True))
        self._items.clear()
        self._kept.clear()

    # Called by the tasks

    def __bool__(self) -> bool:
        return bool(self._items)

    def take(self) -> Numbered:
        self._number += 1
        return self._number, self._items.popleft()

    def decode(self, item: Numbered) -> DatagramMessage[Any] | None:
        return self._decode(*item[1])

    def keep(self, item: Numbered, lane: Lane[Numbered]) -> None:
        self._kept[item[0]] = lane

    def begin(self, item: Numbered) -> None:
        del self._kept[item[0]]

    def failed(self, error: BaseException, _: Numbered, message: DatagramMessage[Any]) -> None:
        self._failures.handler_failed(error, message)

    def abandoned(self) -> None:
        self._stats.abandoned += 1

    def handles(self) -> bool:
        return not self._ending

    def done(self) -> None:
        """Nobody waits for that here but `finish`."""
