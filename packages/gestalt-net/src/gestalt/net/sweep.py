"""Looks now and then whether peers keep to their time limits: one timer for all of them."""

import asyncio
from collections.abc import Mapping

from .connection import Connection
from .errors import LimitExceeded
from .limits import Limits

LONGEST = 1.0
"""The longest time between two looks, in seconds."""


class Sweep:
    """Closes the connections whose peers are idle, slow or stalled for too long."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        connections: Mapping[int, Connection],
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._connections = connections
        timeouts = [
            timeout
            for timeout in (limits.idle_timeout, limits.message_timeout, limits.stall_timeout)
            if timeout is not None
        ]
        self._timer: asyncio.TimerHandle | None = None
        if timeouts:
            self._interval = min(LONGEST, min(timeouts) / 8)
            self._timer = loop.call_later(self._interval, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        for connection in list(self._connections.values()):
            self._check(connection, now)
        self._timer = self._loop.call_later(self._interval, self._look)

    def _check(self, connection: Connection, now: float) -> None:
        limits = self._limits
        blocked = connection.blocked
        watch = connection.watch
        if watch is None:
            if limits.idle_timeout is None and not blocked and not connection.message_begun:
                return
            watch = connection.watch = Watch(now)
        heard, connection.heard = connection.heard, False
        progress = connection.progress
        moved, watch.progress = progress != watch.progress, progress
        if heard or moved:
            watch.active = now
        if heard or not connection.message_begun:
            watch.begun = now
        if moved or not blocked:
            watch.stalled = now
        for limit, since, what in (
            (limits.message_timeout, watch.begun, "one message took"),
            (limits.stall_timeout, watch.stalled, "it took nothing for"),
            (limits.idle_timeout, watch.active, "it was idle for"),
        ):
            if limit is not None and now - since >= limit:
                connection.abort(LimitExceeded(f"{what} more than {limit} s"))
                return


class Watch:
    """Since when a connection is idle, a message of its peer incomplete, and sending stalled."""

    __slots__ = ("active", "begun", "progress", "stalled")

    def __init__(self, now: float) -> None:
        self.active = self.begun = self.stalled = now
        self.progress = (0, 0)
