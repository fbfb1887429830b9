"""The connection that a client has at present, or waits for."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gestalt.core import StateError, check_thread
from gestalt.net.errors import ConnectFailed, NotConnected

from .connection import Connection
from .sending import SendBuffer


class NoRoom:
    """What a client without a connection sends to: no frame fits in."""

    __slots__ = ("frames", "room")

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.room = 0


NO_ROOM: SendBuffer = NoRoom()


class CurrentConnection:
    """Sends over the connection of a client, and waits for one where there is none.

    Args:
        client: as it is to be called in errors.
        server: where it connects to, as it is to be called in errors.
        timeout: how long `send` waits, in seconds.
        serving: whether the client serves, and so whether there may be a connection.

    Attributes:
        loop: the event loop, once the client was started.
        connection: the present one; None where there is none.
        failure: why the last attempt to connect failed; None where none did since the last
            connection.
    """

    def __init__(
        self, client: object, server: object, timeout: float, serving: Callable[[], bool]
    ) -> None:
        self.loop: asyncio.AbstractEventLoop
        self.connection: Connection | None = None
        self.failure: ConnectFailed | None = None
        self._client = client
        self._server = server
        self._timeout = timeout
        self._serving = serving
        self._waiting: set[asyncio.Future[None]] = set()

    def attach(self, connection: Connection) -> None:
        """Send over a connection from now on."""
        self.connection = connection
        self.failure = None
        self.wake()

    def detach(self, connection: Connection) -> None:
        """Send no more over a connection."""
        if self.connection is connection:
            self.connection = None

    def send(self, frame: bytes) -> Coroutine[Any, Any, None]:
        """Send a frame now, or when it is awaited, as soon as there are a connection and room."""
        connection = self.connection
        if connection is None or (connection.full and connection.closing):
            return self._send_later(frame)
        return connection.send(frame)

    async def ready(self) -> Connection:
        """Wait until there are a connection and room, and give the connection."""
        connection = self.connection
        if connection is None or (connection.full and connection.closing):
            connection = await self.wait()
        await connection.writable()
        return connection

    def write_now(self, frame: bytes) -> None:
        """Send a frame now, or raise.

        Raises:
            NotConnected: there is no connection.
            SendBufferFull: the server has not taken what it was sent before.
        """
        connection = self.connection
        if connection is None or (connection.full and connection.closing):
            if self._serving():
                check_thread(self.loop, self._client)
            raise self._not_connected()
        connection.write_now(frame)

    async def wait(self, timeout: float | None = None) -> Connection:
        """Wait for a connection.

        Args:
            timeout: for how long, in seconds; by default that of `send`.

        Raises:
            NotConnected: none came up in time; the cause is why the last attempt failed.
            StateError: the client is not running, or was stopped meanwhile.
        """
        if not self._serving():
            raise StateError(f"{self._client!r} is not running")
        check_thread(self.loop, self._client)
        try:
            async with asyncio.timeout(self._timeout if timeout is None else timeout):
                while (connection := self.connection) is None or connection.closing:
                    waiter = self.loop.create_future()
                    self._waiting.add(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiting.discard(waiter)
                    if not self._serving():
                        raise StateError(f"{self._client!r} was stopped")
        except TimeoutError:
            raise self._not_connected() from self.failure
        return connection

    def wake(self) -> None:
        """Have those who wait look again."""
        for waiter in self._waiting:
            if not waiter.done():  # pragma: no branch - cancelled in this turn
                waiter.set_result(None)

    async def _send_later(self, frame: bytes) -> None:
        connection = await self.wait()
        await connection.send(frame)

    def _not_connected(self) -> NotConnected:
        reason = f": {self.failure}" if self.failure is not None else ""
        return NotConnected(f"there is no connection to {self._server}{reason}")
