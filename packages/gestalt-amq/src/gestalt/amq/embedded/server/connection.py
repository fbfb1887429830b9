"""One client's connection: bytes to the model, and the model's answers back."""

import asyncio
from collections.abc import Mapping
from typing import NoReturn, cast

from gestalt.amq.embedded.model import Session
from gestalt.amq.wire import (
    HEARTBEAT_FRAME,
    PROTOCOL_HEADER,
    REPLY_CODES,
    AmqpError,
    FieldValue,
    WireError,
)
from gestalt.amq.wire.codec import method_frame, method_numbers
from gestalt.amq.wire.decoder import Content, Decoder, Heartbeat, ProtocolHeader
from gestalt.amq.wire.methods import (
    INDEX,
    BasicPublish,
    ChannelClose,
    ConnectionBlocked,
    ConnectionClose,
    ConnectionCloseOk,
    ConnectionOpenOk,
    ConnectionUnblocked,
    ConnectionUpdateSecret,
    ConnectionUpdateSecretOk,
    Method,
)
from gestalt.core.telling import said_by

from .authentication import common_name
from .hub import Hub
from .infos import connection_name
from .negotiation import Negotiation
from .output import ChannelOutput
from .sending import Sending

# How long a client may take to close the socket when it has closed the connection, in seconds.
_CLOSED_TIMEOUT = 30.0
# More than one read should bring, in bytes: asyncio would allocate four times as much for each.
_READ_SIZE = 64 * 1024

_Event = tuple[int, Method | ProtocolHeader | Heartbeat, Content | None]


class Connection(asyncio.Protocol):
    """A connection, from its acceptance to its end.

    Args:
        hub: what all connections share.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._loop = hub.loop
        self._settings = hub.settings
        self._decoder = Decoder(expect_header=True, max_body_size=hub.max_message_size)
        self._transport: asyncio.Transport | None = None
        # Known with the transport.
        self._name = ""
        self._negotiation = Negotiation(self._settings, hub.model.semantics, None)
        self.session: Session | None = None
        # The broker has closed the connection, and waits for the client to say that it knows.
        self._closing = False
        # Nothing is said any more, and what comes is of no interest.
        self._closed = False
        self._blocked = False
        # What was read and waits until the connection is no more blocked: one read at most.
        self._waiting: list[_Event] = []
        # Why nothing is read at the moment.
        self._holds: set[str] = set()
        # Made with the transport.
        self._sending: Sending
        # More waits for the client than it is to have of deliveries.
        self._paused = False
        self._last_received = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        self._transport = stream
        self._name = connection_name(stream)
        self._sending = Sending(
            stream,
            self._settings.send_timeout,
            2 * self._hub.max_message_size,
            lambda: self._hub.has_output(self),
            lambda: self.hold("output") if self._paused else None,
        )
        if hasattr(stream, "max_size"):
            stream.max_size = _READ_SIZE
        certificate_name = common_name(stream.get_extra_info("peercert"))
        self._negotiation = Negotiation(self._settings, self._hub.model.semantics, certificate_name)
        self._timer = self._loop.call_later(self._settings.handshake_timeout, self.abort)
        self._hub.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._timer is not None:
            self._timer.cancel()
        self._sending.stop()
        self._transport = None
        self._hub.remove(self)
        self._end_session()
        self._hub.settle()

    def data_received(self, data: bytes) -> None:
        self._last_received = self._loop.time()
        if self._closed:
            return
        wire_error: WireError | None = None
        try:
            events = self._decoder.feed(data)
        except WireError as error:
            events, wire_error = list(error.events), error
        self._take(events)
        if wire_error is not None and not self._closing:
            self._close_for(wire_error, 0, None)
        self._confirm()
        self._hub.settle()

    def pause_writing(self) -> None:
        self._paused = True
        if self.session is not None:  # pragma: no branch - a client that reads no answers
            self.session.pause()

    def resume_writing(self) -> None:
        self._paused = False
        self.release("output")
        if self.session is not None:  # pragma: no branch - a client that reads no answers
            self.session.resume()
        self._hub.settle()

    # Called by the hub and by channels' outputs

    @property
    def name(self) -> str:
        """Its addresses, the client's first."""
        return self._name

    @property
    def client_properties(self) -> Mapping[str, FieldValue]:
        """What the client has told of itself."""
        return self._negotiation.client_properties

    @property
    def state(self) -> str:
        """What it does: `starting`, `running`, `blocked`, `closing`."""
        if self._closing or self._closed:
            return "closing"  # pragma: no cover - asked while it closes
        if self.session is None:
            return "starting"
        return "blocked" if self._blocked else "running"

    @property
    def user(self) -> str | None:
        """The name of the client's user, once its connection is open."""
        return self.session.user if self.session is not None else None

    def write(self, data: bytes) -> None:
        """Write with all else that is written in the same batch."""
        self._sending.write(data)

    def flush(self) -> None:
        """Send what was written, unless the connection is frozen."""
        self._sending.flush()

    def hold(self, reason: str) -> None:
        """Stop reading, for a reason of its own; frozen, it stops to write as well."""
        if not self._holds and self._transport is not None:
            self._transport.pause_reading()
        self._holds.add(reason)
        self._sending.frozen = "frozen" in self._holds

    def release(self, reason: str) -> None:
        """Read on, when no other reason is left."""
        if reason not in self._holds:
            return
        self._holds.discard(reason)
        self._sending.frozen = "frozen" in self._holds
        self._last_received = self._loop.time()
        if not self._holds and self._transport is not None:
            self._transport.resume_reading()
            waiting, self._waiting = self._waiting, []
            self._take(waiting)
            self._confirm()
        if reason == "frozen":
            self.flush()

    def unblock(self) -> None:
        """Tell a publisher that it may go on."""
        if not self._blocked:
            return
        self._blocked = False
        if self._can("connection.blocked"):
            self.write(method_frame(0, ConnectionUnblocked()))
        self.release("blocked")

    def close(self, error: AmqpError) -> None:
        """Close the connection as the protocol says."""
        if self.session is None:
            # It is not open yet, or not any more.
            self.abort()
        elif not self._closing:  # pragma: no branch - both close it in one turn
            self._close_for(error, 0, None)
            self.release("blocked")

    def abort(self) -> None:
        """Cut the connection, without a word."""
        if self._transport is not None:  # pragma: no branch - lost in this turn
            self._transport.abort()

    def reset(self) -> None:
        """Cut the connection such that the client hears of it at once."""
        self._sending.reset()

    # Within

    def _take(self, events: list[_Event]) -> None:
        if self._waiting:  # pragma: no cover - what was read before it was held
            self._waiting += events
            return
        reason = self._hub.block_reason
        for position, (number, item, content) in enumerate(events):
            if self._transport is None or self._transport.is_closing() or self._closed:
                return
            if reason is not None and isinstance(item, BasicPublish) and not self._closing:
                self._block(reason)
                self._waiting = events[position:]
                return
            self._receive(number, item, content)

    def _block(self, reason: str) -> None:
        """Tell a publisher that the broker takes no more, and take no more from it."""
        self._blocked = True
        if self._can("connection.blocked"):
            self.write(method_frame(0, ConnectionBlocked(reason)))
        self.hold("blocked")

    def _can(self, capability: str) -> bool:
        return self._negotiation.capabilities.get(capability) is True

    def _confirm(self) -> None:
        if self.session is not None:
            self.session.send_confirms()

    def _end_session(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.close()

    def _receive(
        self, number: int, item: Method | ProtocolHeader | Heartbeat, content: Content | None
    ) -> None:
        if isinstance(item, Heartbeat):
            return
        if isinstance(item, ProtocolHeader):
            self._begin(item)
            return
        try:
            if number == 0:
                self._on_connection(item)
            elif self._closing:
                return
            elif self.session is not None:
                self.session.receive(number, item, content)
            else:
                self._refuse_channel()
        except AmqpError as error:
            self._close_for(error, number, type(item))
        except Exception as error:  # pragma: no cover - a fault of the broker itself
            self._hub.report(error, f"the broker failed in {type(item).__name__}")
            self._close_for(AmqpError("INTERNAL_ERROR", said_by(error)), number, type(item))

    def _begin(self, header: ProtocolHeader) -> None:
        if header.data != PROTOCOL_HEADER:
            self.write(PROTOCOL_HEADER)
            self._finish()
            return
        self.write(method_frame(0, self._negotiation.start()))

    def _on_connection(self, method: Method) -> None:
        if isinstance(method, ConnectionClose):
            self._confirm()
            self._end_session()
            self.write(method_frame(0, ConnectionCloseOk()))
            self._wait_closed()
        elif self._closing:
            if isinstance(method, ConnectionCloseOk):
                self._finish()
        elif self.session is None:
            self._negotiate(method)
        elif isinstance(method, ConnectionUpdateSecret):
            self.write(method_frame(0, ConnectionUpdateSecretOk()))
        else:
            raise AmqpError(
                "CHANNEL_ERROR", "unexpected method in connection state running", connection=True
            )

    def _refuse_channel(self) -> NoReturn:
        raise AmqpError("UNEXPECTED_FRAME", "a channel is used before connection.open")

    def _negotiate(self, method: Method) -> None:
        negotiation = self._negotiation
        answer = negotiation.receive(method)
        if answer is not None:
            self.write(method_frame(0, answer))
        if negotiation.virtual_host is None:
            self._decoder.frame_max = negotiation.frame_max
            return
        self.session = Session(
            self._hub.model.virtual_host(negotiation.virtual_host),
            negotiation.user,
            lambda number: ChannelOutput(self._sending.write, number, negotiation.frame_max),
            channel_max=negotiation.channel_max,
            max_message_size=self._hub.max_message_size,
            cancel_notify=self._can("consumer_cancel_notify"),
        )
        if self._paused:  # pragma: no cover - a client that reads no answers
            self.session.pause()
        self.write(method_frame(0, ConnectionOpenOk()))
        if self._timer is not None:  # pragma: no branch - for type checkers
            self._timer.cancel()
            self._timer = None
        if negotiation.heartbeat:
            self._beat(negotiation.heartbeat)

    def _close_for(self, error: AmqpError, number: int, cause: type[Method] | None) -> None:
        class_id, method_id = method_numbers(cause) if cause in INDEX else (0, 0)
        if not error.closes_connection and number and self.session is not None:
            method = ChannelClose(error.code, error.text, class_id, method_id)
            self.session.close_channel(number, method)
            return
        # Before that a client is told nothing, but that its login failed if it wants to know;
        # and is made to wait, so that it cannot try many passwords.
        tuned = self._negotiation.tuned
        refused = error.code == REPLY_CODES["ACCESS_REFUSED"]
        self._end_session()
        self._closing = True
        if not tuned:
            class_id = method_id = 0
        if tuned or (refused and self._can("authentication_failure_close")):
            close = ConnectionClose(error.code, error.text, class_id, method_id)
            self.write(method_frame(0, close))
        settings = self._settings
        self._closed = not tuned
        self._cut_in(settings.close_timeout if tuned else settings.refusal_delay)

    def _wait_closed(self) -> None:
        """The client has closed the connection: the socket is for it to close."""
        self._closing = self._closed = True
        self.release("blocked")
        beat = self._negotiation.heartbeat
        self._cut_in(min(beat, _CLOSED_TIMEOUT) if beat else _CLOSED_TIMEOUT)

    def _cut_in(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay, self.reset)

    def _finish(self) -> None:
        """Close the transport, when everything is sent."""
        self._closing = self._closed = True
        self.flush()
        if self._transport is not None:  # pragma: no branch - lost in this turn
            self._transport.close()

    def _beat(self, interval: int) -> None:
        """Send a heartbeat when nothing else was sent, and cut a client that has gone silent."""
        now = self._loop.time()
        if not self._holds and now - self._last_received > 2 * interval:
            self.reset()
            return
        if now - self._sending.last >= interval / 2:
            self.write(HEARTBEAT_FRAME)
            self.flush()
        self._timer = self._loop.call_later(interval / 2, self._beat, interval)
