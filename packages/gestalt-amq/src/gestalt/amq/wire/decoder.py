"""Methods and content, as either side of a connection finds them in what it reads.

Bytes in, whole methods with their content out. The decoder holds no more than one frame and the
bodies that are under way.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from .codec import decode_method
from .errors import WireError
from .frames import (
    BODY,
    FRAME_END,
    FRAME_MIN_SIZE,
    FRAME_OVERHEAD,
    FRAME_START,
    HEADER,
    HEARTBEAT,
    METHOD,
    PROTOCOL_HEADER,
    FrameBuffer,
    PartialBody,
)
from .methods import BasicDeliver, BasicGetOk, BasicPublish, BasicReturn, Method
from .properties import BASIC_CLASS, CONTENT_HEADER

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


class _Partial(PartialBody):
    """A method whose content has not all come yet."""

    __slots__ = ("header", "kept", "method", "size")

    def __init__(self, method: Method) -> None:
        super().__init__(0)
        self.method = method
        self.header: bytes | None = None
        self.size = 0
        # Whether its body is not only read.
        self.kept = True


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
        self.frame_max = FRAME_MIN_SIZE + FRAME_OVERHEAD
        self._max_body_size = max_body_size
        self._expect_header = expect_header
        self._partial: dict[int, _Partial] = {}
        # The bytes of the bodies that are under way, and of their headers.
        self._kept = 0
        self._kept_headers = 0
        self._buffer = FrameBuffer()

    def feed(self, data: bytes) -> list[Event]:
        """Returns everything that is complete with these bytes.

        Raises:
            WireError: The bytes are no valid AMQP; it carries what was complete before them. No
                more bytes may be fed.
        """
        events: list[Event] = []
        if data := self._buffer.join(data):
            try:
                position, wanted = self._read(data, events)
            except WireError as error:
                error.events = events
                raise
            if position < len(data):
                self._buffer.keep(data[position:], wanted)
        return events

    def forget(self, channel: int) -> None:
        """Drops a content that is under way on a channel that is closed."""
        content = self._partial.pop(channel, None)
        if content is not None:
            self._drop(content)

    def _read(self, data: bytes, events: list[Event]) -> tuple[int, int]:
        """Reads what is complete: how many bytes that is, and how many to wait for after them."""
        position, end = 0, len(data)
        if self._expect_header:
            size = len(PROTOCOL_HEADER)
            if end < size:
                return 0, size
            self._expect_header = False
            position = size
            events.append((0, ProtocolHeader(data[:size]), None))
        partial = self._partial
        while end - position >= FRAME_OVERHEAD:
            kind, channel, size = FRAME_START.unpack_from(data, position)
            stop = position + FRAME_START.size + size
            if self.frame_max and size > self.frame_max - FRAME_OVERHEAD:
                raise WireError(
                    "FRAME_ERROR",
                    f"a frame of type {kind} has {size} bytes of payload, more than the limit"
                    f" of {self.frame_max - FRAME_OVERHEAD}",
                )
            if stop >= end:
                return position, stop + 1 - position
            if data[stop] != FRAME_END:
                raise WireError(
                    "FRAME_ERROR", f"a frame of type {kind} ends with octet {data[stop]}, not 206"
                )
            payload = data[position + FRAME_START.size : stop]
            position = stop + 1
            if kind == METHOD and channel not in partial:
                method = decode_method(payload)
                if isinstance(method, _WITH_CONTENT):
                    partial[channel] = _Partial(method)
                else:
                    events.append((channel, method, None))
            else:
                event = self._read_content(kind, channel, payload)
                if event is not None:
                    events.append(event)
        return position, FRAME_OVERHEAD

    def _read_content(self, kind: int, channel: int, payload: bytes) -> Event | None:
        if kind == HEARTBEAT:
            if channel or payload:
                raise WireError("UNEXPECTED_FRAME", f"a heartbeat came on channel {channel}")
            return 0, Heartbeat(), None
        if kind not in (METHOD, HEADER, BODY):
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
        body = content.whole if content.kept else None
        return channel, content.method, Content(content.header or b"", body, content.size)

    def _read_header(self, content: _Partial, kind: int, payload: bytes) -> None:
        if kind != HEADER:
            raise WireError(
                "UNEXPECTED_FRAME",
                f"expected content header for class {BASIC_CLASS},"
                " got non content header frame instead",
            )
        if len(payload) < CONTENT_HEADER.size + 2:
            raise WireError("SYNTAX_ERROR", "a content header is cut short")
        number, _, size = CONTENT_HEADER.unpack_from(payload)
        if number != BASIC_CLASS:
            raise WireError(
                "UNEXPECTED_FRAME",
                f"expected content header for class {BASIC_CLASS},"
                f" got one for class {number} instead",
            )
        content.header = payload
        content.size = content.missing = size
        if size > self._max_body_size:
            content.kept = False
        self._kept_headers += len(payload)
        self._check_kept()

    def _read_body(self, content: _Partial, kind: int, payload: bytes) -> None:
        if kind != BODY:
            raise WireError(
                "UNEXPECTED_FRAME", "expected content body, got non content body frame instead"
            )
        if len(payload) > content.missing:
            raise WireError(
                "UNEXPECTED_FRAME",
                f"a body of {content.size} bytes has {len(payload) - content.missing} too many",
            )
        if content.kept:
            self._kept += len(payload)
            self._check_kept()
            content.add(payload)
        else:
            content.missing -= len(payload)

    def _drop(self, content: _Partial) -> None:
        if content.kept:
            self._kept -= content.size - content.missing
        if content.header is not None:  # pragma: no branch - it ends before its header
            self._kept_headers -= len(content.header)

    def _check_kept(self) -> None:
        if self._kept > 2 * self._max_body_size or self._kept_headers > _MAX_HEADERS:
            raise WireError(
                "RESOURCE_ERROR",
                f"bodies of {self._kept} bytes, and headers of {self._kept_headers}, are under way"
                " on this connection",
            )
