"""From accepted sockets to connections: bounded in number, owned, and told of when they fail."""

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

from gestalt.net.address import Address
from gestalt.net.errors import HandshakeFailed
from gestalt.net.tls import reason_of

from .connection import Connection, PlainConnection
from .dial import let_go
from .tls_connection import TlsConnection

if TYPE_CHECKING:
    from .server import StreamServer


class Handshakes:
    """The connections that were accepted and have not come up; each is a task of the server.

    The event loops could do the handshakes of TLS by themselves, but they tell nobody when one
    fails, nor how many are under way.
    """

    def __init__(self, server: "StreamServer") -> None:
        self._server = server
        self._under_way: dict[Connection, asyncio.Task[None]] = {}
        # Of those whose tasks have not begun.
        self._sockets: dict[Connection, socket.socket] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, sock: socket.socket, address: Address, context: ssl.SSLContext | None) -> None:
        """Have a connection come up; the socket is closed if it comes to nothing."""
        server = self._server
        connection = PlainConnection(server) if context is None else TlsConnection(server)
        self._sockets[connection] = sock
        task = server._spawn(
            self._shake_hands(connection, address, context), name=f"connection of {address}"
        )
        self._under_way[connection] = task
        task.add_done_callback(lambda _: self._end(connection))

    def done(self, connection: Connection) -> None:
        """Note that a connection has come up."""
        self._under_way.pop(connection, None)

    def abort(self) -> None:
        """End all of them at once."""
        for task in self._under_way.values():
            task.cancel()

    async def _shake_hands(
        self,
        connection: PlainConnection | TlsConnection,
        address: Address,
        context: ssl.SSLContext | None,
    ) -> None:
        server = self._server
        sock = self._sockets.pop(connection)
        options: dict[str, Any] = {}
        if context is not None:
            options["ssl"] = context
            options["ssl_handshake_timeout"] = server.limits.handshake_timeout
            options["ssl_shutdown_timeout"] = server.limits.close_timeout
        try:
            await server.loop.connect_accepted_socket(lambda: connection, sock, **options)
        except BaseException as error:
            let_go(sock)
            server._forsake(connection)
            if not isinstance(error, Exception):
                raise
            if context is None:
                # It was reset before it came up.
                server.stats.refused += 1
                server._report_error(error, f"{server!r} cannot take the connection of {address}")
                return
            server.stats.handshakes_failed += 1
            failure = HandshakeFailed(
                f"the TLS handshake with {address} failed: {reason_of(error)}", address
            )
            failure.__cause__ = error
            server.reporting.tell(failure)

    def _end(self, connection: Connection) -> None:
        self._under_way.pop(connection, None)
        sock = self._sockets.pop(connection, None)
        if sock is not None:
            sock.close()
