"""What a stream server and a stream client have in common."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol

from gestalt.core import Component, Discard, Handler, State
from gestalt.core import vocabulary as words
from gestalt.core.describing import describes
from gestalt.core.details import PeerRow, details
from gestalt.core.metrics import Metric, measures
from gestalt.core.telling import said_by
from gestalt.net.address import Address
from gestalt.net.batch import check_batch_handler
from gestalt.net.errors import SendIncomplete, handler_error
from gestalt.net.framings import Frame
from gestalt.net.keyed import check_handling
from gestalt.net.pace import Pace
from gestalt.net.reporting import OnError, Reporting
from gestalt.net.tls import Tls
from gestalt.net.tracing import traced
from gestalt.net.wire import Wire

from .batch import StreamBatch
from .batching import BatchDispatcher
from .connection import Connection
from .connections import Connections, OnConnected, OnDisconnected
from .errors import ConnectionLost
from .handling import HandlerDispatcher
from .keyed import Key, KeyedDispatcher
from .limits import Limits
from .message import StreamMessage
from .peer import Peer
from .room import Room
from .stats import StreamStats
from .timeouts import Timeouts

_ABANDONED = {"reason": "abandoned"}
_SLOW_PEER = {"reason": "slow_peer"}


class Dispatcher(Protocol):
    """What gives messages to a handler."""

    def dispatch(self, connection: Connection, frames: Iterable[Frame]) -> None:
        """Take frames, in order."""


class StreamEndpoint(Component):
    """Connections, their messages, and what happens to them. Use StreamServer or StreamClient.

    Attributes:
        wire: how messages cross the socket.
        limits: what a peer may cost.
        stats: its counters.
        room: where large messages get their room from while they arrive.
    """

    # As it was given.
    _address: Address

    def __init__(
        self,
        wire: Wire,
        *,
        on_message: Handler | None,
        on_messages: Handler | None,
        on_connected: OnConnected | None,
        on_disconnected: OnDisconnected | None,
        on_error: OnError | None,
        concurrency: int,
        key: Key | None,
        limits: Limits,
        name: str | None,
        stop_timeout: float,
    ) -> None:
        super().__init__(name=name, stop_timeout=stop_timeout)
        check_batch_handler(on_messages, on_message, key)
        check_handling(on_message, concurrency, key)
        self.wire = wire
        self.limits = limits
        self.stats: StreamStats = StreamStats()
        self.room = Room(limits.receive_buffer, getattr(wire.framing, "max_size", None))
        self._on_message = on_message
        self._on_messages = on_messages
        self._concurrency = concurrency
        self._key = key
        self._reporting = Reporting(self, on_error, report=self._report_error, spawn=self._spawn)
        self._connections = Connections(
            wire,
            limits,
            self.room,
            self.stats,
            on_connected=on_connected,
            on_disconnected=on_disconnected,
            admit=self._admit,
            forget=self._forget,
            serving=self._serving,
            spawn=self._spawn,
            tell=self._reporting.tell,
            failed=self._handler_failed,
        )
        self._loop: asyncio.AbstractEventLoop
        self._pace: Pace
        self._timeouts: Timeouts | None = None

    # What a subclass fills in

    def _admit(self, connection: Connection) -> bool:
        """Take notice of a connection that has come up; return whether it may stay."""
        raise NotImplementedError

    def _forget(self, connection: Connection) -> None:
        """Take notice that a connection is lost."""

    # What a subclass uses

    def _begin(self) -> None:
        """Note the event loop, and look after the limits from now on."""
        connections = self._connections
        loop = self._loop = connections.loop = asyncio.get_running_loop()
        connections.context = copy_context()
        self._pace = Pace(loop)
        given = self._on_message or self._on_messages
        handler, connections.wire = traced("stream", self.name, given, self.wire)
        if handler is not None:
            dispatcher: Callable[..., Dispatcher] = HandlerDispatcher
            if self._key is not None:
                dispatcher = partial(KeyedDispatcher, key=self._key)
            elif self._on_messages is not None:
                dispatcher = BatchDispatcher
                connections.together = True
            connections.dispatch = dispatcher(
                handler,
                self.wire,
                self._concurrency,
                pace=self._pace,
                spawn=self._spawn,
                failed=self._handler_failed,
                handles=connections.handles,
            ).dispatch
        self._timeouts = Timeouts(loop, self.limits, connections.present, self.room)

    async def _abort_connections(self) -> None:
        """Close every connection at once."""
        if self._timeouts is not None:
            self._timeouts.stop()
        await self._connections.abort()
        self._reporting.flush()

    @measures
    def _stream_metrics(self) -> Iterable[Metric]:
        stats, traffic = self.stats, self._connections.traffic()
        yield words.RECEIVED("stream", traffic.received)
        yield words.RECEIVED_BYTES("stream", traffic.received_bytes)
        yield words.SENT("stream", traffic.sent)
        yield words.SENT_BYTES("stream", traffic.sent_bytes)
        yield words.HANDLED("stream", stats.handled_of(traffic))
        yield words.FAILED("stream", stats.failed)
        yield words.DISCARDED("stream", stats.discarded)
        yield words.DROPPED("stream", stats.abandoned, _ABANDONED)
        yield words.DROPPED("stream", stats.dropped, _SLOW_PEER)
        yield words.BACKLOG("stream", traffic.waiting)
        yield words.IN_FLIGHT("stream", traffic.in_flight)
        yield words.PEERS("stream", len(self._connections.present))
        yield words.CONNECTED("stream", stats.connected)
        yield words.REFUSED("stream", stats.refused)
        yield words.HANDSHAKES_FAILED("stream", stats.handshakes_failed)
        yield words.FAULTS("stream", stats.faults)
        yield words.HANDLER_ERRORS("stream", stats.handler_errors)
        yield words.UNREPORTED("stream", stats.unreported)

    @details
    def _stream_peers(self) -> Iterable[PeerRow]:
        for connection in self._connections.present.values():
            peer = connection.peer
            address = peer.address
            yield PeerRow(
                # Those of a unix socket mostly have no name.
                str(address) if address.port or address.host else f"{address} {peer.id}",
                age=self._loop.time() - connection.since,
                received=connection.received,
                sent=connection.sent,
                bytes_received=connection.received_bytes,
                bytes_sent=connection.sent_bytes,
                waiting=connection.unsent,
                note="closing" if connection.closing else "",
            )

    @describes
    def _stream_messages(self) -> Iterable[Any]:
        from gestalt.net.contracts import operations_of

        handler = self._on_message or self._on_messages
        return operations_of(self, self.wire, handler, [self._address], protocol="tcp")

    def _serving(self) -> bool:
        return self.state is State.RUNNING or self.state is State.STARTING

    def _handler_failed(
        self,
        error: BaseException,
        peer: Peer,
        message: StreamMessage[Any] | StreamBatch[Any] | None = None,
    ) -> None:
        """Tell of what a handler or a callback raised."""
        cause = error.__cause__ if isinstance(error, SendIncomplete) else error
        if isinstance(cause, ConnectionLost) and cause.peer is peer:
            # It left before its reply, which is what on_disconnected tells: once, not per message.
            return
        if isinstance(error, Discard) and message is not None:
            self.stats.discarded += _count(message)
            return
        what = "a callback" if message is None else f"the handler of {message!r}"
        failure = handler_error(f"{what} from {peer!r} raised {said_by(error)}", peer, message)
        failure.__cause__ = error
        self.stats.handler_errors += 1
        if message is not None:
            self.stats.failed += _count(message)
        self._reporting.tell(failure)


def _count(handled: StreamMessage[Any] | StreamBatch[Any]) -> int:
    """How many messages an error is about: of a batch, those that it has not told of itself."""
    if isinstance(handled, StreamBatch):
        return len(handled) - len(handled.failures)
    return 1


def check_tls(address: Address, tls: Tls | ssl.SSLContext | None) -> None:
    """Refuse TLS settings without TLS, and the other way round."""
    if address.scheme == "tls" and tls is None:
        raise ValueError(f"{address} needs tls=: a Tls or an ssl.SSLContext")
    if address.scheme == "tcp" and tls is not None:
        raise ValueError(f"{address} is plain, but TLS settings were given: tls:// was meant?")
