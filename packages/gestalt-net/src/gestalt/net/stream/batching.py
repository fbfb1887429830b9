"""From the frames of a read to a handler that takes many messages at a time."""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from inspect import isawaitable
from time import monotonic
from typing import Any

from gestalt.core.calling import ENDS, RAISED, is_end
from gestalt.core.leftovers import is_interrupted
from gestalt.net.batch import MOST, is_sender_of_batch_at_fault
from gestalt.net.framings import Frame, Frames, frames_left
from gestalt.net.pace import BUDGET
from gestalt.net.wire import Wire

from .batch import StreamBatch
from .connection import Connection
from .handling import HandlerDispatcher, HandlerWorker
from .peer import Peer

BETWEEN_LOOKS = 64
"""How many messages are decoded between two looks at the clock."""


class Batches(Iterator[StreamBatch[Any]]):
    """The batches of what one read brought, each decoded when it is its turn.

    A batch has up to `MOST` messages: fewer, where decoding them takes longer than the budget of
    time, where compressed ones become large, and where one does not decode. That error is raised
    after the batch of those before it, and then nothing follows.

    Args:
        frames: what the read brought.
        wire: how messages cross the socket.
        peer: who sent them.
    """

    __slots__ = ("_begin", "_fault", "_payloads", "_peer", "_type_ids", "_wire")

    def __init__(self, frames: Iterable[Frame], wire: Wire, peer: Peer) -> None:
        if not isinstance(frames, Frames):
            pairs = list(frames)
            type_ids = [type_id for _, type_id in pairs]
            frames = Frames([payload for payload, _ in pairs], lambda: type_ids)
        self._payloads = frames.payloads
        self._type_ids = frames
        self._wire = wire
        self._peer = peer
        self._begin = 0
        self._fault: BaseException | None = None

    def __length_hint__(self) -> int:
        return len(self._payloads) - self._begin

    @property
    def over(self) -> bool:
        """Whether nothing follows; to find that out by `next` takes three times as long."""
        return self._begin >= len(self._payloads)

    def end(self) -> None:
        """Give no more."""
        self._begin = len(self._payloads)
        self._fault = None

    def __next__(self) -> StreamBatch[Any]:
        if self._fault is not None:
            raise self._fault
        begin = self._begin
        if begin >= len(self._payloads):
            raise StopIteration
        end = begin + MOST
        if self._wire.decode is None:
            bodies: list[Any] = self._payloads
            if begin or len(bodies) > end:
                bodies = bodies[begin:end]
        else:
            bodies = self._decoded(begin, min(end, len(self._payloads)))
        self._begin = end = begin + len(bodies)
        frames = self._type_ids
        return StreamBatch(bodies, lambda: _part(frames, begin, end), self._peer)

    def _decoded(self, begin: int, end: int) -> list[Any]:
        decode_many = self._wire.decode_many
        payloads = self._payloads
        type_ids = self._type_ids.type_ids
        bodies: list[Any] = []
        until = monotonic() + BUDGET
        try:
            for first in range(begin, end, BETWEEN_LOOKS):
                last = min(first + BETWEEN_LOOKS, end)
                ids = None if type_ids is None else type_ids[first:last]
                decode_many(payloads[first:last], ids, bodies)
                if len(bodies) < last - begin or monotonic() >= until:
                    break
        except RAISED as error:
            index = begin + len(bodies)
            error.add_note(
                f"in message {index + 1} of {len(payloads)} that arrived together: "
                f"{len(payloads[index])} bytes"
                + (f", type id {type_ids[index]}" if type_ids is not None else "")
            )
            # It is not begun with again, and counts as what is left, with those after it.
            self._fault = error
            if not bodies:
                raise
        return bodies


def _part(frames: Frames, begin: int, end: int) -> Sequence[int | None]:
    type_ids = frames.type_ids
    return [None] * (end - begin) if type_ids is None else type_ids[begin:end]


class BatchDispatcher(HandlerDispatcher):
    """Gives what each read has brought to the handler, as a `StreamBatch`.

    As HandlerDispatcher does with single messages, it calls a plain handler within the read
    callback, and makes a worker of the first one that returns an awaitable.
    """

    __slots__ = ()

    def dispatch(self, connection: Connection, frames: Iterable[Frame]) -> None:
        batches = Batches(frames, self.wire, connection.peer)
        if connection.worker is not None:
            connection.worker.put(batches)
            return
        if self.pace.spent:
            self._make_worker(connection).put(batches)
            return
        begun = monotonic()
        while True:
            batch = None
            try:
                batch = next(batches)
                result = self.handler(batch)
            except ENDS:
                raise
            except BaseException as error:
                if batch is None or is_sender_of_batch_at_fault(error, batch):
                    connection.abandon(_unhandled(batch) + frames_left(batches))
                    if batch is not None:
                        self.settle(connection, batch)
                    connection.fail(error)
                    return
                self.failed(error, connection.peer, batch)
            else:
                if result is not None and isawaitable(result):
                    self._make_worker(connection).start(result, batch, batches)
                    return
            if (fault := self.settle(connection, batch)) is not None:
                connection.abandon(frames_left(batches))
                connection.fail(fault)
                return
            if monotonic() - begun >= BUDGET:
                self.pace.spend()
                self._make_worker(connection).take_over(batches)
                return
            if batches.over:
                return

    def settle(self, connection: Connection, batch: StreamBatch[Any]) -> BaseException | None:
        """Tell of the messages that the handler has failed; return what is the peer's fault."""
        fault = None
        for index, error in batch.failures.items():
            if is_sender_of_batch_at_fault(error, batch):
                fault = fault or error
                connection.abandon(1)
            else:
                self.failed(error, batch.peer, batch[index])
        return fault

    def _make_worker(self, connection: Connection) -> "BatchWorker":
        worker = connection.worker = BatchWorker(self, connection)
        return worker


class BatchWorker(HandlerWorker):
    """Runs the handlers of one peer's batches."""

    __slots__ = ("_under_way",)

    _dispatcher: BatchDispatcher

    def __init__(self, dispatcher: BatchDispatcher, connection: Connection) -> None:
        super().__init__(dispatcher, connection)
        # How many messages are being handled.
        self._under_way = 0

    @property
    def in_flight(self) -> int:
        return self._under_way

    def start(self, result: Awaitable[Any], message: Any, rest: Iterator[Any]) -> None:
        self._under_way += len(message)
        super().start(result, message, rest)

    async def _handle_batches(self, task: asyncio.Task[Any]) -> bool:
        handler = self._dispatcher.handler
        reads = self._batches
        time_slice = self._time_slice
        if not await self._begin(task):
            return False
        while reads:
            read = reads[0]
            batch: StreamBatch[Any] | None = None
            try:
                batch = next(read, None)
                if batch is not None:
                    self._under_way += len(batch)
                    result = handler(batch)
                    if isawaitable(result):
                        self._asynchronous = True
                        await result
            except BaseException as error:
                if is_end(error):
                    raise
                self._raised(error, batch)
            finally:
                if batch is not None:
                    self._settle(batch)
            if is_interrupted(task):
                return False
            if batch is None:
                self._taken(read)
            elif time_slice.over():
                await time_slice.give_way()
        return True

    def _settle(self, message: Any) -> None:
        self._under_way -= len(message)
        fault = self._dispatcher.settle(self._connection, message)
        if fault is not None:
            self._connection.abandon(self.waiting)
            self._fail(fault)

    def _size(self, message: Any) -> int:
        return _unhandled(message)

    def _is_sender_at_fault(self, error: BaseException, message: Any) -> bool:
        return is_sender_of_batch_at_fault(error, message)

    def _empty(self, batch: Any) -> None:
        # Not by taking what is in it, which would decode it.
        batch.end()


def _unhandled(batch: StreamBatch[Any] | None) -> int:
    """How many messages are lost with a batch, beside those that it has told of itself."""
    return 0 if batch is None else len(batch) - len(batch.failures)
