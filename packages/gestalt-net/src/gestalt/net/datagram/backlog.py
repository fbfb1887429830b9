"""Datagrams that wait for a handler, or for `async for`: so many, and no more."""

import asyncio
from collections import deque
from typing import Literal, TypeAlias

from gestalt.net.address import Address
from gestalt.net.waiters import Waiters

Overflow: TypeAlias = Literal["drop-oldest", "drop-newest"]

Received: TypeAlias = tuple[bytes, int | None, Address]
"""The payload and type identifier of a datagram, not decoded yet, and who sent it."""


class Backlog:
    """A bounded queue that drops when it is full.

    It holds what was received as it came: dropping it has cost no decoding, and what it might
    decompress to takes no memory.
    """

    __slots__ = ("_closed", "_items", "_limit", "_overflow", "_waiters")

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int, overflow: Overflow) -> None:
        self._limit = limit
        self._overflow = overflow
        self._items: deque[Received] = deque()
        self._waiters = Waiters(loop)
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for a datagram."""
        return bool(self._waiters)

    def put(self, received: Received) -> bool:
        """Add a datagram; return False when it, or the oldest one, was dropped for that."""
        items = self._items
        room = len(items) < self._limit
        if not room:
            if self._overflow == "drop-newest":
                return False
            items.popleft()
        items.append(received)
        self._waiters.wake_one()
        return room

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

    def clear(self) -> int:
        """Drop everything; return how many datagrams that were."""
        dropped = len(self._items)
        self._items.clear()
        return dropped
