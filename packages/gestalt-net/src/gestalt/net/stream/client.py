"""A client for streams, which keeps its connection up."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

from gestalt.core import Backoff, Handler, Readiness, StateError
from gestalt.core.attempts import Attempts
from gestalt.core.telling import raised_in
from gestalt.net.address import Address
from gestalt.net.errors import ConnectFailed, NetError
from gestalt.net.reporting import OnError, logger
from gestalt.net.tls import Tls, half_closing, reason_of
from gestalt.net.wire import Wire

from .connection import Connection
from .connections import OnConnected, OnDisconnected
from .current import NO_ROOM, CurrentConnection
from .dial import dial, let_go
from .endpoint import StreamEndpoint, check_tls
from .inbox import Inbox
from .iteration import StreamIteration
from .keepalive import keep_alive
from .keyed import Key
from .limits import Limits
from .message import StreamMessage
from .peer import Peer
from .plain_connection import PlainConnection
from .sending import MessageSender
from .tls_connection import TlsClientConnection

LINGERING = 100
"""How many connections may have ended of which handlers or callbacks still run, before another."""


class StreamClient(MessageSender, StreamEndpoint, Readiness):
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
        on_messages: in its place, takes a `StreamBatch` of what one read has brought, up to 1,024
            messages.
        on_connected: takes the `Peer`, the server, on each new connection.
        on_disconnected: takes the `Peer`, after its last message, or at once where it was cut from
            here, and a ConnectionLost, or None when nothing was wrong and nothing is lost.
        on_error: takes a HandlerError, a ConnectFailed for each attempt that failed, and a
            ConnectionLost for each connection that ended by a fault of the server. Without it, they
            go to the log, a few lines a second of each kind.
        concurrency: how many messages an asynchronous handler may work on at a time.
        key: for `on_message`, a plain function that gives what messages of one connection have in
            common that are to be handled one after the other, in order, and others meanwhile; None,
            the default, where with more `concurrency` they have no order among them.
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
        ValueError: an argument is out of its range, TLS settings are superfluous, or there is a
            `key` and no `on_message`.
        TypeError: `key` is no plain function, or `on_messages` is a table of handlers.
    """

    def __init__(
        self,
        address: str | Address,
        wire: Wire,
        *,
        on_message: Handler | None = None,
        on_messages: Handler | None = None,
        on_connected: OnConnected | None = None,
        on_disconnected: OnDisconnected | None = None,
        on_error: OnError | None = None,
        concurrency: int = 1,
        key: Key | None = None,
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
            on_messages=on_messages,
            on_connected=on_connected,
            on_disconnected=on_disconnected,
            on_error=on_error,
            concurrency=concurrency,
            key=key,
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
        self._iterated = on_message is None and on_messages is None
        self._inbox: Inbox | None = None
        self._current = CurrentConnection(self, self._address, connect_timeout, self._serving)
        self._socket: socket.socket | None = None
        self._attempts: Attempts
        self._buffer = NO_ROOM
        self._writer = self._current
        self._wire = wire
        self._encode, self._header = wire.encode, wire.header_for(self.limits.send_buffer)

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
    def _connection(self) -> Connection | None:
        return self._current.connection

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self.peer is not None

    @property
    def trouble(self) -> str | None:
        """Why there is no connection, such as that the last attempt was refused; None if there is.

        `ready` is the same as `connected`.
        """
        if self.connected:
            return None
        failure = self._current.failure
        cause = None if failure is None else failure.__cause__
        if cause is None:
            return "it is not connected"
        # Not what an error says in its own words: that may be one of the application.
        why = cause.strerror if isinstance(cause, OSError) else None
        return f"{self._address} cannot be connected to: {why or type(cause).__name__}"

    async def wait_connected(self, timeout: float | None = None) -> Peer:
        """Wait for a connection, and return the peer.

        Args:
            timeout: for how long, in seconds; by default `connect_timeout`.

        Raises:
            NotConnected: none came up in time; the cause is why the last attempt failed.
            StateError: the client is not running, or was stopped meanwhile.
        """
        return (await self._current.wait(timeout)).peer

    def __aiter__(self) -> AsyncIterator[StreamMessage[Any]]:
        """The messages as they come, until the client stops.

        Several tasks may iterate: each message goes to one of them. A read that is cancelled, such
        as by a timeout, loses nothing, and the iteration can go on.

        Raises:
            StateError: the client has `on_message`, or was never started.
        """
        if not self._iterated:
            taker = "on_message" if self._on_messages is None else "on_messages"
            raise StateError(f"{self!r} gives its messages to {taker}")
        if self._inbox is None:
            raise StateError(f"{self!r} has no messages before it is started")
        return StreamIteration(self._inbox, self.wire, self._pace)

    # The life of the component

    async def _open(self) -> None:
        self._begin()
        wire = self._wire = self._connections.wire
        self._encode, self._header = wire.encode, wire.header_for(self.limits.send_buffer)
        self._current.loop = self._loop
        self._attempts = Attempts(logger, self._loop.time)
        if self._iterated:
            self._inbox = Inbox(self._loop)
            self._connections.dispatch = self._inbox.dispatch
            self._connections.unread = self._inbox.__len__
        # Files that cannot be used fail the start, not only each attempt.
        await self._client_context()
        self._begin_connecting()

    async def _drain(self) -> None:
        self._current.wake()
        await self._connections.finish()

    async def _close(self) -> None:
        await self._abort_connections()
        self._forget_socket()
        if self._inbox is not None:
            self._inbox.close()
        self._current.wake()

    def _begin_connecting(self) -> None:
        def go_on(task: "asyncio.Task[None]") -> None:
            # Somebody has cancelled it who is not to.
            if task.cancelled() and self._serving():
                self._begin_connecting()

        self._spawn(self._keep_connected(), name="connection").add_done_callback(go_on)

    async def _keep_connected(self) -> None:
        delays = self._backoff.delays()
        while self._serving():
            if self._connection is not None:
                await self._connection.wait_closed()
            self._forget_socket()
            # A bound for what a server can make of connections that it ends.
            while len(self._connections) >= LINGERING:
                await self._connections.progress()
            try:
                async with asyncio.timeout(self._connect_timeout):
                    connection = await self._connect()
            except OSError as error:
                self._connect_failed(error)
            else:
                delays.connected()
                self._attempts.succeeded(f"{self.name}: connected to {self._address}")
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
            raise OSError(f"the key's password was not given: {raised_in(error)}") from error
        factory = PlainConnection if context is None else TlsClientConnection
        sock = await dial(self._loop, self._address)
        options: dict[str, Any] = {"sock": sock}
        if context is not None:
            server_name = self._tls.server_name if isinstance(self._tls, Tls) else None
            options["ssl"] = context
            options["server_hostname"] = server_name or self._address.host
            options["ssl_handshake_timeout"] = self.limits.handshake_timeout
            options["ssl_shutdown_timeout"] = self.limits.close_timeout
        unix = self._address.scheme == "unix"
        connect: Any = self._loop.create_unix_connection if unix else self._loop.create_connection
        connection: Connection = factory(self._connections)
        try:
            keep_alive(sock, self.limits.keepalive)
            await connect(lambda: connection, **options)
        except BaseException:
            let_go(sock)
            self._connections.forsake(connection)
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
        self._current.failure = failure
        self._reporting.tell(failure, log=self._log_attempt)

    def _log_attempt(self, failure: NetError) -> None:
        self._attempts.failed(f"{self.name}: {failure}")

    # Called for connections

    def _admit(self, connection: Connection) -> bool:
        if not self._serving():
            return False
        self._buffer = connection
        if self._inbox is not None:
            self._inbox.attach(connection)
        self._current.attach(connection)
        return True

    def _forget(self, connection: Connection) -> None:
        if self._buffer is connection:
            self._buffer = NO_ROOM
        self._current.detach(connection)
