"""What messages of a stream are sent through: a peer, or a client."""

from collections.abc import Callable, Coroutine, Iterable
from struct import error as StructError
from typing import Any, Protocol

from gestalt.core import WrongThread
from gestalt.net.accepted import ACCEPTED
from gestalt.net.wire import Wire

from .sending_many import Sink, send_many


class SendBuffer(Protocol):
    """Frames that are to be written together, at the end of this turn of the event loop.

    Attributes:
        frames: those that wait.
        room: how many bytes may be appended; 0 where nobody would write them.
    """

    frames: list[bytes]
    room: int


class Writer(Protocol):
    """Takes the first frame of a turn, and those that there is no room for."""

    def send(self, frame: bytes) -> Coroutine[Any, Any, None]:
        """Take a frame now, or when it is awaited, as soon as there is room."""

    def write_now(self, frame: bytes) -> None:
        """Take a frame, or raise."""

    async def ready(self) -> Sink:
        """Wait until there is room, and give what takes frames that are already joined."""


class MessageSender:
    """Sends messages.

    The most frequent cases stand in both methods in full: bytes whose frame needs nothing but a
    header, and frames that follow others in this turn of the event loop, with room left for them. A
    call would cost as much as half of what there is to do for a small message.
    """

    __slots__ = ()

    # Slots or attributes of the subclasses, since one class cannot have two bases with slots.
    _buffer: SendBuffer
    _writer: Writer
    _wire: Wire
    _encode: Callable[..., bytes]
    # None where a frame is more than a header and the body, see `Wire.header_for`.
    _header: Callable[[int, int], bytes] | None

    def send(self, body: Any, type_id: int | None = None) -> Coroutine[Any, Any, None]:
        """Send a message; `await` it, which waits as long as the other end is too slow to take it.

        It returns when the message is accepted, not when it has arrived. Cancelled while it waits,
        it sends nothing. A client's waits for a connection, too.

        Args:
            body: what the codec of the wire takes; without a codec, bytes.
            type_id: the message type identifier, where the framing carries one and the codec has
                no types of its own.

        Raises:
            ConnectionLost: the connection is closed, or was lost while this waited.
            NotConnected: no connection of the client came up within `connect_timeout`.
            StateError: the client is not running; WrongThread where this is awaited in another
                thread than that of the event loop.
            PayloadError: the framing cannot carry it.
            CodecError: the codec cannot encode it.
            In each case, the message was not sent.
        """
        buffer = self._buffer
        header = self._header
        if (
            header is not None
            and type(body) is bytes
            and (size := len(body)) < (room := buffer.room)
        ):
            try:
                frame = header(size, type_id or 0) + body
            except StructError:
                pass  # `encode` tells what is wrong
            else:
                buffer.frames.append(frame)
                buffer.room = room - len(frame)
                return ACCEPTED
        # Read first, then called: CPython 3.11 takes longer for both at once.
        encode = self._encode
        frame = encode(body, type_id)
        if len(frame) < buffer.room:
            buffer.frames.append(frame)
            buffer.room -= len(frame)
            return ACCEPTED
        try:
            return self._writer.send(frame)
        except WrongThread:
            # The event loop may be about to await it: run_coroutine_threadsafe is called with it.
            return self._send_there(frame)

    async def send_many(self, bodies: Iterable[Any], type_id: int | None = None) -> None:
        """Send messages in order: several times as fast as one by one, where they are small.

        It waits as long as the other end is too slow to take them, and returns when the last one is
        accepted. Cancelled while it waits, it sends no more; a note of the CancelledError says how
        many were accepted.

        Args:
            bodies: as in `send`. An iterator may be endless: it is asked for 1,024 at a time.
            type_id: as in `send`, for all of them.

        Raises:
            SendIncomplete: not all of them were accepted. It says how many were, from the first one
                on, and its cause is what `send` would have raised for the next, or what the
                iterator raised.
            TypeError: `bodies` is a single message.
        """
        await send_many(self._writer, self._wire, bodies, type_id)

    def send_nowait(self, body: Any, type_id: int | None = None) -> None:
        """Send a message now, or raise.

        Raises:
            SendBufferFull: the other end has not taken what it was sent before.
            ConnectionLost: the connection is closed.
            NotConnected: the client has no connection.
            WrongThread: this is not the thread of the event loop.
            PayloadError: the framing cannot carry it.
            CodecError: the codec cannot encode it.
            In each case, the message was not sent.
        """
        buffer = self._buffer
        header = self._header
        if (
            header is not None
            and type(body) is bytes
            and (size := len(body)) < (room := buffer.room)
        ):
            try:
                frame = header(size, type_id or 0) + body
            except StructError:
                pass
            else:
                buffer.frames.append(frame)
                buffer.room = room - len(frame)
                return
        encode = self._encode
        frame = encode(body, type_id)
        if len(frame) < buffer.room:
            buffer.frames.append(frame)
            buffer.room -= len(frame)
        else:
            self._writer.write_now(frame)

    async def _send_there(self, frame: bytes) -> None:
        await self._writer.send(frame)
