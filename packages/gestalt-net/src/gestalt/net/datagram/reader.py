"""From the socket to handlers: datagrams are taken until there are no more."""

import socket
from inspect import isawaitable
from time import monotonic
from typing import TYPE_CHECKING

from gestalt.core import Handler
from gestalt.core.calling import RAISED
from gestalt.net.address import Address
from gestalt.net.errors import FrameTooLarge, FramingError
from gestalt.net.pace import BUDGET, SHORT, Pace, several_of

from .backlog import Backlog
from .message import DatagramMessage
from .socket import SocketAddress, address_of
from .worker import DatagramWorker

if TYPE_CHECKING:
    from .endpoint import DatagramEndpoint

BATCH = 64
"""How many datagrams are taken, and handled, at once before it is others' turn; fewer, where they
take more than the budget of time."""

SOURCES = 4096
"""How many senders' addresses are remembered; anybody can make up more."""


class DatagramReader:
    """Takes datagrams from a socket whenever there are some, a bounded number at once.

    `read` -> `Framing.whole` -> `Wire.decode` -> the handler, with no task, future or queue in
    between, as long as the handler is a plain function. From its first awaitable on, and for
    `async for`, datagrams go into the backlog instead.
    """

    __slots__ = (
        "_backlog",
        "_concurrency",
        "_endpoint",
        "_handler",
        "_max_size",
        "_pace",
        "_several",
        "_sock",
        "_sources",
        "worker",
    )

    def __init__(
        self,
        endpoint: "DatagramEndpoint",
        sock: socket.socket,
        backlog: Backlog,
        handler: Handler | None,
        concurrency: int,
        max_size: int,
        pace: Pace,
    ) -> None:
        self._endpoint = endpoint
        self._sock = sock
        self._backlog = backlog
        self._handler = handler
        self._concurrency = concurrency
        self._max_size = max_size
        self._pace = pace
        self._several = several_of(compressed=endpoint.wire.tagged)
        self._sources: dict[SocketAddress, Address] = {}
        # Runs the handlers from the first asynchronous one on.
        self.worker: DatagramWorker | None = None

    def read(self) -> None:
        """Take what there is. The event loop calls this while there is something."""
        endpoint = self._endpoint
        stats = endpoint.stats
        recvfrom = self._sock.recvfrom
        max_size = self._max_size
        # A larger datagram is cut off by the system without a word: leave room to see it.
        size = max_size + 1
        sources = self._sources
        whole = endpoint.wire.framing.whole
        decode = endpoint.wire.decode
        handler = self._handler
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
                endpoint._unreachable(error)
                return
            stats.received += 1
            source = sources.get(name) or self._new_source(name)
            if len(data) > max_size:
                endpoint._drop(source, FrameTooLarge(f"it has more than {max_size} bytes"))
                continue
            try:
                payload, type_id = whole(data)
            except FramingError as error:
                endpoint._drop(source, error)
                continue
            if handler is None:
                if not self._backlog.put((payload, type_id, source)):
                    stats.overflowed += 1
                continue
            if self.worker is not None:
                self.worker.put((payload, type_id, source))
                continue
            if decode is None:
                message = DatagramMessage(payload, type_id, source, endpoint)
            else:
                decoded = endpoint._decoded((payload, type_id, source))
                if decoded is None:
                    continue
                message = decoded
            try:
                result = handler(message)
            except RAISED as error:
                endpoint._handler_failed(error, message)
            else:
                if result is not None and isawaitable(result):
                    self.worker = DatagramWorker(
                        endpoint, self._backlog, handler, self._concurrency, self._pace
                    )
                    self.worker.start(result, message)

    def _new_source(self, name: SocketAddress) -> Address:
        if len(self._sources) >= SOURCES:
            self._sources.clear()
        source = self._sources[name] = address_of(name)
        return source
