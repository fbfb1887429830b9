"""Datagrams for a handler that takes many at a time: taken, decoded and handed over together."""

from collections.abc import Awaitable, Callable
from typing import Any

from gestalt.core import Handler
from gestalt.core.calling import ENDS, is_awaitable, is_end
from gestalt.net.address import Address
from gestalt.net.errors import FrameTooLarge, FramingError
from gestalt.net.wire import Wire

from .backlog import Received
from .message_batch import DatagramMessageBatch, ManyReplier
from .reader import BATCH, DatagramReader
from .sockaddr import SocketAddress
from .socket import DatagramSocket
from .worker import DatagramWorker

MOST_BYTES = 256 * 1024
"""How many bytes a batch has at most, less than one datagram more."""

SMALL = MOST_BYTES // BATCH
"""Up to so many bytes, a datagram counts for nothing: as many as there may be are no more."""


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

    __slots__ = ("_framing", "_maker")

    def __init__(
        self, sock: DatagramSocket, wire: Wire, *args: Any, maker: BatchMaker, **others: Any
    ) -> None:
        super().__init__(sock, wire, *args, **others)
        self._framing = wire.framing
        self._maker = maker

    def read(self) -> None:
        """Take what there is. The event loop calls this while there is something."""
        recvfrom = self._recvfrom
        size = self._max_size + 1
        datagrams: list[bytes] = []
        names: list[SocketAddress] = []
        add, add_name = datagrams.append, names.append
        room = MOST_BYTES
        fault: OSError | None = None
        try:
            for _ in range(BATCH):
                data, name = recvfrom(size)
                add(data)
                add_name(name)
                if len(data) > SMALL:
                    room -= len(data)
                    if room <= 0:
                        break
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            fault = error
        if datagrams:
            self._stats.received += len(datagrams)
            self._stats.received_bytes += sum(map(len, datagrams))
            known = self._sources
            senders = [known.get(name) or self._new_source(name) for name in names]
            self._take(datagrams, senders)
        if fault is not None:
            self._unreachable(fault)

    def _take(self, datagrams: list[bytes], senders: list[Address]) -> None:
        together = None
        if max(map(len, datagrams)) <= self._max_size:
            together = self._framing.whole_together(datagrams)
        if together is not None:
            payloads, type_ids = together
        else:
            payloads, type_ids = [], []
            good: list[Address] = []
            for data, source in zip(datagrams, senders, strict=True):
                try:
                    if len(data) > self._max_size:
                        raise FrameTooLarge(f"it has more than {self._max_size} bytes")
                    payload, type_id = self._whole(data)
                except FramingError as error:
                    self._failures.drop(source, error)
                else:
                    payloads.append(payload)
                    type_ids.append(type_id)
                    good.append(source)
            senders = good
        if self.worker is not None:
            for received in zip(payloads, type_ids, senders, strict=True):
                self.worker.put(received)
        else:
            self._hand_over(payloads, type_ids, senders)

    def _hand_over(
        self, payloads: list[bytes], type_ids: list[int | None], sources: list[Address]
    ) -> None:
        handler = self._handler
        while payloads and handler is not None:
            batch = self._maker.make(payloads, type_ids, sources)
            if batch is None:
                return
            context = self._context.copy()
            try:
                result = context.run(handler, batch)
            except ENDS:
                raise
            except BaseException as error:
                self._failures.batch_failed(error, batch)
            else:
                if result is not None and is_awaitable(result):
                    worker = self.worker = self._make_worker(handler)
                    context.run(worker.start, result, batch)
                    for received in zip(payloads, type_ids, sources, strict=True):
                        worker.put(received)
                    return
            self._failures.settle(batch)


class BatchWorker(DatagramWorker[DatagramMessageBatch[Any]]):
    """Runs asynchronous handlers of batches: each takes what has come meanwhile."""

    __slots__ = ("_maker", "_under_way")

    def __init__(self, handler: Handler, *, maker: BatchMaker, **others: Any) -> None:
        # A batch is as much as several messages.
        super().__init__(handler, **{**others, "several": 1})
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
        batch = self._maker.make(payloads, type_ids, sources)
        # Whatever becomes of this call, the next one begins as if it were the first.
        self._backlog.put_back(list(zip(payloads, type_ids, sources, strict=True)))
        if batch is not None:
            await self._call(batch)

    async def _call(self, batch: DatagramMessageBatch[Any]) -> None:
        self._under_way += len(batch)
        try:
            result = self._handler(batch)
            if is_awaitable(result):
                await result
        except BaseException as error:
            if is_end(error):
                raise
            self._raised(error, batch)
        finally:
            self._settled(batch)

    def _size(self, message: DatagramMessageBatch[Any]) -> int:
        return len(message) - len(message.failures)

    def _tell(self, error: BaseException, message: DatagramMessageBatch[Any]) -> None:
        self._failures.batch_failed(error, message)

    def _settled(self, message: DatagramMessageBatch[Any]) -> None:
        self._under_way -= len(message)
        self._failures.settle(message)
