"""One connection: from the bytes of a transport to messages, and back."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from typing import Any, Protocol

from gestalt.net.errors import FramingError
from gestalt.net.framings import Decoder, Frame
from gestalt.net.wire import Wire

from .errors import ConnectionLost
from .limits import Limits
from .peer import Peer
from .room import Room
from .worker import Worker
from .writer import FrameWriter


class Owner(Protocol):
    """What is asked of whoever a connection belongs to."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that it is used in."""

    @property
    def context(self) -> Context:
        """In which what is about one peer begins where another one has caused it."""

    @property
    def wire(self) -> Wire:
        """How its messages cross the socket."""

    @property
    def limits(self) -> Limits:
        """What its peer may cost."""

    @property
    def room(self) -> Room:
        """Where large messages get their room from."""

    @property
    def peer_ids(self) -> Iterator[int]:
        """Numbers for peers, each once."""

    @property
    def together(self) -> bool:
        """Whether the frames of a read are to be taken together."""

    @property
    def dispatch(self) -> "Callable[[Connection, Iterable[Frame]], None]":
        """Takes the frames that it has received, in order."""

    def connected(self, connection: "Connection") -> None:
        """Hear that it has come up."""

    def handled(self, connection: "Connection") -> None:
        """Hear that everything that it had received is handled."""

    def abandoned(self, messages: int) -> None:
        """Hear that messages which have come are not handled."""

    def lost(self, connection: "Connection", error: ConnectionLost | None) -> None:
        """Hear that it is lost; the error is None where nothing was wrong and nothing is lost."""


class Connection(FrameWriter, asyncio.BaseProtocol):
    """The protocol of a socket, and the state of its connection.

    Reading: `data_received` -> `Decoder.feed` -> the owner's `dispatch` -> the handler.
    Writing: `Peer.send` -> `Wire.encode` -> `write` -> the transport, once per turn of the loop.
    """

    __slots__ = (
        "_abort_timer",
        "_closed",
        "_decoder",
        "_feed",
        "_finishing",
        "_has_room",
        "_owner",
        "_paused",
        "_paused_at",
        "_pending",
        "_reading_ended",
        "_received",
        "_reserved",
        "callbacks",
        "cut",
        "fault",
        "heard",
        "lost",
        "peer",
        "quick",
        "received_bytes",
        "since",
        "unread",
        "worker",
    )

    scheme = "tcp"

    def __init__(self, owner: Owner) -> None:
        send_buffer = owner.limits.send_buffer
        super().__init__(owner.loop, send_buffer)
        self._owner = owner
        # Made with the first data: most of many connections may be idle.
        self._decoder: Decoder | None = None
        self._pending: bytearray | None = None
        self._feed: Callable[[bytes], Iterable[Frame]] = self._first_feed
        # What the peer did, or failed to do, that ends the connection.
        self.fault: BaseException | None = None
        self._closed: asyncio.Future[None] | None = None
        self._abort_timer: asyncio.TimerHandle | None = None
        self._finishing = False
        self._reading_ended = False
        # For how long nothing was read, in seconds, and since when, where that goes on.
        self._paused = 0.0
        self._paused_at: float | None = None
        # Whether there is room for the message that has begun, or room was reserved for it.
        self._has_room = True
        self._reserved = False
        self.lost = False
        # Whether it was closed at once, from here: nobody waits for what its handlers do.
        self.cut = False
        # How many asynchronous callbacks about the peer are under way.
        self.callbacks = 0
        # How many reads wait for `async for`.
        self.unread = 0
        # Whether a whole message came since the limits were last looked at.
        self.heard = True
        # Whether its messages took a short time when the clock was looked at last. This saves the
        # look after the first one of each read: 4% of receiving messages of 4 KiB.
        self.quick = False
        # Since when it is there, by the event loop's clock.
        self.since = owner.loop.time()
        # How many bytes it has received, and, of one that is lost, how many messages.
        self.received_bytes = 0
        self._received = 0
        # Runs the handlers of this peer from the first asynchronous one on.
        self.worker: Worker | None = None
        self.peer = Peer(next(owner.peer_ids), self, owner.wire, send_buffer)

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._start_sending(transport)
        self._owner.connected(self)

    def data_received(self, data: bytes) -> None:
        if self.fault is not None:  # pragma: no cover - transports may give more than was asked
            return
        self.received_bytes += len(data)
        fault: FramingError | None = None
        try:
            frames = self._feed(data)
        except FramingError as error:
            fault = error
            frames = error.frames
        if frames:
            self.heard = True
            # What plain handlers send to this peer leaves with this callback, not a turn later.
            if not (self.frames or self.full):
                self.room = self.high_water
            # Read first, then called: CPython 3.11 takes longer for both at once.
            dispatch = self._owner.dispatch
            try:
                dispatch(self, frames)
            finally:
                if self.frames:
                    self.flush()
                else:
                    self.room = 0
            if self._reserved:
                self._reserved = False
                self._owner.room.release(self)
        elif fault is None:
            self._owner.room.reserve(self)
        if fault is not None:
            self.fail(fault)

    def eof_received(self) -> bool:
        if self._decoder is not None and self.fault is None:
            try:
                self._decoder.eof()
            except FramingError as error:
                self.fail(error)
        # The peer may have closed its sending half only, and wait for the replies.
        self.finish()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lost:
            return
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self.lost = True
        error = self._lost_error(exc)
        self.frames.clear()
        self._stop_sending()
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
        # A Peer may be kept for long.
        self._received = self.received
        self._decoder = self._pending = None
        self._owner.room.release(self)
        self._owner.lost(self, error)

    # Called by the owner, the peer and the worker

    def fail(self, fault: BaseException) -> None:
        """End the connection by a fault of the peer; what came before it is still handled."""
        if self.fault is None and not self.lost:  # pragma: no branch - two handlers fail it
            self.fault = fault
            self.finish()

    def finish(self) -> None:
        """Close as soon as everything that was received is handled; read no more."""
        self._finishing = True
        if self.busy:
            self.pause_reading()
        else:
            self.close()

    def end_reading(self) -> None:
        """Read no more; what was received is handled, and messages can be sent."""
        self._reading_ended = True
        self.pause_reading()

    def handled(self) -> None:
        """Note that the worker has handled everything that was received."""
        if self._finishing and not self.lost:
            self.close()
        elif self.frames:
            # What handlers send leaves now, as with plain ones, not a turn later.
            self.flush()
        self._owner.handled(self)

    def close(self) -> None:
        """Send what was accepted for sending, and close; abort when that takes too long."""
        if self.transport.is_closing():
            return
        self._finishing = True
        self._flush_all()
        self.transport.close()
        self._wake()
        self._abort_timer = self._loop.call_later(
            self._owner.limits.close_timeout, self.transport.abort
        )

    def abort(self, fault: Exception | None = None) -> None:
        """Close at once; what waits to be sent is lost."""
        if not self.lost:
            self.fault = self.fault or fault
            self.cut = True
            self._finishing = True
            self.hold_back()
            self.transport.abort()

    def abandon(self, messages: int) -> None:
        """Note that messages which have come are not handled."""
        self._owner.abandoned(messages)

    async def wait_closed(self) -> None:
        """Wait until the connection is closed, however that comes about."""
        if not self.lost:
            if self._closed is None:
                self._closed = self._loop.create_future()
            await asyncio.shield(self._closed)

    @property
    def received(self) -> int:
        """How many messages it has received."""
        return self._received if self._decoder is None else self._decoder.count

    @property
    def message_begun(self) -> bool:
        """Whether a message has begun to arrive and is not complete."""
        return self._decoder is not None and self._decoder.incomplete

    @property
    def incomplete(self) -> tuple[int, int]:
        """How many bytes of an incomplete message are here, and how many are needed to go on."""
        return (0, 0) if self._decoder is None else self._decoder.progress

    @property
    def busy(self) -> bool:
        """Whether handlers have something to do that the peer sent."""
        return self.worker is not None and not self.worker.idle

    def reading_time(self, now: float) -> float:
        """A clock that stands still while nothing is read, in seconds."""
        return (now if self._paused_at is None else self._paused_at) - self._paused

    @property
    def closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.lost or self.transport.is_closing()

    def socket_name(self, which: str) -> Any:
        """The "peername" or "sockname" of the socket, also after the connection is lost."""
        return self.transport.get_extra_info(which)

    def check_open(self) -> None:
        if self.closing:
            raise ConnectionLost(f"{self.peer!r} is not connected any more", self.peer)

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`, so that the peer has to wait."""
        if not self.closing and self.transport.is_reading():
            self.transport.pause_reading()
            self._paused_at = self._loop.time()

    def resume_reading(self) -> None:
        """Read again, unless the connection is coming to its end."""
        ended = self.closing or self._finishing or self._reading_ended
        if self._has_room and not (ended or self.transport.is_reading()):
            self.transport.resume_reading()
            if self._paused_at is not None:  # pragma: no branch - for type checkers
                self._paused += self._loop.time() - self._paused_at
                self._paused_at = None

    def wait_for_room(self) -> None:
        """Read nothing until there is room for the message that has begun."""
        self._has_room = False
        self.pause_reading()

    def go_on(self) -> None:
        """Go on with the message that has begun: there is room for it."""
        self._reserved = True
        if not self._has_room:
            self._has_room = True
            # By the end of another peer's message; and what is read begins in this context.
            self._owner.context.copy().run(self.resume_reading)

    # The mechanism

    def _first_feed(self, data: bytes) -> Iterable[Frame]:
        decoder = self._decoder = self._owner.wire.framing.decoder()
        self._pending = decoder.pending
        self._feed = decoder.feed_together if self._owner.together else decoder.feed
        return self._feed(data)

    def _lost_error(self, exc: Exception | None) -> ConnectionLost | None:
        """What the end of the connection means: None if nothing was wrong and nothing is lost."""
        unsent = self.unsent_messages
        in_doubt = self._in_flight if self._blocked else 0
        cause = self.fault or exc
        if cause is None and not unsent and not in_doubt:
            return None
        what = str(cause or "") or "closed"
        lost = f"; {unsent} messages were not sent" if unsent else ""
        doubt = f"; {in_doubt} more may not have been" if in_doubt else ""
        error = ConnectionLost(
            f"the connection with {self.peer!r} was lost: {what}{lost}{doubt}",
            self.peer,
            unsent,
            in_doubt,
        )
        error.__cause__ = cause
        return error

    def __repr__(self) -> str:
        return repr(self.peer)
