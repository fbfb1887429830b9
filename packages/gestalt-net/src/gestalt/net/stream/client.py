"""A client for streams, which keeps its connection up."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, cast

from gestalt.core import Backoff, Handler, StateError, check_thread
from gestalt.net.address import Address
from gestalt.net.errors import ConnectFailed, ConnectionLost, NotConnected
from gestalt.net.pace import SEVERAL, Stint
from gestalt.net.reporting import OnError
from gestalt.net.tls import Tls, half_closing, reason_of
from gestalt.net.wire import Wire

from .connection import Connection, PlainConnection
from .dial import dial, let_go
from .endpoint import OnConnected, OnDisconnected, StreamEndpoint
from .inbox import Inbox
from .keepalive import keep_alive
from .limits import Limits
from .message import StreamMessage
from .peer import Peer
from .sending import Outlet
from .server import check_tls
from .shutdown import shut_down
from .tls_connection import TlsClientConnection
from .writer import Sender

LINGERING = 100
"""How many connections may have ended of which handlers or callbacks still run, before another."""

NOWHERE = Sender(cast("asyncio.AbstractEventLoop", None), 0)
"""What a client without a connection sends to: there is never room."""


class StreamClient(Outlet, StreamEndpoint):
    """Connects to a server, exchanges messages with it, and connects again when the link is lost.

        async with StreamClient("tcp://gateway:9000", wire) as client:
            await client.send(Position(-34.9, 138.6))
            async for message in client:
                ...

    Starting begins to connect, and does not wait for it: `send` and `wait_connected` do. Messages
    go to `on_message`, as in a StreamServer; without it, the application takes them by `async for`,
    and while it lags, reading pauses. The iteration goes on over reconnects, and ends with the
    client.

    A message is sent at most once. `send` raises when it was not accepted; what was accepted and
    could not be sent, since the connection was lost, is counted in the ConnectionLost that
    `on_disconnected` is given.

    Args:
        address: `tcp://host:port`, `tls://host:port` or `unix:///path`. Where a name has several
            addresses, they are tried as RFC 8305 (happy eyeballs) has it.
        wire: how messages cross the socket.
        on_message: takes each `StreamMessage`; a plain function or an async one.
        on_connected: takes the `Peer`, the server, on each new connection.
        on_disconnected: takes the `Peer`, after its last message, or at once where it was cut from
            here, and a ConnectionLost, or None when nothing was wrong and nothing is lost.
        on_error: takes a HandlerError, a ConnectFailed for each attempt that failed, and a
            ConnectionLost for each connection that ended by a fault of the server. Without it, they
            go to the log, a few lines a second of each kind.
        concurrency: how many messages an asynchronous handler may work on at a time.
        backoff: how long to wait before connecting again.
        connect_timeout: how long one attempt may take, and how long `send` waits for a connection,
            in seconds.
        limits: what the server may cost.
        tls: for `tls://`; a unix socket may have it, too. By default, for `tls://`, the server's
            certificate is verified by the system's authorities.
        name: how the client is called in messages.
        stop_timeout: how long stopping may drain, in seconds.

    Raises:
        AddressError: the address is none for a stream.
        ValueError: an argument is out of its range, or TLS settings are superfluous.
    """

    # Beside the dictionary of the base classes: with more than 30 entries, CPython looks up what is
    # in it, methods included, in a slower way.
    __slots__ = (
        "_address",
        "_awaiting_link",
        "_backoff",
        "_connect_timeout",
        "_connection",
        "_encode",
        "_header",
        "_inbox",
        "_iterated",
        "_last_failure",
        "_link",
        "_plain",
        "_socket",
        "_tls",
    )

    def __init__(
        self,
        address: str | Address,
        wire: Wire,
        *,
        on_message: Handler | None = None,
        on_connected: OnConnected | None = None,
        on_disconnected: OnDisconnected | None = None,
        on_error: OnError | None = None,
        concurrency: int = 1,
        backoff: Backoff | None = None,
        connect_timeout: float = 10.0,
        limits: Limits | None = None,
        tls: Tls | ssl.SSLContext | None = None,
        name: str | None = None,
        stop_timeout: float = 10.0,
    ) -> None:
        super().__init__(
            wire,
            on_message=on_message,
            on_connected=on_connected,
            on_disconnected=on_disconnected,
            on_error=on_error,
            concurrency=concurrency,
            limits=limits or Limits(),
            name=name,
            stop_timeout=stop_timeout,
        )
        if not connect_timeout > 0:
            raise ValueError(f"connect_timeout must be positive, got {connect_timeout}")
        self._address = Address.parse(address, ("tcp", "tls", "unix"))
        if self._address.scheme == "tls" and tls is None:
            tls = Tls()
        check_tls(self._address, tls)
        self._tls = tls
        self._backoff = backoff or Backoff()
        self._connect_timeout = connect_timeout
        self._iterated = on_message is None
        self._inbox: Inbox | None = None
        self._connection: Connection | None = None
        self._socket: socket.socket | None = None
        self._last_failure: ConnectFailed | None = None
        self._awaiting_link: set[asyncio.Future[None]] = set()
        self._link = NOWHERE
        self._encode, self._header = wire.encode, wire.header
        self._plain = wire.plain(self.limits.send_buffer)

    # What an application uses

    @property
    def address(self) -> Address:
        """Where the server is."""
        return self._address

    @property
    def peer(self) -> Peer | None:
        """The server, while there is a connection."""
        connection = self._connection
        return None if connection is None or connection.closing else connection.peer

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self.peer is not None

    async def wait_connected(self, timeout: float | None = None) -> Peer:
        """Wait for a connection, and return the peer.

        Args:
            timeout: for how long, in seconds; by default `connect_timeout`.

        Raises:
            NotConnected: none came up in time; the cause is why the last attempt failed.
            StateError: the client is not running, or was stopped meanwhile.
        """
        return (await self._connected(self._connect_timeout if timeout is None else timeout)).peer

    def _send_frame(self, frame: bytes) -> Coroutine[Any, Any, None]:
        connection = self._connection
        if connection is None or (connection.full and connection.closing):
            return self._send_later(frame)
        return connection.send(frame)

    async def _send_later(self, frame: bytes) -> None:
        connection = await self._connected(self._connect_timeout)
        await connection.send(frame)

    def _write_frame(self, frame: bytes) -> None:
        connection = self._connection
        if connection is None or (connection.full and connection.closing):
            if self._serving:
                check_thread(self.loop, self)
            raise self._not_connected()
        connection.write_now(frame)

    def __aiter__(self) -> AsyncIterator[StreamMessage[Any]]:
        """The messages as they come, until the client stops.

        Several tasks may iterate: each message goes to one of them. A read that is cancelled, such
        as by a timeout, loses nothing, and the iteration can go on.

        Raises:
            StateError: the client has `on_message`, or was never started.
        """
        if not self._iterated:
            raise StateError(f"{self!r} gives its messages to on_message")
        if self._inbox is None:
            raise StateError(f"{self!r} has no messages before it is started")
        several = 0 if self.wire.tagged else SEVERAL
        return _Messages(self._inbox, self.wire.decode, Stint(self.pace), several)

    # The life of the component

    async def _open(self) -> None:
        self._begin()
        if self._iterated:
            self._inbox = self.dispatcher = Inbox(self.loop)
        # Files that cannot be used fail the start, not only each attempt.
        await self._client_context()
        self._begin_connecting()

    async def _drain(self) -> None:
        self._wake()
        await self._finish_connections()

    async def _close(self) -> None:
        await self._abort_connections()
        self._forget_socket()
        if self._inbox is not None:
            self._inbox.close()
        self._wake()

    def _begin_connecting(self) -> None:
        def go_on(task: "asyncio.Task[None]") -> None:
            # Somebody has cancelled it who is not to.
            if task.cancelled() and self._serving:
                self._begin_connecting()

        self._spawn(self._keep_connected(), name="connection").add_done_callback(go_on)

    async def _keep_connected(self) -> None:
        delays = self._backoff.delays()
        while self._serving:
            if self._connection is not None:
                await self._connection.wait_closed()
            self._forget_socket()
            # A bound for what a server can make of connections that it ends.
            while len(self._lingering) >= LINGERING:
                await self._next_progress()
            try:
                async with asyncio.timeout(self._connect_timeout):
                    connection = await self._connect()
            except OSError as error:
                self._connect_failed(error)
            else:
                delays.connected()
                await connection.wait_closed()
            await asyncio.sleep(delays.next())

    async def _client_context(self) -> ssl.SSLContext | None:
        """What TLS is to use now; the files are read in a thread."""
        if self._tls is None:
            return None
        if isinstance(self._tls, Tls):
            return half_closing(await asyncio.to_thread(self._tls.client_context))
        return half_closing(self._tls)

    async def _connect(self) -> Connection:
        try:
            context = await self._client_context()
        except (OSError, asyncio.CancelledError):
            raise
        except Exception as error:
            # Of a function that gives the password: the next attempt may succeed.
            raise OSError(f"the key's password was not given: {error!r}") from error
        factory = PlainConnection if context is None else TlsClientConnection
        sock = await dial(self.loop, self._address)
        options: dict[str, Any] = {"sock": sock}
        if context is not None:
            server_name = self._tls.server_name if isinstance(self._tls, Tls) else None
            options["ssl"] = context
            options["server_hostname"] = server_name or self._address.host
            options["ssl_handshake_timeout"] = self.limits.handshake_timeout
            options["ssl_shutdown_timeout"] = self.limits.close_timeout
        unix = self._address.scheme == "unix"
        connect: Any = self.loop.create_unix_connection if unix else self.loop.create_connection
        connection: Connection = factory(self)
        try:
            keep_alive(sock, self.limits.keepalive)
            await connect(lambda: connection, **options)
        except BaseException:
            let_go(sock)
            self._forsake(connection)
            raise
        self._socket = sock
        return connection

    def _forget_socket(self) -> None:
        """Let go of the socket of a closed connection.

        uvloop closes the descriptor below a socket that it was given; when a connection is closed
        as soon as it is made, it leaves the socket object believing that it was open.
        """
        if self._socket is not None:
            self._socket.detach()
            self._socket = None

    def _connect_failed(self, error: OSError) -> None:
        ours = isinstance(error, TimeoutError) and not str(error)
        reason = f"nothing for {self._connect_timeout} s" if ours else reason_of(error)
        failure = ConnectFailed(f"{self._address} cannot be connected to: {reason}")
        failure.__cause__ = error
        self._last_failure = failure
        self.reporting.tell(failure)

    async def _connected(self, timeout: float) -> Connection:
        """Wait for a connection."""
        if not self._serving:
            raise StateError(f"{self!r} is not running")
        check_thread(self.loop, self)
        try:
            async with asyncio.timeout(timeout):
                while (connection := self._connection) is None or connection.closing:
                    waiter = self.loop.create_future()
                    self._awaiting_link.add(waiter)
                    try:
                        await waiter
                    finally:
                        self._awaiting_link.discard(waiter)
                    if not self._serving:
                        raise StateError(f"{self!r} was stopped")
        except TimeoutError:
            raise self._not_connected() from self._last_failure
        return connection

    def _not_connected(self) -> NotConnected:
        reason = f": {self._last_failure}" if self._last_failure is not None else ""
        return NotConnected(f"there is no connection to {self._address}{reason}")

    def _wake(self) -> None:
        for waiter in self._awaiting_link:
            if not waiter.done():
                waiter.set_result(None)

    # Called by connections

    def _connection_made(self, connection: Connection) -> None:
        if not self._serving:
            connection.transport.abort()
            return
        self._connection = self._link = connection
        self._last_failure = None
        if self._inbox is not None:
            self._inbox.attach(connection)
        super()._connection_made(connection)
        self._wake()

    def _connection_lost(self, connection: Connection, error: ConnectionLost | None) -> None:
        if self._connection is connection:
            self._connection = None
            self._link = NOWHERE
        if isinstance(connection, PlainConnection):
            shut_down(connection.transport.get_extra_info("socket"))
        super()._connection_lost(connection, error)


class _Messages(AsyncIterator[StreamMessage[Any]]):
    """An iteration over what a client receives."""

    __slots__ = ("_decode", "_inbox", "_several", "_stint", "_unseen")

    def __init__(
        self,
        inbox: Inbox,
        decode: Callable[[bytes, int | None], Any] | None,
        stint: Stint,
        several: int,
    ) -> None:
        self._inbox = inbox
        self._decode = decode
        self._stint = stint
        self._several = several
        self._unseen = 0

    async def __anext__(self) -> StreamMessage[Any]:
        inbox = self._inbox
        decode = self._decode
        if self._unseen:
            self._unseen -= 1
        else:
            if self._stint.over():
                await self._stint.give_way()
            if self._stint.quick:
                self._unseen = self._several
        while (taken := await inbox.take()) is not None:
            connection, (payload, type_id) = taken
            try:
                body = payload if decode is None else decode(payload, type_id)
            except Exception as error:
                inbox.discard(connection)
                connection.fail(error)
            else:
                return StreamMessage(body, type_id, connection.peer)
        raise StopAsyncIteration
