"""From frames to handlers: plain ones at once, asynchronous ones in a task per peer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from inspect import isawaitable
from itertools import islice
from time import monotonic
from types import CoroutineType
from typing import Any, Protocol

from gestalt.core import Handler
from gestalt.core.calling import ENDS, is_own_cancellation, own_task
from gestalt.core.leftovers import is_interrupted
from gestalt.net.framings import Frame, frames_left
from gestalt.net.pace import BUDGET, SEVERAL, SHORT, Pace, TimeSlice, several_of
from gestalt.net.reporting import is_sender_at_fault
from gestalt.net.wire import Wire

from .batch import StreamBatch
from .connection import Connection
from .message import StreamMessage
from .peer import Peer


class Failed(Protocol):
    """Takes what a handler raised."""

    def __call__(
        self,
        error: BaseException,
        peer: Peer,
        message: StreamMessage[Any] | StreamBatch[Any] | None,
        /,
    ) -> None: ...


class HandlerDispatcher:
    """Gives each message to the handler.

    Plain handlers are called within the read callback, with no task, future or queue in between.
    The first handler of a peer that returns an awaitable makes it a worker, which does the rest.
    So does a read whose messages take longer than the budget, as long as that goes on.

    Args:
        handler: takes each message.
        wire: how messages cross the socket.
        concurrency: how many messages of one peer an asynchronous handler may work on at a time.
        pace: lets each peer have its turn.
        spawn: makes a task of the endpoint.
        failed: told of what a handler raised.
        handles: whether handlers are to run, still.
    """

    __slots__ = (
        "concurrency",
        "decode",
        "failed",
        "handler",
        "handles",
        "pace",
        "several",
        "spawn",
        "wire",
    )

    def __init__(
        self,
        handler: Handler,
        wire: Wire,
        concurrency: int,
        *,
        pace: Pace,
        spawn: Callable[..., asyncio.Task[Any]],
        failed: Failed,
        handles: Callable[[], bool],
    ) -> None:
        self.handler = handler
        self.wire = wire
        self.decode = wire.decode
        self.concurrency = concurrency
        self.several = several_of(compressed=wire.tagged)
        self.pace = pace
        self.spawn = spawn
        self.failed = failed
        self.handles = handles

    def dispatch(self, connection: Connection, frames: Iterable[Frame]) -> None:
        if connection.worker is not None:
            connection.worker.put(iter(frames))
            return
        if self.pace.spent:
            self._make_worker(connection).put(iter(frames))
            return
        peer = connection.peer
        handler = self.handler
        decode = self.decode
        new = object.__new__
        rest = iter(frames)
        if type(frames) is tuple and self.several == SEVERAL:
            # A single one, which there is nothing after to give way to.
            begun = looked = 0.0
            some = rest
        else:
            begun = looked = monotonic()
            some = islice(rest, self.several if connection.quick else 1)
        while True:
            payload = None
            for payload, type_id in some:
                # What the constructor does: calling it takes twice as long on Python 3.11.
                message: StreamMessage[Any] = new(StreamMessage)
                message.type_id = type_id
                message.source = peer
                try:
                    message.body = payload if decode is None else decode(payload, type_id)
                    result = handler(message)
                except ENDS:
                    raise
                except BaseException as error:
                    if not hasattr(message, "body") or is_sender_at_fault(error, message):
                        connection.abandon(1 + frames_left(rest))
                        connection.fail(error)
                        return
                    self.failed(error, peer, message)
                else:
                    # In place of `is_awaitable`, a call that costs a twentieth of a small message.
                    if result is not None and isawaitable(result):
                        if begun and monotonic() - begun >= BUDGET:
                            self.pace.spend()
                        self._make_worker(connection).start(result, message, rest)
                        return
            if payload is None or some is rest:
                return
            now = monotonic()
            quick = connection.quick = now - looked < SHORT
            if now - begun >= BUDGET:
                self.pace.spend()
                self._make_worker(connection).take_over(rest)
                return
            some = islice(rest, self.several if quick else 1)
            looked = now

    def _make_worker(self, connection: Connection) -> "HandlerWorker":
        worker = connection.worker = HandlerWorker(self, connection)
        return worker


class HandlerWorker:
    """Runs the handlers of one peer, in tasks that last as long as its connection.

    It ends sooner where no handler is asynchronous, and it is done before its time is up.

    Reading pauses while more than one batch waits, so a slow handler slows its own peer only.
    """

    __slots__ = (
        "_asynchronous",
        "_batches",
        "_connection",
        "_dispatcher",
        "_first",
        "_tasks",
        "_time_slice",
        "_waiting",
    )

    def __init__(self, dispatcher: HandlerDispatcher, connection: Connection) -> None:
        self._dispatcher = dispatcher
        self._connection = connection
        self._asynchronous = False
        # What one read brought is one batch. Its iterator is shared by the tasks.
        self._batches: deque[Iterator[Any]] = deque()
        self._time_slice = TimeSlice(dispatcher.pace)
        # What the handler returned that made this worker, until a task awaits it.
        self._first: tuple[Awaitable[Any], Any] | None = None
        self._tasks = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def idle(self) -> bool:
        """Whether everything that was received is handled."""
        return not self._batches and self._tasks == len(self._waiting)

    @property
    def waiting(self) -> int:
        """How many messages have come and are not begun."""
        return sum(map(frames_left, self._batches)) if self._batches else 0

    @property
    def in_flight(self) -> int:
        """How many messages are being handled."""
        return self._tasks - len(self._waiting)

    def start(self, result: Awaitable[Any], message: Any, rest: Iterator[Any]) -> None:
        """Await what the handler returned for `message`, then handle the rest."""
        self._asynchronous = True
        self._first = result, message
        self.put(rest)

    def take_over(self, rest: Iterator[Any]) -> None:
        """Handle the rest of a read that has used up its time."""
        self._time_slice.overran = True
        self.put(rest)

    def put(self, frames: Iterator[Any]) -> None:
        """Take another batch."""
        self._batches.append(frames)
        if len(self._batches) > 1:
            self._connection.pause_reading()
        self._add_tasks()

    def end(self) -> None:
        """Note that the connection is lost: the tasks end when everything is handled."""
        # Where a stop was cut, nothing is handled any more, and no task would be cancelled.
        if self._dispatcher.handles():
            self._add_tasks()

    def _add_tasks(self) -> None:
        while self._waiting:
            waiter = self._waiting.pop()
            if not waiter.done():  # pragma: no branch - cancelled in this turn
                waiter.set_result(None)
        while self._tasks < self._dispatcher.concurrency and self._batches:
            self._tasks += 1
            task = self._dispatcher.spawn(self._run(), name=f"handler of {self._connection.peer!r}")
            task.add_done_callback(self._ended)

    def _ended(self, _: "asyncio.Task[None]") -> None:
        self._tasks -= 1
        # Whoever cancels one of the tasks costs a message, and does not end the handling; but the
        # endpoint cancels all of them when it cuts a stop.
        if self._dispatcher.handles():
            self._add_tasks()
            if self.idle:
                self._connection.handled()

    async def _run(self) -> None:
        task = own_task()
        loop = task.get_loop()
        connection = self._connection
        while await self._handle_batches(task):
            # Not by get_running_loop: on Python 3.11, each look for it is a system call.
            waiter = loop.create_future()
            self._waiting.append(waiter)
            try:
                if self.idle:
                    if not (self._asynchronous or self._time_slice.overran):
                        connection.worker = None
                        self._add_tasks()
                    connection.handled()
                if connection.lost or connection.worker is not self:
                    return
                await waiter
            finally:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)

    async def _handle_batches(self, task: asyncio.Task[Any]) -> bool:
        """Handle what waits; whether this task may go on, which no handler has interrupted."""
        connection = self._connection
        peer = connection.peer
        handler = self._dispatcher.handler
        decode = self._dispatcher.decode
        several = self._dispatcher.several
        batches = self._batches
        time_slice = self._time_slice
        new = object.__new__
        result = None
        message: StreamMessage[Any] | None
        if not await self._begin(task):
            return False
        while batches:
            frames = batches[0]
            payload = None
            for payload, type_id in islice(frames, several if time_slice.quick else 1):
                message = None
                try:
                    body = payload if decode is None else decode(payload, type_id)
                    # As in `dispatch`.
                    message = new(StreamMessage)
                    message.body = body
                    message.type_id = type_id
                    message.source = peer
                    result = handler(message)
                    if type(result) is CoroutineType or isawaitable(result):
                        await result
                except ENDS:
                    raise
                except BaseException as error:
                    self._raised(error, message)
                if is_interrupted(task):
                    return False
            if type(result) is CoroutineType:
                self._asynchronous = True
            # Another task of this worker may have removed the batch meanwhile.
            if payload is None and batches and batches[0] is frames:
                self._taken(frames)
            elif time_slice.over():
                await time_slice.give_way()
        return True

    async def _begin(self, task: asyncio.Task[Any]) -> bool:
        """Wait for one's turn, then for what the first asynchronous handler is still about.

        Returns:
            whether the task may go on.
        """
        time_slice = self._time_slice
        pace = self._dispatcher.pace
        if time_slice.overran:
            await time_slice.give_way()
        elif pace.spent:
            await pace.unspent()
        time_slice.begin()
        if self._first is not None:
            (result, message), self._first = self._first, None
            try:
                await result
            except ENDS:
                raise
            except BaseException as error:
                self._raised(error, message)
            finally:
                self._settle(message)
            if is_interrupted(task):
                return False
            if time_slice.over():
                await time_slice.give_way()
        return True

    def _settle(self, message: Any) -> None:
        """Note that the handler of a message has ended."""

    def _taken(self, frames: Iterator[Any]) -> None:
        """Note that a batch is empty; another task of this worker may have done so meanwhile."""
        batches = self._batches
        if batches and batches[0] is frames:
            batches.popleft()
            if len(batches) == 1:
                self._connection.resume_reading()

    def _raised(self, error: BaseException, message: Any) -> None:
        """Look whose fault it is: the peer's, the handler's, or of who cancelled this task.

        Raises:
            CancelledError: this task was cancelled.
        """
        connection = self._connection
        cancelled = is_own_cancellation(error)
        if message is None or self._is_sender_at_fault(error, message):
            connection.abandon(self._size(message) + self.waiting)
            self._fail(error)
        elif not cancelled or self._dispatcher.handles():
            self._dispatcher.failed(error, connection.peer, message)
        else:
            connection.abandon(self._size(message))
        if cancelled:
            raise error

    def _size(self, message: Any) -> int:  # noqa: ARG002 - for batches
        """How many messages are lost with one that was to be handled."""
        return 1

    def _is_sender_at_fault(self, error: BaseException, message: Any) -> bool:
        return is_sender_at_fault(error, message)

    def _fail(self, fault: BaseException) -> None:
        """End the connection by a fault of the peer."""
        self._forget()
        self._connection.fail(fault)

    def _forget(self) -> None:
        """Handle nothing more of what waits."""
        for batch in self._batches:
            # Other tasks of this worker have it in their hands, too.
            self._empty(batch)
        self._batches.clear()

    def _empty(self, batch: Iterator[Any]) -> None:
        deque(batch, maxlen=0)
