"""Datagrams for a handler that takes many at a time: taken, decoded and handed over together."""

from collections.abc import Awaitable, Callable
from typing import Any

from gestalt.core import Handler
from gestalt.core.calling import RAISED, is_awaitable
from gestalt.net.address import Address
from gestalt.net.errors import FrameTooLarge, FramingError
from gestalt.net.wire import Wire

from .backlog import Received
from .message_batch import DatagramMessageBatch, ManyReplier
from .reader import BATCH, DatagramReader
from .worker import DatagramWorker

MOST_BYTES = 256 * 1024
"""How many bytes a batch has at most, unless a single datagram has more."""


class BatchMaker:
    """Makes batches of datagrams.

    Args:
        wire: how messages are put into datagrams.
        endpoint: what replies are sent by.
        drop: is told who sent a datagram that the codec refuses, and why it does.
    """

    __slots__ = ("_drop", "_endpoint", "_wire")

    def __init__(
        self, wire: Wire, endpoint: ManyReplier, drop: Callable[[Address, Exception], None]
    ) -> None:
        self._wire = wire
        self._endpoint = endpoint
        self._drop = drop

    def make(
        self, payloads: list[bytes], type_ids: list[int | None], sources: list[Address]
    ) -> DatagramMessageBatch[Any] | None:
        """The next batch of these datagrams, which are no longer in the lists; None for none."""
        bodies: list[Any] = []
        while len(bodies) < len(payloads):
            begin = len(bodies)
            carried = self._wire.framing.carries_type_id
            try:
                self._wire.decode_many(
                    payloads[begin:], type_ids[begin:] if carried else None, bodies
                )
            except Exception as error:
                # It costs its own datagram, and no other.
                bad = len(bodies)
                self._drop(sources[bad], error)
                del payloads[bad], type_ids[bad], sources[bad]
            else:
                break
        count = len(bodies)
        ids, whom = type_ids[:count], sources[:count]
        del payloads[:count], type_ids[:count], sources[:count]
        if not bodies:
            return None
        return DatagramMessageBatch(bodies, lambda: ids, whom, self._endpoint)


class BatchReader(DatagramReader):
    """Takes datagrams as DatagramReader does, and hands all that it took to one call."""

    __slots__ = ("_maker",)

    def __init__(self, *args: Any, maker: BatchMaker, **others: Any) -> None:
        super().__init__(*args, **others)
        self._maker = maker

    def read(self) -> None:
        """Take what there is. The event loop calls this while there is something."""
        recvfrom = self._recvfrom
        whole = self._whole
        sources = self._sources
        max_size = self._max_size
        size = max_size + 1
        payloads: list[bytes] = []
        type_ids: list[int | None] = []
        senders: list[Address] = []
        taken = room = 0
        room = MOST_BYTES
        fault: OSError | None = None
        while taken < BATCH and room > 0:
            try:
                data, name = recvfrom(size)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                fault = error
                break
            taken += 1
            room -= len(data)
            source = sources.get(name) or self._new_source(name)
            try:
                if len(data) > max_size:
                    raise FrameTooLarge(f"it has more than {max_size} bytes")
                payload, type_id = whole(data)
            except FramingError as error:
                self._failures.drop(source, error)
                continue
            payloads.append(payload)
            type_ids.append(type_id)
            senders.append(source)
        self._stats.received += taken
        self._stats.received_bytes += MOST_BYTES - room
        if self.worker is not None:
            for received in zip(payloads, type_ids, senders, strict=True):
                self.worker.put(received)
        else:
            self._hand_over(payloads, type_ids, senders)
        if fault is not None:
            self._unreachable(fault)

    def _hand_over(
        self, payloads: list[bytes], type_ids: list[int | None], sources: list[Address]
    ) -> None:
        handler = self._handler
        while payloads and handler is not None:
            batch = self._maker.make(payloads, type_ids, sources)
            if batch is None:
                return
            try:
                result = handler(batch)
            except RAISED as error:
                self._failures.batch_failed(error, batch)
            else:
                if result is not None and is_awaitable(result):
                    worker = self.worker = self._make_worker(handler)
                    worker.start(result, batch)
                    for received in zip(payloads, type_ids, sources, strict=True):
                        worker.put(received)
                    return
            self._failures.settle(batch)


class BatchWorker(DatagramWorker[DatagramMessageBatch[Any]]):
    """Runs asynchronous handlers of batches: each takes what has come meanwhile."""

    __slots__ = ("_maker", "_under_way")

    def __init__(self, handler: Handler, *, maker: BatchMaker, **others: Any) -> None:
        super().__init__(handler, **others)
        self._maker = maker
        # How many messages are being handled.
        self._under_way = 0

    @property
    def in_flight(self) -> int:
        return self._under_way

    def start(self, result: Awaitable[Any], message: DatagramMessageBatch[Any]) -> None:
        self._under_way += len(message)
        super().start(result, message)

    async def _handle(self, received: Received) -> None:
        together = [received]
        room = MOST_BYTES - len(received[0])
        while len(together) < BATCH and room > 0 and self._backlog:
            together.append(self._backlog.take_nowait())
            room -= len(together[-1][0])
        payloads = [payload for payload, _, _ in together]
        type_ids = [type_id for _, type_id, _ in together]
        sources = [source for _, _, source in together]
        self._under_way += len(together)
        try:
            while payloads:
                batch = self._maker.make(payloads, type_ids, sources)
                if batch is not None:
                    await self._call(batch)
        finally:
            self._under_way -= len(together)
            # Where this was cut; else there are none.
            self._backlog.abandoned(len(payloads))

    async def _call(self, batch: DatagramMessageBatch[Any]) -> None:
        try:
            result = self._handler(batch)
            if is_awaitable(result):
                await result
        except RAISED as error:
            self._raised(error, batch)
        finally:
            self._failures.settle(batch)

    def _size(self, message: DatagramMessageBatch[Any]) -> int:
        return len(message) - len(message.failures)

    def _tell(self, error: BaseException, message: DatagramMessageBatch[Any]) -> None:
        self._failures.batch_failed(error, message)

    def _settled(self, message: DatagramMessageBatch[Any]) -> None:
        self._under_way -= len(message)
        self._failures.settle(message)
