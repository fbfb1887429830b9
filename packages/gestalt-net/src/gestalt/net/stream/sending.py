"""What messages of a stream are sent through: a peer, or a client."""

from collections.abc import Callable, Coroutine
from struct import error as StructError
from typing import Any

from gestalt.core import WrongThread

from .writer import ACCEPTED, Sender


class Outlet:
    """Sends messages. A call would cost as much as half of what there is to do for a small one.

    So the most frequent case stands here in full: bytes whose frame needs nothing but a header, not
    the first ones of this turn of the event loop, with room left for them.
    """

    __slots__ = ()

    # Where frames go, and what the wire has of the same names: all slots of the subclasses, since
    # one class cannot have two bases with slots.
    _link: Sender
    _encode: Callable[..., bytes]
    _header: Callable[[int, int], bytes]
    # What the bodies are instances of that need nothing but a header, where there is room for them.
    _plain: type[bytes]

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
        link = self._link
        if type(body) is self._plain and (size := len(body)) < (room := link.room):
            header = self._header
            try:
                frame = header(size, type_id or 0) + body
            except StructError:
                pass  # `encode` tells what is wrong
            else:
                link.frames.append(frame)
                link.room = room - size - 8  # the header's
                return ACCEPTED
        # Read first, then called: CPython 3.11 takes longer for both at once.
        encode = self._encode
        frame = encode(body, type_id)
        if len(frame) < link.room:
            link.frames.append(frame)
            link.room -= len(frame)
            return ACCEPTED
        try:
            return self._send_frame(frame)
        except WrongThread:
            # The event loop may be about to await it: run_coroutine_threadsafe is called with it.
            return self._send_there(frame)

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
        link = self._link
        if type(body) is self._plain and (size := len(body)) < (room := link.room):
            header = self._header
            try:
                frame = header(size, type_id or 0) + body
            except StructError:
                pass
            else:
                link.frames.append(frame)
                link.room = room - size - 8  # the header's
                return
        encode = self._encode
        frame = encode(body, type_id)
        if len(frame) < link.room:
            link.frames.append(frame)
            link.room -= len(frame)
        else:
            self._write_frame(frame)

    async def _send_there(self, frame: bytes) -> None:
        await self._send_frame(frame)

    def _send_frame(self, frame: bytes) -> Coroutine[Any, Any, None]:
        """Send the first frame of a turn, or one that there is no room for."""
        return self._link.send(frame)

    def _write_frame(self, frame: bytes) -> None:
        """Send the first frame of a turn, or raise."""
        self._link.write_now(frame)
