"""Messages that wait until the application asks for them."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator

from gestalt.net.framings import Frame, frames_left
from gestalt.net.waiters import Waiters

from .connection import Connection


class Inbox:
    """What connections have received, for any number of `async for`.

    Reading pauses while more than one batch waits, also for connections that come later.
    """

    __slots__ = ("_batches", "_closed", "_reader", "_waiters")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # What one read brought is one batch.
        self._batches: deque[tuple[Connection, Iterator[Frame]]] = deque()
        self._waiters = Waiters(loop)
        # The connection that feeds the inbox at present.
        self._reader: Connection | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many messages wait."""
        return sum(frames_left(frames) for _, frames in self._batches)

    def attach(self, connection: Connection) -> None:
        """Take what this connection receives from now on."""
        self._reader = connection
        if len(self._batches) > 1:  # pragma: no cover - a link that broke while it was not read
            connection.pause_reading()

    def dispatch(self, connection: Connection, frames: Iterable[Frame]) -> None:
        """Take frames, in order."""
        self._batches.append((connection, iter(frames)))
        connection.unread += 1
        if len(self._batches) > 1:
            connection.pause_reading()
        self._waiters.wake_one()

    async def take(self) -> tuple[Connection, Frame] | None:
        """The next message, in order; None when the inbox is closed and empty."""
        while True:
            while self._batches:
                connection, frames = self._batches[0]
                for frame in frames:
                    # How many there are is not known: the next one looks.
                    self._waiters.wake_one()
                    return connection, frame
                self._batches.popleft()
                connection.unread -= 1
                if (
                    len(self._batches) <= 1 and self._reader is not None
                ):  # pragma: no branch - types
                    self._reader.resume_reading()
            if self._closed:
                return None
            reader = self._reader
            if reader is not None and reader.frames and not self._waiters:
                # What was sent leaves now, not a turn later: its answer may be what is waited for.
                # Where several iterate, once per turn, since the others may go on to send.
                reader.check_thread()
                reader.flush()
            await self._waiters.wait()

    def discard(self, connection: Connection) -> None:
        """Forget what this connection has received."""
        waited = len(self)
        self._batches = deque(batch for batch in self._batches if batch[0] is not connection)
        connection.unread = 0
        # With the one of which the decoding failed.
        connection.abandon(1 + waited - len(self))

    def close(self) -> None:
        """Note that nothing will come any more."""
        self._closed = True
        self._waiters.wake_all()
