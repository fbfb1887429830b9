"""Frames: what one side of a connection writes, and what it keeps of those that are still arriving.

Layouts: AMQP 0-9-1 specification, sections 2.3.5 (frames) and 4.2.6 (content).
"""

import struct
from functools import lru_cache
from typing import Final

from .properties import BASIC_CLASS
from .strings import encode_long_string, encode_short_string

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
FRAME_MIN_SIZE: Final = 4096

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_START = struct.Struct(">BHI")
"""What a frame has before its payload: the type, the channel, the size of the payload."""

FRAME_END: Final = 0xCE
FRAME_OVERHEAD: Final = FRAME_START.size + 1
"""The bytes of a frame around its payload."""

HEARTBEAT_FRAME: Final = FRAME_START.pack(HEARTBEAT, 0, 0) + b"\xce"

_CONTENT_START = struct.Struct(">BHIHHQ")
_SETTLE = struct.Struct(">BHIHHQBB")
_METHOD_NUMBER = struct.Struct(">I")
_GET = _METHOD_NUMBER.pack(BASIC_CLASS << 16 | 70) + b"\x00\x00"
_PUBLISH = _METHOD_NUMBER.pack(BASIC_CLASS << 16 | 40) + b"\x00\x00"
_UPDATE_SECRET = _METHOD_NUMBER.pack(10 << 16 | 70)
_ACK, _NACK = 80, 120

# Pieces of a body below this, in bytes, are joined, as many at a time.
_SMALL = 1024


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Returns a frame."""
    return b"%b%b\xce" % (FRAME_START.pack(kind, channel, len(payload)), payload)


def content_frames(
    channel: int, method_payload: bytes, header: bytes, body: bytes, frame_max: int
) -> bytes:
    """Returns the frames of a method with its content.

    Args:
        channel: The channel's number.
        method_payload: The encoded method.
        header: The payload of the header frame.
        body: The message's body.
        frame_max: The size in bytes that no frame exceeds; 0 for no limit.
    """
    start = FRAME_START.pack
    size = len(body)
    if size > 0 and (not frame_max or size <= frame_max - FRAME_OVERHEAD):
        return b"%b%b\xce%b%b\xce%b%b\xce" % (
            start(METHOD, channel, len(method_payload)),
            method_payload,
            start(HEADER, channel, len(header)),
            header,
            start(BODY, channel, size),
            body,
        )
    parts = [frame(METHOD, channel, method_payload), frame(HEADER, channel, header)]
    return b"".join(parts + _body_parts(channel, body, frame_max - FRAME_OVERHEAD))


def content_parts(
    channel: int, method: bytes, properties: bytes, body: bytes, limit: int
) -> list[bytes]:
    """Returns the frames of a method with its content, in parts: what is joined is copied once.

    Args:
        channel: The channel's number.
        method: The frame of the method.
        properties: The encoded properties.
        body: The message's body.
        limit: How many bytes of it a frame has, at most.
    """
    size = len(body)
    start = _CONTENT_START.pack(HEADER, channel, 12 + len(properties), BASIC_CLASS, 0, size)
    if 0 < size <= limit:
        body_start = FRAME_START.pack(BODY, channel, size)
        return [method, start, properties, b"\xce", body_start, body, b"\xce"]
    return [method, start, properties, b"\xce", *_body_parts(channel, body, limit)]


def _body_parts(channel: int, body: bytes, limit: int) -> list[bytes]:
    parts: list[bytes] = []
    for offset in range(0, len(body), limit):
        part = body[offset : offset + limit]
        parts += (FRAME_START.pack(BODY, channel, len(part)), part, b"\xce")
    return parts


# Methods that are sent for every message: the bytes that `method_frame` gives, in less time.


@lru_cache(maxsize=1024)
def publish_frame(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    """Returns the frame of a basic.publish.

    Raises:
        FieldTypeError: A name is no string.
        FieldError: A name has more than 255 bytes, or cannot be encoded.
    """
    names = encode_short_string(exchange, "exchange") + encode_short_string(
        routing_key, "routing_key"
    )
    return frame(METHOD, channel, _PUBLISH + names + bytes((mandatory,)))


def ack_frame(channel: int, tag: int, multiple: bool) -> bytes:
    """Returns the frame of a basic.ack."""
    return _SETTLE.pack(METHOD, channel, 13, BASIC_CLASS, _ACK, tag, multiple, FRAME_END)


def nack_frame(channel: int, tag: int, multiple: bool, requeue: bool) -> bytes:
    """Returns the frame of a basic.nack."""
    bits = multiple | requeue << 1
    return _SETTLE.pack(METHOD, channel, 13, BASIC_CLASS, _NACK, tag, bits, FRAME_END)


def get_frame(channel: int, queue: str) -> bytes:
    """Returns the frame of a basic.get, of a message that is to be settled.

    Raises:
        FieldError: The name has more than 255 bytes, or cannot be encoded.
    """
    return frame(METHOD, channel, _GET + encode_short_string(queue, "queue") + b"\x00")


def update_secret_frame(secret: bytes, reason: str) -> bytes:
    """Returns the frame of a connection.update-secret.

    Raises:
        FieldError: The reason has more than 255 bytes, or cannot be encoded.
    """
    fields = encode_long_string(secret) + encode_short_string(reason, "reason")
    return frame(METHOD, 0, _UPDATE_SECRET + fields)


class FrameBuffer:
    """The beginning of a frame that has not all come yet, in the pieces in which it came."""

    __slots__ = ("_pieces", "_size", "_wanted")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._wanted = 0

    def join(self, data: bytes) -> bytes:
        """Returns what there is with these bytes, empty while that is not enough."""
        if not self._pieces:
            return data
        self._pieces.append(data)
        self._size += len(data)
        if self._size < self._wanted:
            return b""
        data = b"".join(self._pieces)
        self._pieces = []
        return data

    def keep(self, data: bytes, wanted: int) -> None:
        """Keeps bytes that are no whole frame, until there are `wanted` of them."""
        self._pieces = [data]
        self._size = len(data)
        self._wanted = wanted


class PartialBody:
    """A body that has not all come yet.

    Attributes:
        missing: The bytes that are still to come.
        whole: The body, once nothing is missing.
    """

    __slots__ = ("_pieces", "_small", "missing", "whole")

    def __init__(self, missing: int) -> None:
        self.missing = missing
        self.whole = b""
        # Most bodies come in one frame, and have no pieces.
        self._pieces: list[bytes] | None = None
        self._small: list[bytes] | None = None

    def __len__(self) -> int:
        """How many pieces it is kept in."""
        return len(self._pieces or ()) + len(self._small or ())

    def add(self, piece: bytes) -> None:
        """Keeps a piece. A body of tiny pieces is to take no more memory than one of large ones."""
        missing = self.missing = self.missing - len(piece)
        if self._pieces is None or self._small is None:
            if not missing:
                self.whole = piece
                return
            self._pieces, self._small = [], []
        if self._small or len(piece) < _SMALL:
            if piece:
                self._small.append(piece)
            if len(self._small) >= _SMALL or not missing:
                self._pieces.append(b"".join(self._small))
                self._small.clear()
        else:
            self._pieces.append(piece)
        if not missing:
            self.whole = b"".join(self._pieces)
