"""Frames: what one side of a connection writes, and how it finds its way in what it reads.

The decoder is the same for a server and a client: bytes in, whole methods with their content out.
It holds no more than one frame and the bodies that are under way.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from .codec import decode_method, encode_method
from .errors import FieldError, WireError
from .methods import BasicDeliver, BasicGetOk, BasicPublish, BasicReturn, Method
from .properties import BASIC_CLASS, body_size

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
FRAME_MIN_SIZE = 4096

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_START = struct.Struct(">BHI")
_END = b"\xce"
_END_OCTET = 0xCE
# The bytes of a frame around its payload.
_OVERHEAD = _START.size + 1

HEARTBEAT_FRAME = _START.pack(_HEARTBEAT, 0, 0) + _END

# Pieces of a body below this, in bytes, are joined, as many at a time.
_SMALL = 1024
# What the headers under way on all channels of a connection may have, in bytes.
_MAX_HEADERS = 16 * 1024 * 1024

_WITH_CONTENT = (BasicPublish, BasicDeliver, BasicReturn, BasicGetOk)


class ProtocolHeader(NamedTuple):
    """The eight bytes that a client sends first."""

    data: bytes


class Heartbeat(NamedTuple):
    """A heartbeat frame: the peer lives."""


@dataclass(slots=True)
class Content:
    """The content of a message.

    Attributes:
        header: The payload of its header frame, with the properties.
        body: The body, or None when it was larger than the decoder was told to keep.
        size: The size of the body, in bytes.
    """

    header: bytes
    body: bytes | None
    size: int


Event: TypeAlias = tuple[int, Method | ProtocolHeader | Heartbeat, Content | None]


def method_frame(channel: int, method: Method) -> bytes:
    """Returns the frame of a method. Raises FieldError when a value does not fit its field."""
    payload = encode_method(method)
    return b"%b%b\xce" % (_START.pack(_METHOD, channel, len(payload)), payload)


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
    start = _START.pack
    size = len(body)
    if size > 0 and (not frame_max or size <= frame_max - _OVERHEAD):
        return b"%b%b\xce%b%b\xce%b%b\xce" % (
            start(_METHOD, channel, len(method_payload)),
            method_payload,
            start(_HEADER, channel, len(header)),
            header,
            start(_BODY, channel, size),
            body,
        )
    parts = [
        start(_METHOD, channel, len(method_payload)),
        method_payload,
        _END,
        start(_HEADER, channel, len(header)),
        header,
        _END,
    ]
    step = frame_max - _OVERHEAD
    for offset in range(0, size, step):
        chunk = body[offset : offset + step]
        parts += (start(_BODY, channel, len(chunk)), chunk, _END)
    return b"".join(parts)


class _Partial:
    """A method whose content has not all come yet."""

    __slots__ = ("chunks", "header", "method", "missing", "size", "small")

    def __init__(self, method: Method) -> None:
        self.method = method
        self.header: bytes | None = None
        self.size = 0
        self.missing = 0
        # The body's pieces, and those that are still to be joined to one.
        self.chunks: list[bytes] | None = []
        self.small: list[bytes] = []

    def kept(self) -> int:
        return 0 if self.chunks is None else self.size - self.missing

    def add(self, payload: bytes) -> None:
        """Keeps a piece. A body of tiny pieces is to take no more memory than one of large ones."""
        if self.chunks is None or not payload:
            return
        if len(payload) >= _SMALL and not self.small:
            self.chunks.append(payload)
            return
        self.small.append(payload)
        if len(self.small) >= _SMALL:
            self.join()

    def join(self) -> None:
        """Makes one piece of those that are small."""
        if self.chunks is not None and self.small:
            self.chunks.append(b"".join(self.small))
            self.small = []


class Decoder:
    """Finds the methods and their content in the bytes that one peer sends.

    Args:
        expect_header: Whether the peer is a client, which sends the protocol header first.
        max_body_size: Larger bodies, in bytes, are read but not kept. The bodies that are under way
            on all channels together may have twice as many.

    Attributes:
        frame_max: The size in bytes of the largest frame that is accepted; 0 for no limit.
    """

    def __init__(self, *, expect_header: bool, max_body_size: int = 128 * 1024 * 1024) -> None:
        self.frame_max = FRAME_MIN_SIZE + _OVERHEAD
        self._max_body_size = max_body_size
        self._expect_header = expect_header
        self._partial: dict[int, _Partial] = {}
        # The bytes of the bodies that are under way, and of their headers.
        self._kept = 0
        self._kept_headers = 0
        # The beginning of a frame, in the pieces in which it came, and the size to wait for.
        self._pieces: list[bytes] = []
        self._size = 0
        self._wanted = 0

    def feed(self, data: bytes) -> list[Event]:
        """Returns everything that is complete with these bytes.

        Raises:
            WireError: The bytes are no valid AMQP; it carries what was complete before them. No
                more bytes may be fed.
        """
        if self._pieces:
            self._pieces.append(data)
            self._size += len(data)
            if self._size < self._wanted:
                return []
            data = b"".join(self._pieces)
            self._pieces = []
        events: list[Event] = []
        try:
            position = self._read(data, events)
        except WireError as error:
            error.events = events
            raise
        if position < len(data):
            self._pieces = [data[position:]]
            self._size = len(data) - position
        return events

    def forget(self, channel: int) -> None:
        """Drops a content that is under way on a channel that is closed."""
        content = self._partial.pop(channel, None)
        if content is not None:
            self._drop(content)

    def _read(self, data: bytes, events: list[Event]) -> int:
        position, end = 0, len(data)
        if self._expect_header:
            self._wanted = len(PROTOCOL_HEADER)
            if end < self._wanted:
                return 0
            self._expect_header = False
            position = self._wanted
            events.append((0, ProtocolHeader(data[:position]), None))
        partial = self._partial
        while end - position >= _OVERHEAD:
            kind, channel, size = _START.unpack_from(data, position)
            stop = position + _START.size + size
            if self.frame_max and size > self.frame_max - _OVERHEAD:
                raise WireError(
                    "FRAME_ERROR",
                    f"a frame of type {kind} has {size} bytes of payload, more than the limit"
                    f" of {self.frame_max - _OVERHEAD}",
                )
            if stop >= end:
                self._wanted = stop + 1 - position
                return position
            if data[stop] != _END_OCTET:
                raise WireError(
                    "FRAME_ERROR", f"a frame of type {kind} ends with octet {data[stop]}, not 206"
                )
            payload = data[position + _START.size : stop]
            position = stop + 1
            if kind == _METHOD and channel not in partial:
                method = decode_method(payload)
                if isinstance(method, _WITH_CONTENT):
                    partial[channel] = _Partial(method)
                else:
                    events.append((channel, method, None))
            else:
                event = self._read_content(kind, channel, payload)
                if event is not None:
                    events.append(event)
        self._wanted = _OVERHEAD
        return position

    def _read_content(self, kind: int, channel: int, payload: bytes) -> Event | None:
        if kind == _HEARTBEAT:
            if channel or payload:
                raise WireError("UNEXPECTED_FRAME", f"a heartbeat came on channel {channel}")
            return 0, Heartbeat(), None
        if kind not in (_METHOD, _HEADER, _BODY):
            raise WireError("FRAME_ERROR", f"there is no frame of type {kind}")
        content = self._partial.get(channel)
        if content is None:
            raise WireError(
                "UNEXPECTED_FRAME", "expected method frame, got non method frame instead"
            )
        if content.header is None:
            self._read_header(content, kind, payload)
        else:
            self._read_body(content, kind, payload)
        if content.missing:
            return None
        del self._partial[channel]
        self._drop(content)
        body = b"".join(content.chunks) if content.chunks is not None else None
        return channel, content.method, Content(content.header or b"", body, content.size)

    def _read_header(self, content: _Partial, kind: int, payload: bytes) -> None:
        if kind != _HEADER:
            raise WireError(
                "UNEXPECTED_FRAME",
                f"expected content header for class {BASIC_CLASS},"
                " got non content header frame instead",
            )
        try:
            number, size = body_size(payload)
        except FieldError as error:
            raise WireError("SYNTAX_ERROR", str(error)) from error
        if number != BASIC_CLASS:
            raise WireError(
                "UNEXPECTED_FRAME",
                f"expected content header for class {BASIC_CLASS},"
                f" got one for class {number} instead",
            )
        content.header = payload
        content.size = content.missing = size
        if size > self._max_body_size:
            content.chunks = None
        self._kept_headers += len(payload)
        self._check_kept()

    def _read_body(self, content: _Partial, kind: int, payload: bytes) -> None:
        if kind != _BODY:
            raise WireError(
                "UNEXPECTED_FRAME", "expected content body, got non content body frame instead"
            )
        if len(payload) > content.missing:
            raise WireError(
                "UNEXPECTED_FRAME",
                f"a body of {content.size} bytes has {len(payload) - content.missing} too many",
            )
        content.missing -= len(payload)
        if content.chunks is not None:
            self._kept += len(payload)
            self._check_kept()
            if content.missing:
                content.add(payload)
            else:
                if content.small:
                    content.join()
                content.chunks.append(payload)

    def _drop(self, content: _Partial) -> None:
        self._kept -= content.kept()
        if content.header is not None:
            self._kept_headers -= len(content.header)

    def _check_kept(self) -> None:
        if self._kept > 2 * self._max_body_size or self._kept_headers > _MAX_HEADERS:
            raise WireError(
                "RESOURCE_ERROR",
                f"bodies of {self._kept} bytes, and headers of {self._kept_headers}, are under way"
                " on this connection",
            )
