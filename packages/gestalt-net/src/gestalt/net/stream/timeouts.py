"""Looks now and then whether peers keep to their time limits: one timer for all of them."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from gestalt.net.errors import LimitExceeded

from .limits import Limits
from .room import Holder, Room

LONGEST = 1.0
"""The longest time between two looks, in seconds."""

HURRY = 8
"""Into how many parts `message_timeout` is divided while others wait for room."""

MESSAGE_TIMEOUT = 60.0
"""What is divided where there is no such limit, in seconds."""


class Limited(Holder, Protocol):
    """What is asked of a connection whose peer has time limits.

    Attributes:
        heard: whether a whole message came since it was last cleared.
        unread: how many reads wait for the application to take them.
    """

    heard: bool
    unread: int

    @property
    def received(self) -> int:
        """How many messages it has received."""

    @property
    def busy(self) -> bool:
        """Whether handlers have something to do that the peer sent."""

    @property
    def blocked(self) -> bool:
        """Whether something waits that the peer has not taken."""

    @property
    def progress(self) -> tuple[int, int]:
        """Changes whenever the peer has taken something."""

    @property
    def message_begun(self) -> bool:
        """Whether a message has begun to arrive and is not complete."""

    def reading_time(self, now: float) -> float:
        """A clock that stands still while nothing is read, in seconds."""


class Timeouts:
    """Closes the connections whose peers are idle, slow or stalled for too long."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        connections: Mapping[int, Limited],
        room: Room,
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._connections = connections
        self._room = room
        # By the identifiers of the peers, those that there were at the last look.
        self._activities: dict[int, _Activity] = {}
        timeouts = [
            timeout
            for timeout in (
                limits.idle_timeout,
                limits.first_message_timeout,
                limits.message_timeout,
                limits.stall_timeout,
            )
            if timeout is not None
        ]
        self._interval = min([LONGEST, *(timeout / 8 for timeout in timeouts)])
        # Time during which the event loop was held is nobody's: it is left out.
        self._held = 0.0
        self._looked = loop.time()
        self._timer = loop.call_later(self._interval, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        self._held += max(0.0, now - self._looked - 2 * self._interval)
        self._looked = now
        before, self._activities = self._activities, {}
        for peer_id, connection in list(self._connections.items()):
            activity = self._check(connection, before.get(peer_id), now)
            if activity is not None:
                self._activities[peer_id] = activity
        self._timer = self._loop.call_later(self._interval, self._look)

    def _check(
        self, connection: Limited, activity: "_Activity | None", now: float
    ) -> "_Activity | None":
        """Close a connection that exceeds a limit; return what to remember of it."""
        limits = self._limits
        blocked = connection.blocked
        reading = connection.reading_time(now) - self._held
        now -= self._held
        first_timeout = limits.first_message_timeout
        if first_timeout is not None and connection.received:
            first_timeout = None
        if activity is None:
            waited_for = limits.idle_timeout is not None or first_timeout is not None
            if not (waited_for or blocked or connection.message_begun):
                return None
            activity = _Activity(now, reading)
        heard, connection.heard = connection.heard, False
        progress = connection.progress
        moved, activity.progress = progress != activity.progress, progress
        # While a message of its own is handled, the peer may be waiting for us.
        if heard or moved or connection.busy or connection.unread:
            activity.active = reading
        if heard or not connection.message_begun:
            activity.begun = reading
        if moved or not blocked:
            activity.stalled = now
        message_timeout, what = limits.message_timeout, "one message took"
        if self._room.contended and connection in self._room:
            message_timeout = (message_timeout or MESSAGE_TIMEOUT) / HURRY
            what = "others wait for room, and one message took"
        for limit, time, since, exceeded in (
            (first_timeout, reading, activity.opened, "it sent no whole message for"),
            (message_timeout, reading, activity.begun, what),
            (limits.stall_timeout, now, activity.stalled, "it took nothing for"),
            (limits.idle_timeout, reading, activity.active, "it was idle for"),
        ):
            if limit is not None and time - since >= limit:
                connection.abort(LimitExceeded(f"{exceeded} more than {limit} s"))
                break
        return activity


class _Activity:
    """Since when a connection is there, and idle, a message of its peer incomplete, and sending
    stalled.

    All but the last are told by a clock that stands still while the peer is not read.
    """

    __slots__ = ("active", "begun", "opened", "progress", "stalled")

    def __init__(self, now: float, reading: float) -> None:
        self.opened = self.active = self.begun = reading
        self.stalled = now
        self.progress = (0, 0)
