"""From the socket to handlers: datagrams are taken until there are no more."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import Any, Protocol

from gestalt.core import Handler
from gestalt.core.calling import ENDS, is_awaitable
from gestalt.net.address import Address
from gestalt.net.errors import FrameTooLarge, FramingError
from gestalt.net.pace import BUDGET, SHORT, TimeSlice, several_of
from gestalt.net.wire import Wire

from .backlog import Backlog, Received
from .decoding import Decode
from .failures import DatagramFailures
from .sockaddr import SocketAddress, address_of
from .socket import DatagramSocket
from .stats import DatagramStats
from .worker import DatagramWorker

BATCH = 64
"""How many datagrams are taken, and handled by a plain function, at once before it is others' turn;
fewer, where they take more than the budget of time, which is all that bounds asynchronous ones."""

SOURCES = 4096
"""How many senders' addresses are remembered; anybody can make up more."""


class Worker(Protocol):
    """What is asked of whoever runs a handler beside the reading."""

    @property
    def waiting(self) -> int:
        """How many datagrams wait that are not in the backlog."""

    @property
    def in_flight(self) -> int:
        """How many messages are being handled."""

    def put(self, received: Received, /) -> None:
        """Take another datagram."""

    async def finish(self) -> None:
        """Wait until everything that was received is handled."""

    def abandon(self) -> None:
        """Drop everything: nobody handles it any more."""


class DatagramReader:
    """Takes datagrams from a socket whenever there are some, a bounded number at once.

    `read` -> `Framing.whole` -> `Wire.decode` -> the handler, with no task, future or queue in
    between, as long as the handler is a plain function. From its first awaitable on, and for
    `async for`, datagrams go into the backlog instead.

    Args:
        sock: where they come from.
        wire: how messages are put into them.
        max_size: how many bytes one may have.
        decode: gives the message of one, or None where it is none.
        backlog: where they wait for `async for`.
        handler: takes each message; None where they are taken by `async for`.
        concurrency: how many messages an asynchronous handler may work on at a time.
        time_slice: how long such a handler has been at it.
        spawn: makes a task that ends with the endpoint.
        stats: where they are counted.
        failures: is told what is no message, and what a handler raises.
        worker: makes what runs an asynchronous handler; a DatagramWorker by default.

    Attributes:
        worker: what runs the handler: from its first awaitable on, or from the beginning where it
            is set before.
    """

    __slots__ = (
        "_backlog",
        "_context",
        "_decode",
        "_failures",
        "_handler",
        "_make_worker",
        "_max_size",
        "_recvfrom",
        "_several",
        "_sources",
        "_stats",
        "_unreachable",
        "_whole",
        "worker",
    )

    def __init__(
        self,
        sock: DatagramSocket,
        wire: Wire,
        max_size: int,
        *,
        decode: Decode,
        backlog: Backlog,
        handler: Handler | None,
        concurrency: int,
        time_slice: TimeSlice,
        spawn: Callable[..., asyncio.Task[None]],
        stats: DatagramStats,
        failures: DatagramFailures,
        worker: Callable[..., DatagramWorker[Any]] | None = None,
    ) -> None:
        # In which each handler begins, whoever's datagram came before.
        self._context = copy_context()
        self._recvfrom = sock.recvfrom
        self._unreachable = sock.unreachable
        self._whole = wire.framing.whole
        self._several = several_of(compressed=wire.tagged)
        self._max_size = max_size
        self._decode = decode
        self._backlog = backlog
        self._handler = handler
        self._make_worker = partial(
            worker or DatagramWorker,
            backlog=backlog,
            decode=decode,
            failures=failures,
            concurrency=concurrency,
            time_slice=time_slice,
            spawn=spawn,
            context=self._context,
            several=self._several,
        )
        self._stats = stats
        self._failures = failures
        self._sources: dict[SocketAddress, Address] = {}
        self.worker: Worker | None = None

    def read(self) -> None:
        """Take what there is. The event loop calls this while there is something."""
        recvfrom = self._recvfrom
        whole = self._whole
        decode = self._decode
        handler = self._handler
        copy_of_context = self._context.copy
        stats = self._stats
        failures = self._failures
        sources = self._sources
        max_size = self._max_size
        # A larger datagram is cut off by the system without a word: leave room to see it.
        size = max_size + 1
        begun = looked = monotonic()
        unseen = 1
        for _ in range(BATCH):
            if not unseen:
                now = monotonic()
                if now - begun >= BUDGET:
                    return
                unseen = self._several if now - looked < SHORT else 1
                looked = now
            unseen -= 1
            try:
                data, name = recvfrom(size)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._unreachable(error)
                return
            stats.received += 1
            stats.received_bytes += len(data)
            source = sources.get(name) or self._new_source(name)
            if len(data) > max_size:
                failures.drop(source, FrameTooLarge(f"it has more than {max_size} bytes"))
                continue
            try:
                payload, type_id = whole(data)
            except FramingError as error:
                failures.drop(source, error)
                continue
            if handler is None:
                self._backlog.put((payload, type_id, source))
                continue
            if self.worker is not None:
                self.worker.put((payload, type_id, source))
                continue
            message = decode(payload, type_id, source)
            if message is None:
                continue
            context = copy_of_context()
            try:
                result = context.run(handler, message)
            except ENDS:
                raise
            except BaseException as error:
                failures.handler_failed(error, message)
            else:
                if result is not None and is_awaitable(result):
                    worker = self.worker = self._make_worker(handler)
                    context.run(worker.start, result, message)

    def _new_source(self, name: SocketAddress) -> Address:
        if len(self._sources) >= SOURCES:
            self._sources.clear()
        source = self._sources[name] = address_of(name)
        return source
