"""Connections by TLS, whose halves are closed one by one as those of TCP are."""

import asyncio
import ssl
from typing import Any

from gestalt.net.tls import HalfClosingTls, confirmed, reason_of

from .connection import Connection, Owner
from .errors import HandshakeFailed


class TlsConnection(Connection, asyncio.Protocol):
    """Takes what TLS has decrypted: a BufferedProtocol is slow there (cpython#133112).

    The event loops know half-closed connections of TCP only. Of TLS, they end a connection at the
    other end's close_notify, and drop what is written after the end of its TCP stream. So the
    former is kept from them, and the latter is left unread while something is being handled.
    """

    scheme = "tls"

    __slots__ = ("_cut_short", "_holding", "_names", "_tls", "_within_read")

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self._tls: HalfClosingTls | None = None
        self._cut_short = False
        self._holding = False
        self._within_read = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The transport of TLS forgets them when the connection is lost.
        names = ("peername", "sockname", "ssl_object")
        self._names = {name: transport.get_extra_info(name) for name in names}
        tls = transport.get_extra_info("ssl_object")
        if isinstance(tls, HalfClosingTls):
            self._tls = tls
            tls.on_end = self._note_end
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._within_read = True
        try:
            super().data_received(data)
        finally:
            self._within_read = False

    def eof_received(self) -> bool:
        # Without close_notify, or where nobody tells of it: the event loop closes now.
        self._note_cut()
        super().eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._note_cut()
        if self._tls is not None:
            self._tls.on_end = None
        if exc is None and self._cut_short:
            exc = ssl.SSLEOFError(
                ssl.SSL_ERROR_EOF, "it ended TCP without TLS's close_notify, and awaited no reply"
            )
        super().connection_lost(exc)

    def close(self) -> None:
        if self._holding and not (self.closing or (self._tls is not None and self._tls.ended)):
            self._limit()  # the answer to our close_notify is to be read
        super().close()

    def pause_reading(self) -> None:
        super().pause_reading()
        self._hold()

    def resume_reading(self) -> None:
        super().resume_reading()
        if self._holding and not self.closing and self.transport.is_reading():
            self._holding = False
            # The end of TCP is to be met after what is left to be decrypted, which comes first.
            self._loop.call_soon(self._release)

    def socket_name(self, which: str) -> Any:
        return self._names[which]

    def _note_end(self) -> None:
        # What came with it is not delivered yet.
        self._loop.call_soon(self._end)
        self._within_read = True
        self._hold()
        self._within_read = False

    def _end(self) -> None:
        if not self.lost:  # pragma: no branch - lost in this turn
            super().eof_received()

    def _note_cut(self) -> None:
        if self.busy and not self._finishing:
            self._cut_short = True

    # Whether TCP is read: pausing the transport of TLS only holds back what is decrypted. Between
    # its limits, in bytes that are to be decrypted, the transport leaves TCP as it is; at a look
    # where both are 0 and there is nothing to decrypt, it pauses, and at the next one it resumes.
    # It looks when they are set, and at the end of each read.

    def _hold(self) -> None:
        if self._holding or self.closing:
            return
        self._holding = True
        self._limit()
        self._limit(0, 0)
        if self._within_read:
            self._limit(0, 0)

    def _release(self) -> None:
        if not (self._holding or self.closing):  # pragma: no branch - held or closed in this turn
            self._limit()

    def _limit(self, *limits: int) -> None:
        transport: Any = self.transport
        transport.set_read_buffer_limits(*limits)


class TlsClientConnection(TlsConnection):
    """Notes when the server never confirmed the handshake.

    In TLS 1.3 a client is done with the handshake before the server has looked at its certificate.
    """

    __slots__ = ()

    def eof_received(self) -> bool:
        self._note_refusal(None)
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._note_refusal(exc)
        self._names["ssl_object"] = None
        super().connection_lost(exc)

    def _end(self) -> None:
        if not self.lost:  # pragma: no branch - lost in this turn
            self._note_refusal(None)
        super()._end()

    def _note_refusal(self, exc: Exception | None) -> None:
        ended_here = self._finishing or self.fault is not None
        heard = self._decoder is not None
        if self.lost or ended_here or heard or confirmed(self._names["ssl_object"]):
            return
        what = "the server did not confirm the TLS handshake"
        # The event loops of many servers drop the alert that would tell why.
        why = reason_of(exc) if isinstance(exc, ssl.SSLError) else "it may refuse our certificate"
        self.fault = HandshakeFailed(f"{what}: {why}", self.peer.address)
        self.fault.__cause__ = exc
