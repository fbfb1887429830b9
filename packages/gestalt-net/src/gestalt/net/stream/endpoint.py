"""What a stream server and a stream client have in common."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, TypeAlias

from gestalt.core import Component, Handler, State
from gestalt.net.errors import ConnectionLost, HandlerError
from gestalt.net.pace import Pace
from gestalt.net.reporting import RAISED, OnError, Reporting, is_own_cancellation
from gestalt.net.wire import Wire

from .connection import Connection
from .handling import Dispatcher, HandlerDispatcher
from .limits import Limits
from .message import StreamMessage
from .peer import Peer
from .room import Room
from .timeouts import Sweep

OnConnected: TypeAlias = Callable[[Peer], Any]
OnDisconnected: TypeAlias = Callable[[Peer, ConnectionLost | None], Any]


@dataclass(slots=True)
class StreamStats:
    """Counters of an endpoint, since it was made.

    Args:
        connected: connections that came up.
        refused: connections closed at once, since there were `max_peers` already, or the system had
            no descriptors left.
        handshakes_failed: connections to a server whose TLS handshake came to nothing.
        faults: connections closed because of what the peer did, or failed to do.
        handler_errors: exceptions raised by handlers and callbacks.
        dropped: messages of a broadcast that slow peers were not sent.
        unreported: errors that `on_error` was not given, since it was too slow.
    """

    connected: int = 0
    refused: int = 0
    handshakes_failed: int = 0
    faults: int = 0
    handler_errors: int = 0
    dropped: int = 0
    unreported: int = 0


class StreamEndpoint(Component):
    """Connections, their messages, and what happens to them. Use StreamServer or StreamClient."""

    def __init__(
        self,
        wire: Wire,
        *,
        on_message: Handler | None,
        on_connected: OnConnected | None,
        on_disconnected: OnDisconnected | None,
        on_error: OnError | None,
        concurrency: int,
        limits: Limits,
        name: str | None,
        stop_timeout: float,
    ) -> None:
        super().__init__(name=name, stop_timeout=stop_timeout)
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, got {concurrency}")
        self.wire = wire
        self.limits = limits
        self.stats = StreamStats()
        self.loop: asyncio.AbstractEventLoop
        self.dispatcher: Dispatcher
        if on_message is not None:
            self.dispatcher = HandlerDispatcher(self, on_message, concurrency)
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self.reporting = Reporting(self, on_error, report=self._report_error, spawn=self._spawn)
        self.pace: Pace
        self.room = Room(limits.receive_buffer, getattr(wire.framing, "max_size", None))
        self._next_peer_id = itertools.count(1).__next__
        self._connections: dict[int, Connection] = {}
        # Lost, with messages that are not handled yet, and why they were lost.
        self._leaving: dict[Connection, ConnectionLost | None] = {}
        # Lost, and something of it still runs here: handlers or callbacks.
        self._lingering: set[Connection] = set()
        # Whoever waits until a connection has gone, or is done with everything that it received.
        self._awaiting_progress: list[asyncio.Future[None]] = []
        self._draining = False
        self._sweep: Sweep | None = None

    # What a subclass uses

    def _begin(self) -> None:
        """Note the event loop, and look after the limits from now on."""
        self.loop = asyncio.get_running_loop()
        self.pace = Pace(self.loop)
        self._sweep = Sweep(self.loop, self.limits, self._connections, self.room)

    async def _finish_connections(self) -> None:
        """Let every connection finish what it has received and is to send, and close it.

        None is closed before all handlers are done: they may send to any of them.
        """
        self._draining = True
        try:
            for connection in list(self._connections.values()):
                connection.end_reading()
            while self._handling:
                await self._next_progress()
            for connection in list(self._connections.values()):
                connection.finish()
            while self._connections or self._handling:
                await self._next_progress()
        finally:
            self._draining = False

    async def _abort_connections(self) -> None:
        """Close every connection at once."""
        if self._sweep is not None:
            self._sweep.stop()
        for connection in list(self._connections.values()):
            connection.abort()
        while self._connections:
            await next(iter(self._connections.values())).wait_closed()
        # Their workers were cancelled: nobody handles the rest any more.
        for connection in list(self._leaving):
            self._peer_gone(connection)
        self._lingering.clear()
        self.reporting.flush()

    @property
    def _handling(self) -> bool:
        """Whether something that was received is not handled yet."""
        return any(
            connection.worker is not None and not connection.worker.idle
            for connection in (*self._connections.values(), *self._lingering)
        )

    async def _next_progress(self) -> None:
        waiter = self.loop.create_future()
        self._awaiting_progress.append(waiter)
        await waiter

    def _forsake(self, connection: Connection) -> None:
        """Note that a connection has ended that had only just come up.

        Whoever is cancelled while he makes one has it ended; uvloop then does not say so.
        """
        if self._connections.get(connection.peer.id) is connection:
            connection.connection_lost(None)

    # Called by connections

    def _connection_made(self, connection: Connection) -> None:
        self._connections[connection.peer.id] = connection
        self.stats.connected += 1
        self._call(self._on_connected, connection)

    def _connection_lost(self, connection: Connection, error: ConnectionLost | None) -> None:
        if self._connections.pop(connection.peer.id, None) is None:
            return
        self._leaving[connection] = error
        self._lingering.add(connection)
        worker = connection.worker
        if worker is None or worker.idle or connection.cut:
            self._peer_gone(connection)
        if worker is not None:
            worker.end()
        self._settle(connection)

    def _handled(self, connection: Connection) -> None:
        """Everything that a connection had received is handled."""
        if connection.lost:
            self._peer_gone(connection)
            self._settle(connection)
        self._progress()

    def _peer_gone(self, connection: Connection) -> None:
        """Nothing comes any more of a lost connection; or nobody is to wait for that."""
        if connection not in self._leaving:
            return
        error = self._leaving.pop(connection)
        if error is not None and connection.fault is not None:
            self.stats.faults += 1
            self.reporting.tell(error)
        self._call(self._on_disconnected, connection, error)

    def _settle(self, connection: Connection) -> None:
        """Forget a lost connection when nothing of it runs any more."""
        worker = connection.worker
        if not connection.callbacks and (worker is None or worker.idle):
            self._lingering.discard(connection)
        self._progress()

    def _progress(self) -> None:
        """Let those who wait for progress look again."""
        waiters, self._awaiting_progress = self._awaiting_progress, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _handler_failed(
        self, error: BaseException, peer: Peer, message: StreamMessage[Any] | None = None
    ) -> None:
        if isinstance(error, ConnectionLost) and error.peer is peer:
            # It left before its reply, which is what on_disconnected tells: once, not per message.
            return
        what = "a callback" if message is None else f"the handler of {message!r}"
        failure = HandlerError(f"{what} from {peer!r} raised {error!r}", peer, message)
        failure.__cause__ = error
        self.stats.handler_errors += 1
        self.reporting.tell(failure)

    @property
    def handles(self) -> bool:
        """Whether handlers run: until the end of the stop, or until it is cut."""
        return self._serving or self._draining

    # The mechanism

    def _call(
        self, callback: Callable[..., Any] | None, connection: Connection, *args: Any
    ) -> None:
        """Call a plain or an asynchronous callback."""
        if callback is None:
            return
        try:
            result = callback(connection.peer, *args)
        except RAISED as error:
            self._handler_failed(error, connection.peer)
        else:
            if isawaitable(result):
                connection.callbacks += 1
                awaiting = self._await_callback(result, connection.peer)
                task = self._spawn(awaiting, name=f"callback about {connection.peer!r}")
                task.add_done_callback(lambda _: self._called(connection))

    async def _await_callback(self, result: Any, peer: Peer) -> None:
        try:
            await result
        except RAISED as error:
            own = isinstance(error, asyncio.CancelledError) and is_own_cancellation()
            if not own or self.handles:
                self._handler_failed(error, peer)
            if own:
                raise

    def _called(self, connection: Connection) -> None:
        connection.callbacks -= 1
        if connection.lost:
            self._settle(connection)

    @property
    def _serving(self) -> bool:
        return self.state is State.RUNNING or self.state is State.STARTING
