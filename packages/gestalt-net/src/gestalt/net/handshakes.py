"""The TLS handshakes of a server: bounded in number, owned, and told of when they fail."""

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, cast

from gestalt.core import keep_from_children

from .address import Address
from .connection import Connection
from .errors import HandshakeFailed
from .tls import reason_of
from .tls_connection import TlsConnection

if TYPE_CHECKING:
    from .server import StreamServer


class Handshakes:
    """The TLS handshakes that are under way; each is a task of the server."""

    def __init__(self, server: "StreamServer") -> None:
        self._server = server
        self._under_way: dict[Connection, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, sock: socket.socket, address: Address, context: ssl.SSLContext) -> None:
        """Begin a handshake with `address`; the socket is closed if it comes to nothing."""
        connection = TlsConnection(self._server)
        task = self._server._spawn(
            self._shake_hands(connection, sock, address, context), name="TLS handshake"
        )
        self._under_way[connection] = task
        task.add_done_callback(lambda _: self._end(connection, sock))

    def done(self, connection: Connection) -> None:
        """Note that a connection has come up."""
        self._under_way.pop(connection, None)

    def abort(self) -> None:
        """End all of them at once."""
        for task in self._under_way.values():
            task.cancel()

    async def _shake_hands(
        self,
        connection: TlsConnection,
        sock: socket.socket,
        address: Address,
        context: ssl.SSLContext,
    ) -> None:
        server = self._server
        try:
            await server.loop.connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=context,
                ssl_handshake_timeout=server.limits.handshake_timeout,
                ssl_shutdown_timeout=server.limits.close_timeout,
            )
        except Exception as error:
            server.stats.handshakes_failed += 1
            failure = HandshakeFailed(
                f"the TLS handshake with {address} failed: {reason_of(error)}", address
            )
            failure.__cause__ = error
            server._tell(failure)

    def _end(self, connection: Connection, sock: socket.socket) -> None:
        # Without a connection there may be no transport, either, that would close the socket.
        if self._under_way.pop(connection, None) is not None:
            sock.close()


class Arrival(asyncio.Protocol):
    """A connection that was accepted, before its handshake: it hands on its socket and ends.

    The event loop could do the handshake itself, but it tells nobody when one fails, nor how many
    are under way. Its `start_tls` for a transport would lose what uvloop has read until then.
    """

    def __init__(self, server: "StreamServer", context: ssl.SSLContext) -> None:
        self._server = server
        self._context = context

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Closing the transport closes its own descriptor only: the connection goes on in the copy.
        server = self._server
        accepted = cast("asyncio.Transport", transport)
        try:
            if server._admits():
                sock = accepted.get_extra_info("socket").dup()
                keep_from_children(sock.fileno())
                address = Address.of_socket("tls", accepted.get_extra_info("peername"))
                server._handshakes.begin(sock, address, self._context)
        except OSError as error:
            server._report(error, f"{server!r} cannot begin a TLS handshake")
        finally:
            accepted.abort()
