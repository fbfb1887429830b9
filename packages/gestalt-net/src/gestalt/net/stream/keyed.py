"""From frames to handlers where messages have a key: in its order, peer by peer."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, TypeAlias

from gestalt.core import Handler
from gestalt.core.calling import RAISED
from gestalt.core.keyed import KeyedQueue, Lane
from gestalt.net.framings import Frame, frames_left
from gestalt.net.keyed import KeyedTasks
from gestalt.net.pace import Pace
from gestalt.net.reporting import is_sender_at_fault
from gestalt.net.wire import Wire

from .connection import Connection
from .handling import Failed
from .message import StreamMessage

Key: TypeAlias = Callable[[StreamMessage[Any]], Hashable]
"""Tells which messages are to be handled in order: those for which it gives the same."""

KEPT = 128 * 1024
"""How many bytes of a peer's messages may wait for their keys."""

OVERHEAD = 256
"""How many bytes each of them counts for beside its payload: what the objects take."""


class KeyedDispatcher:
    """Gives each message to the handler, in tasks of its peer.

    Args:
        handler: takes each message.
        wire: how messages cross the socket.
        concurrency: how many messages of one peer may be worked on at a time.
        key: gives the key of a message.
        pace: lets each peer have its turn.
        spawn: makes a task of the endpoint.
        failed: told of what a handler raised.
        handles: whether handlers are to run, still.
    """

    __slots__ = ("concurrency", "decode", "failed", "handler", "handles", "key", "pace", "spawn")

    def __init__(
        self,
        handler: Handler,
        wire: Wire,
        concurrency: int,
        *,
        key: Key,
        pace: Pace,
        spawn: Callable[..., asyncio.Task[Any]],
        failed: Failed,
        handles: Callable[[], bool],
    ) -> None:
        self.handler = handler
        self.decode = wire.decode
        self.concurrency = concurrency
        self.key = key
        self.pace = pace
        self.spawn = spawn
        self.failed = failed
        self.handles = handles

    def dispatch(self, connection: Connection, frames: Iterable[Frame]) -> None:
        if connection.worker is None:
            connection.worker = KeyedWorker(self, connection)
        connection.worker.put(iter(frames))


Numbered: TypeAlias = tuple[int, Frame]
"""A frame, and which one of its connection it is."""


class KeyedWorker:
    """Runs the handlers of one peer: those of one key one after the other, others meanwhile.

    Reading pauses while more than one batch waits. A batch that was sorted waits no more, but no
    more is sorted while messages of `KEPT` bytes wait for their keys.
    """

    __slots__ = ("_batches", "_connection", "_dispatcher", "_kept", "_number", "_queue", "_tasks")

    def __init__(self, dispatcher: KeyedDispatcher, connection: Connection) -> None:
        self._dispatcher = dispatcher
        self._connection = connection
        # What one read brought is one batch.
        self._batches: deque[Iterator[Frame]] = deque()
        self._number = 0
        self._queue: KeyedQueue[Numbered] = KeyedQueue()
        # How many bytes wait for their keys.
        self._kept = 0
        self._tasks: KeyedTasks[Numbered, StreamMessage[Any]] = KeyedTasks(
            dispatcher.key,
            dispatcher.handler,
            self._queue,
            self,
            concurrency=dispatcher.concurrency,
            pace=dispatcher.pace,
            spawn=dispatcher.spawn,
            name=f"handler of {connection.peer!r}",
        )

    # Called by the connection

    @property
    def idle(self) -> bool:
        """Whether everything that was received is handled."""
        # What waits for its key waits for a task.
        return not (self._tasks or self._batches)

    @property
    def waiting(self) -> int:
        """How many messages have come and are not begun."""
        return sum(map(frames_left, self._batches)) + len(self._queue)

    @property
    def in_flight(self) -> int:
        """How many messages are being handled."""
        return len(self._tasks)

    def put(self, frames: Iterator[Frame]) -> None:
        """Take another batch."""
        self._batches.append(frames)
        if len(self._batches) > 1:
            self._connection.pause_reading()
        self._tasks.wake()

    def end(self) -> None:
        """Note that the connection is lost: what was received is handled all the same."""

    # Called by the tasks

    def __bool__(self) -> bool:
        return bool(self._batches) and self._kept < KEPT

    def take(self) -> Numbered | None:
        while self._batches:
            for frame in self._batches[0]:
                self._number += 1
                return self._number, frame
            self._batches.popleft()
            if len(self._batches) == 1:
                self._connection.resume_reading()
        return None

    def decode(self, item: Numbered) -> StreamMessage[Any] | None:
        payload, type_id = item[1]
        decode = self._dispatcher.decode
        try:
            body = payload if decode is None else decode(payload, type_id)
        except RAISED as error:
            self._fail(error, item)
            return None
        return StreamMessage(body, type_id, self._connection.peer)

    def keep(self, item: Numbered, _: Lane[Numbered]) -> None:
        self._kept += _size(item)

    def begin(self, item: Numbered) -> None:
        self._kept -= _size(item)

    def failed(self, error: BaseException, item: Numbered, message: StreamMessage[Any]) -> None:
        if is_sender_at_fault(error, message):
            self._fail(error, item)
        else:
            self._dispatcher.failed(error, self._connection.peer, message)

    def abandoned(self) -> None:
        self._connection.abandon(1)

    def handles(self) -> bool:
        return self._dispatcher.handles()

    def done(self) -> None:
        self._connection.handled()

    def _fail(self, fault: BaseException, item: Numbered) -> None:
        """End the connection by a fault of the peer; what came before that is still handled."""
        waited = self.waiting
        self._batches.clear()
        for later in self._queue.remove(lambda other: other[0] > item[0]):
            self._kept -= _size(later)
        self._connection.abandon(1 + waited - self.waiting)
        self._connection.fail(fault)


def _size(item: Numbered) -> int:
    return OVERHEAD + len(item[1][0])
