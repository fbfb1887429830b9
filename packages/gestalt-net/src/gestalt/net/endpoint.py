"""What a stream server and a stream client have in common."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, TypeAlias

from gestalt.core import Component, Handler, State

from .connection import Connection
from .dispatch import Dispatcher, HandlerDispatcher
from .errors import ConnectionLost, HandlerError, NetError
from .limits import Limits
from .message import StreamMessage
from .peer import Peer
from .sweep import Sweep
from .wire import Wire

logger = logging.getLogger("gestalt.net")

OnConnected: TypeAlias = Callable[[Peer], Any]
OnDisconnected: TypeAlias = Callable[[Peer, ConnectionLost | None], Any]
OnError: TypeAlias = Callable[[NetError], Any]


@dataclass(slots=True)
class StreamStats:
    """Counters of an endpoint, since it was made.

    Args:
        connected: connections that came up.
        refused: connections closed at once, since there were `max_peers` already.
        handshakes_failed: connections to a server whose TLS handshake came to nothing.
        faults: connections closed because of what the peer did, or failed to do.
        handler_errors: exceptions raised by handlers and callbacks.
        dropped: messages of a broadcast that slow peers were not sent.
    """

    connected: int = 0
    refused: int = 0
    handshakes_failed: int = 0
    faults: int = 0
    handler_errors: int = 0
    dropped: int = 0


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
        self._on_error = on_error
        self._next_peer_id = itertools.count(1).__next__
        self._connections: dict[int, Connection] = {}
        # Lost, with messages that are not handled yet, and why they were lost.
        self._leaving: dict[Connection, ConnectionLost | None] = {}
        # Done when a connection has gone, or everything that it received is handled.
        self._progressed: asyncio.Future[None] | None = None
        self._sweep: Sweep | None = None

    # What a subclass uses

    def _begin(self) -> None:
        """Note the event loop, and look after the limits from now on."""
        self.loop = asyncio.get_running_loop()
        self._sweep = Sweep(self.loop, self.limits, self._connections)

    async def _finish_connections(self) -> None:
        """Let every connection finish what it has received and is to send, and close it.

        None is closed before all handlers are done: they may send to any of them.
        """
        for connection in list(self._connections.values()):
            connection.end_reading()
        while self._handling:
            await self._next_progress()
        for connection in list(self._connections.values()):
            connection.finish()
        while self._connections or self._leaving:
            await self._next_progress()

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

    @property
    def _handling(self) -> bool:
        """Whether something that was received is not handled yet."""
        return bool(self._leaving) or any(
            connection.worker is not None and not connection.worker.idle
            for connection in self._connections.values()
        )

    async def _next_progress(self) -> None:
        self._progressed = self.loop.create_future()
        await self._progressed

    # Called by connections

    def _connection_made(self, connection: Connection) -> None:
        self._connections[connection.peer.id] = connection
        self.stats.connected += 1
        self._call(self._on_connected, connection.peer)

    def _connection_lost(self, connection: Connection, error: ConnectionLost | None) -> None:
        if self._connections.pop(connection.peer.id, None) is None:
            return
        self._leaving[connection] = error
        worker = connection.worker
        if worker is None or worker.idle:
            self._peer_gone(connection)
        if worker is not None:
            worker.end()

    def _peer_gone(self, connection: Connection) -> None:
        """Everything that a lost connection had received is handled."""
        if connection not in self._leaving:
            return
        error = self._leaving.pop(connection)
        if error is not None and connection.fault is not None:
            self.stats.faults += 1
            self._tell(error)
        self._call(self._on_disconnected, connection.peer, error)
        self._progress()

    def _progress(self) -> None:
        """Let a stop that is under way look again."""
        if self._progressed is not None and not self._progressed.done():
            self._progressed.set_result(None)

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
        if self._on_error is None:
            self._report(failure, str(failure))
        else:
            self._tell(failure)

    # The mechanism

    def _tell(self, error: NetError) -> None:
        """Hand an error to `on_error`; without it, what others did wrong is logged."""
        if self._on_error is None:
            logger.warning("%s: %s", self.name, error)
            return
        try:
            result = self._on_error(error)
            if isawaitable(result):
                self._spawn(_finish(result), name="on_error")
        except Exception as second:
            self._report(second, f"{self!r}: on_error raised while it was given: {error}")

    def _call(self, callback: Callable[..., Any] | None, peer: Peer, *args: Any) -> None:
        """Call a plain or an asynchronous callback."""
        if callback is None:
            return
        try:
            result = callback(peer, *args)
        except Exception as error:
            self._handler_failed(error, peer)
        else:
            if isawaitable(result):
                self._spawn(self._await_callback(result, peer), name="callback")

    async def _await_callback(self, result: Any, peer: Peer) -> None:
        try:
            await result
        except Exception as error:
            self._handler_failed(error, peer)

    @property
    def _serving(self) -> bool:
        return self.state is State.RUNNING or self.state is State.STARTING


async def _finish(awaitable: Any) -> None:
    await awaitable
