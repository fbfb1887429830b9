"""Datagrams that wait for a handler, or for `async for`: so many, and no more."""

import asyncio
from collections import deque
from typing import Literal, TypeAlias

from gestalt.core.numbers import choice_of
from gestalt.net.address import Address
from gestalt.net.waiters import Waiters

from .stats import DatagramStats

Overflow: TypeAlias = Literal["drop-oldest", "drop-newest"]

Received: TypeAlias = tuple[bytes, int | None, Address]
"""The payload and type identifier of a datagram, not decoded yet, and who sent it."""


def check_backlog(limit: int, overflow: str) -> None:
    """Refuse what a backlog cannot be.

    Raises:
        ValueError: there is no room for one datagram, or `overflow` is none of its two words.
    """
    if limit < 1:
        raise ValueError(f"backlog must be at least 1, got {limit}")
    if overflow not in ("drop-oldest", "drop-newest"):
        raise ValueError(
            f'overflow must be "drop-oldest" or "drop-newest", got {choice_of(overflow)}'
        )


class Backlog:
    """A bounded queue that drops when it is full.

    It holds what was received as it came: dropping it has cost no decoding, and what it might
    decompress to takes no memory.

    Args:
        loop: the event loop of those who wait.
        limit: how many datagrams may wait.
        overflow: which one to drop when it is full.
        stats: where those that are dropped are counted.
    """

    __slots__ = ("_closed", "_items", "_limit", "_overflow", "_stats", "_waiters")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit: int,
        overflow: Overflow,
        stats: DatagramStats,
    ) -> None:
        self._limit = limit
        self._overflow = overflow
        self._stats = stats
        self._items: deque[Received] = deque()
        self._waiters = Waiters(loop)
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def awaited(self) -> int:
        """How many wait for a datagram."""
        return len(self._waiters)

    def put(self, received: Received) -> None:
        """Add a datagram; where there is no room, drop it, or the oldest one."""
        items = self._items
        if len(items) >= self._limit:
            self._stats.overflowed += 1
            if self._overflow == "drop-newest":
                return
            items.popleft()
        items.append(received)
        self._waiters.wake_one()

    def put_back(self, taken: list[Received]) -> None:
        """Add datagrams again that were taken just now, and are still the oldest."""
        if taken:
            self._items.extendleft(reversed(taken))
            self._waiters.wake_one()

    def take_nowait(self) -> Received:
        """The oldest datagram.

        Raises:
            IndexError: there is none.
        """
        return self._items.popleft()

    async def take(self) -> Received | None:
        """Wait for the oldest datagram; None when the backlog is closed and empty."""
        while not self._items:
            if self._closed:
                return None
            await self._waiters.wait()
        return self._items.popleft()

    def close(self) -> None:
        """Note that nothing will come any more; what has come can still be taken."""
        self._closed = True
        self._waiters.wake_all()

    def abandon(self) -> None:
        """Drop everything: nobody handles it any more."""
        self.abandoned(len(self._items))
        self._items.clear()

    def abandoned(self, datagrams: int) -> None:
        """Count datagrams that nobody handles any more."""
        self._stats.abandoned += datagrams
