"""Connections without TLS: over TCP and unix sockets."""

import asyncio

from .connection import Connection, Owner
from .shared_buffer import FEW, HEADROOM, READ_SIZE, shared_buffer
from .shutdown import shut_down


class PlainConnection(Connection, asyncio.BufferedProtocol):
    """Reads into a buffer that all connections of the event loop share."""

    __slots__ = ("_reading", "_short", "_views")

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self._views = shared_buffer(owner.loop)
        self._reading = self._short = self._views.short

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - a hint that is not needed
        return self._reading

    def buffer_updated(self, nbytes: int) -> None:
        # Frames are cut out of immutable bytes: slicing these is twice as fast as a memoryview.
        if nbytes < HEADROOM:
            reading = self._reading = self._short
            self.data_received(bytes(reading[:nbytes]))
            return
        before = self.received
        whole, short, long = self._views
        begin = HEADROOM
        if (pending := self._pending) and len(pending) <= HEADROOM:
            begin -= len(pending)
            whole[begin:HEADROOM] = pending
            self.received_bytes -= len(pending)
            pending.clear()
        self.data_received(bytes(whole[begin : HEADROOM + nbytes]))
        # A read costs as much as several messages. What is to wait is read in short pieces.
        waits = self.worker is not None or self.unread
        few = nbytes >= READ_SIZE and 1 < self.received - before <= FEW
        self._reading = long if few and not waits else short

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost:
            # Forked children may have the socket, too.
            shut_down(self.transport.get_extra_info("socket"))
        super().connection_lost(exc)
