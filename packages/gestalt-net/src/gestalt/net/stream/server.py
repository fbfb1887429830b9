"""A server for streams."""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gestalt.core import Handler, StateError, check_thread, keep_from_children
from gestalt.core.reloading import reloads
from gestalt.net.address import Address
from gestalt.net.errors import AcceptFailed, UnknownPeer
from gestalt.net.inherited import SCHEMES, inherited
from gestalt.net.reporting import OnError
from gestalt.net.tls import Tls, half_closing
from gestalt.net.wire import Wire

from .broadcast import Broadcaster
from .connection import Connection
from .connections import OnConnected, OnDisconnected, PeersView
from .endpoint import StreamEndpoint, check_tls
from .errors import HandshakeFailed
from .handshakes import Handshakes
from .keepalive import keep_alive
from .keyed import Key
from .limits import Limits
from .listening import BACKLOG, Listener, bind
from .peer import Peer
from .unix_socket import inode, listen


class StreamServer(Broadcaster, StreamEndpoint):
    """Listens on an address and exchanges messages with the peers that connect.

        async with StreamServer("tcp://0.0.0.0:9000", wire, on_message=handlers) as server:
            await server.wait_stopped()

    `on_message` is a plain function, which is called within the loop's read callback, or an async
    one. Messages of one peer are handled in order, one at a time; a slow handler slows its own peer
    only. Callbacks may be async, too; these run in tasks of their own.

    An exception of a handler goes to `on_error` as a HandlerError, and the peer stays; but a reply
    to a peer that has left, and the ConnectionLost of it, is no error of the handler. A peer that
    breaks the framing, sends what the codec refuses or what no handler takes (HandlerNotFound), or
    exceeds a limit is disconnected, alone; this goes to `on_error` as a ConnectionLost, and a TLS
    handshake that fails as a HandshakeFailed. Without `on_error` they go to the log, with their
    traceback where the cause is not ours, a few lines a second of each kind. None of them ends the
    server, nor does what `on_error` and the other callbacks raise.

    Where the system has no descriptors left, connections are refused and counted, and `on_error` is
    given an AcceptFailed, once a second at most; others are accepted as soon as there are some.

    Stopping accepts nobody and reads nothing any more; what was received is handled, while all
    peers stay connected; then what was accepted for sending is sent, and they are closed. What is
    left after `stop_timeout` is aborted.

    Args:
        address: `tcp://host:port`, `tls://host:port` or `unix:///path`; or what this process was
            started with: `fd://3` or, by socket activation, `systemd://name`.
        wire: how messages cross the socket.
        on_message: takes each `StreamMessage`.
        on_messages: in its place, takes a `StreamBatch` of what one read has brought from one peer,
            up to 1,024 messages. Where one does not decode, those before it come first.
        on_connected: takes each new `Peer`.
        on_disconnected: takes each `Peer` that has gone, and a ConnectionLost, or None when nothing
            was wrong and nothing is lost. It is called after the peer's last message; at once where
            the peer was cut from here, by a limit or `abort`.
        on_error: takes a HandlerError, a ConnectionLost, a HandshakeFailed or an AcceptFailed. When
            it is an async function, 100 calls may be under way; errors beyond that are counted as
            `unreported`, and logged.
        concurrency: how many messages of one peer an asynchronous handler may work on at a time.
        key: a plain function that gives what messages of one peer have in common that are to be
            handled one after the other, in order, and others meanwhile; None, the default, where
            with more `concurrency` they have no order among them.
        limits: what a peer may cost.
        tls: for `tls://`; a unix socket may have it, too.
        reuse_port: whether several processes may listen on the port and share its connections.
        name: how the server is called in messages.
        stop_timeout: how long stopping may drain, in seconds.

    Raises:
        AddressError: the address is none for a stream.
        ValueError: an argument is out of its range, or TLS settings are missing or superfluous.
        TypeError: `key` is no plain function, `on_messages` is a table of handlers, or there is
            neither `on_message` nor `on_messages`.
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
        limits: Limits | None = None,
        tls: Tls | ssl.SSLContext | None = None,
        reuse_port: bool = False,
        name: str | None = None,
        stop_timeout: float = 10.0,
    ) -> None:
        if on_message is None and on_messages is None:
            raise TypeError("a StreamServer needs on_message= or on_messages=")
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
        self._address = Address.parse(address, ("tcp", "tls", "unix", *SCHEMES))
        check_tls(self._address, tls)
        self._scheme = self._address.scheme
        if self._scheme in SCHEMES:
            self._scheme = "tcp" if tls is None else "tls"
        self._tls = tls
        self._ssl: ssl.SSLContext | None = None
        self._reuse_port = reuse_port
        self._listener: Listener | None = None
        self._handshakes = Handshakes(
            self._connections,
            spawn=self._spawn,
            forsake=self._connections.forsake,
            report=self._handshake_failed,
        )
        self._socket_file: tuple[str, int | None] | None = None
        self._addresses: tuple[Address, ...] = ()
        self._peers = PeersView(self._connections)

    # What an application uses

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where the server listens, or listened at last; port 0 is replaced by the one it got."""
        return self._addresses

    @property
    def address(self) -> Address:
        """The first of `addresses`.

        Raises:
            StateError: the server was never started.
        """
        if not self._addresses:
            raise StateError(f"{self!r} has no address before it is started")
        return self._addresses[0]

    @property
    def peers(self) -> Mapping[int, Peer]:
        """The connected peers by their identifiers; it shows each change."""
        return self._peers

    @property
    def _sending_wire(self) -> Wire:
        return self._connections.wire

    def _receivers(self, to: Iterable[Peer] | None) -> list[Connection]:
        if self._serving():
            check_thread(self._loop, self)
        return self._connections.of(to)

    async def send(self, peer_id: int, body: Any, type_id: int | None = None) -> None:
        """Send a message to one peer: see `Peer.send`.

        Raises:
            UnknownPeer: it is not connected, or not any more.
        """
        if peer_id not in self._peers:
            raise UnknownPeer(f"no peer {peer_id} is connected")
        await self._peers[peer_id].send(body, type_id)

    def reload_tls(self) -> None:
        """Read all TLS files again, for connections made from now on.

        Raises:
            StateError: the server is not running, or was not given its TLS settings by file names.
            OSError: a file cannot be read, or is no certificate or key; what was in use stays so.
        """
        if self._ssl is None or not isinstance(self._tls, Tls):
            raise StateError(f"{self!r} has no TLS files in use")
        self._ssl = half_closing(self._tls.server_context())

    @reloads
    def _reload_files(self) -> None:
        if self._ssl is not None and isinstance(self._tls, Tls):
            self.reload_tls()

    # The life of the component

    async def _open(self) -> None:
        self._begin()
        if isinstance(self._tls, Tls):
            self._ssl = half_closing(self._tls.server_context())
        elif self._tls is not None:
            self._ssl = half_closing(self._tls)
        listener = self._listener = Listener(
            self._loop, admit=self._accepted, report=self._accept_failed, spawn=self._spawn
        )
        if self._address.scheme == "unix":
            sock = await listen(self._address, BACKLOG)
            path = self._address.path
            if not path.startswith("\0"):
                self._socket_file = path, inode(path)
            listener.listen([sock])
        elif self._address.scheme in SCHEMES:
            listener.listen(inherited(self._address, socket.SOCK_STREAM), shared=True)
        else:
            listener.listen(await bind(self._address, reuse_port=self._reuse_port))
        for each in listener.sockets:
            keep_from_children(each.fileno())
            keep_alive(each, self.limits.keepalive)
        self._addresses = tuple(
            Address.of_socket(self._scheme, each.getsockname()) for each in listener.sockets
        )

    async def _drain(self) -> None:
        self._stop_listening()
        await self._connections.finish()

    async def _close(self) -> None:
        self._stop_listening()
        await self._abort_connections()
        # The transports of those that had just come up are closed by now, their sockets are next.
        await asyncio.sleep(0)

    def _stop_listening(self) -> None:
        if self._socket_file is not None:
            path, ours = self._socket_file
            self._socket_file = None
            # While we listen, nobody takes the file's place, unless somebody has removed it.
            try:
                if inode(path) == ours:
                    Path(path).unlink()
            except OSError as error:  # pragma: no cover - who may make a file may remove it, mostly
                self._report_error(error, f"{self!r} cannot remove its socket's file")
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._handshakes.abort()

    # Called by the listener, for the handshakes, and by the connections

    def _accepted(self, sock: socket.socket, name: Any) -> None:
        """Take a connection that was accepted, or close it where there are too many."""
        most = self.limits.max_peers
        present = len(self._connections) + len(self._handshakes)
        if not self._serving() or (most is not None and present >= most):
            self.stats.refused += 1
            sock.close()
        else:
            keep_from_children(sock.fileno())
            address = Address.of_socket(self._scheme, name)
            self._handshakes.begin(sock, address, self._ssl)

    def _accept_failed(self, error: AcceptFailed) -> None:
        self.stats.refused += error.refused
        self._reporting.tell(error)

    def _handshake_failed(self, error: Exception, address: Address) -> None:
        if isinstance(error, HandshakeFailed):
            self.stats.handshakes_failed += 1
            self._reporting.tell(error)
        else:
            self.stats.refused += 1
            self._report_error(error, f"{self!r} cannot take the connection of {address}")

    def _admit(self, connection: Connection) -> bool:
        self._handshakes.done(connection)
        return self._serving()
