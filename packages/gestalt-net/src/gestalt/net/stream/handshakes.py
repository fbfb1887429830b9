"""From accepted sockets to connections: bounded in number, owned, and told of when they fail."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

from gestalt.net.address import Address
from gestalt.net.tls import reason_of

from .connection import Connection, Owner
from .dial import let_go
from .errors import HandshakeFailed
from .plain_connection import PlainConnection
from .tls_connection import TlsConnection


class Handshakes:
    """The connections that were accepted and have not come up; each is a task of the server.

    The event loops could do the handshakes of TLS by themselves, but they tell nobody when one
    fails, nor how many are under way.

    Args:
        owner: whose the connections are.
        spawn: makes a task of the server.
        forsake: told of each connection that came to nothing, when it may have come up already.
        report: told why, and from where it was: a HandshakeFailed where TLS came to nothing.
    """

    def __init__(
        self,
        owner: Owner,
        *,
        spawn: Callable[..., asyncio.Task[None]],
        forsake: Callable[[Connection], None],
        report: Callable[[Exception, Address], None],
    ) -> None:
        self._owner = owner
        self._spawn = spawn
        self._forsake = forsake
        self._report = report
        self._under_way: dict[Connection, asyncio.Task[None]] = {}
        # Of those whose tasks have not begun.
        self._sockets: dict[Connection, socket.socket] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, sock: socket.socket, address: Address, context: ssl.SSLContext | None) -> None:
        """Have a connection come up; the socket is closed if it comes to nothing."""
        connection = (PlainConnection if context is None else TlsConnection)(self._owner)
        self._sockets[connection] = sock
        task = self._spawn(
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
        limits = self._owner.limits
        sock = self._sockets.pop(connection)
        options: dict[str, Any] = {}
        if context is not None:
            options["ssl"] = context
            options["ssl_handshake_timeout"] = limits.handshake_timeout
            options["ssl_shutdown_timeout"] = limits.close_timeout
        try:
            await self._owner.loop.connect_accepted_socket(lambda: connection, sock, **options)
        except BaseException as error:
            let_go(sock)
            self._forsake(connection)
            if not isinstance(error, Exception):
                raise
            if context is None:
                # It was reset before it came up, on macOS.
                self._report(error, address)
                return
            failure = HandshakeFailed(
                f"the TLS handshake with {address} failed: {reason_of(error)}", address
            )
            failure.__cause__ = error
            self._report(failure, address)

    def _end(self, connection: Connection) -> None:
        self._under_way.pop(connection, None)
        sock = self._sockets.pop(connection, None)
        if sock is not None:
            sock.close()
