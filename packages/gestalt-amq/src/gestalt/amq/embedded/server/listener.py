"""The socket that clients connect to."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from .settings import Settings

_BACKLOG = 512


class Listener:
    """Listens on one address; it may be closed and opened again on the same port.

    Args:
        host: The address or name to listen on.
        port: The port; 0 lets the system choose one, which is kept.
        settings: The broker's settings.
        make_connection: Makes the protocol of a new connection.
        spawn: Runs a coroutine in a task that the broker owns.
    """

    def __init__(
        self,
        host: str,
        port: int,
        settings: Settings,
        make_connection: Callable[[], asyncio.Protocol],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._host = host
        self.port = port
        self._settings = settings
        self._make_connection = make_connection
        self._spawn = spawn
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None

    def open(self) -> None:
        """Listens; clients can connect when this returns.

        Raises:
            OSError: The address cannot be used.
        """
        if self._socket is not None:
            return
        family, kind, protocol, _, address = socket.getaddrinfo(
            self._host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
            listening.setblocking(False)
        except OSError:
            listening.close()
            raise
        self._socket = listening
        self.port = listening.getsockname()[1]
        self._spawn(self._serve(listening))

    def close(self) -> None:
        """Stops to listen. Connections that are open stay."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        listening, self._socket = self._socket, None
        if listening is not None:
            listening.close()

    async def _serve(self, listening: socket.socket) -> None:
        server = await asyncio.get_running_loop().create_server(
            self._make_connection, sock=listening, ssl=self._settings.tls, backlog=_BACKLOG
        )
        if self._socket is listening:
            self._server = server
        else:
            server.close()
