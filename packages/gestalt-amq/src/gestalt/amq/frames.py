"""The frames of the hot paths, straight between bytes and values: publishes, deliveries, answers.

Sans-IO. Layouts: AMQP 0-9-1 specification, sections 2.3.5 (frames) and 4.2.6 (content), with
RabbitMQ's basic.nack. All other methods are left to the client library.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Protocol, cast

from .errors import Unsendable, UnsendableType
from .properties import Delivery, Got, Properties
from .tables import decode_table, encode_table, shown

_FRAME = struct.Struct(">BHI")
_HEADER_FRAME = struct.Struct(">BHIHHQ")  # frame header, class, weight, size of the body
_SETTLE = struct.Struct(">BHIHHQBB")
_CONTENT = struct.Struct(">HHQ")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_END = b"\xce"
CONTENT_SIZE = _CONTENT.size
"""What a header frame holds besides flags and values of the properties, in bytes."""
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"

_METHOD, _HEADER, _BODY = 1, 2, 3
_KINDS = frozenset({_METHOD, _HEADER, _BODY, HEARTBEAT[0]})
_BASIC = 60
_PUBLISH = _BASIC << 16 | 40
_DELIVER = _BASIC << 16 | 60
_RETURN = _BASIC << 16 | 50
_GET_OK = _BASIC << 16 | 71
_GET_EMPTY = _BASIC << 16 | 72
_ACK = _BASIC << 16 | 80
_NACK = _BASIC << 16 | 120
_CANCEL = _BASIC << 16 | 30
_CHANNEL_CLOSE = 20 << 16 | 40
_CONNECTION_CLOSE = 10 << 16 | 50
_BLOCKED = 10 << 16 | 60
_UNBLOCKED = 10 << 16 | 61
# A broker adds headers of its own to a message, also to one whose headers just fit into a frame.
_HEADERS_OF_BROKER = 65_536

# The flag of each property, and how it is written; in the order of the wire.
_SHORT, _OCTET, _TABLE, _TIME = "short", "octet", "table", "time"
_LAYOUT = (
    (1 << 15, "content_type", _SHORT),
    (1 << 14, "content_encoding", _SHORT),
    (1 << 13, "headers", _TABLE),
    (1 << 12, "delivery_mode", _OCTET),
    (1 << 11, "priority", _OCTET),
    (1 << 10, "correlation_id", _SHORT),
    (1 << 9, "reply_to", _SHORT),
    (1 << 8, "expiration", _SHORT),
    (1 << 7, "message_id", _SHORT),
    (1 << 6, "timestamp", _TIME),
    (1 << 5, "type", _SHORT),
    (1 << 4, "user_id", _SHORT),
    (1 << 3, "app_id", _SHORT),
    (1 << 2, "cluster_id", _SHORT),
)
_HAS_HEADERS = 1 << 13


def short_string(text: str, name: str = "a name") -> bytes:
    """Encode a short string.

    Args:
        name: what it is, for the error.

    Raises:
        UnsendableType: it is no string.
        Unsendable: it has more than 255 bytes, or cannot be encoded.
    """
    if not isinstance(text, str):
        raise UnsendableType(f"{name} is a str, got {shown(text)}")
    try:
        # What was read with surrogates, not being UTF-8, is written as it was.
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise Unsendable(f"{name} cannot be sent: {error}") from error
    if len(data) > 255:
        raise Unsendable(f"{name} has at most 255 bytes, got {len(data)}: {text[:60]!r}...")
    return bytes((len(data),)) + data


def encode_properties(properties: Properties) -> bytes:
    """Encode flags and values of a content header.

    Raises:
        Unsendable: a value does not fit its field, or the broker would not take it.
        UnsendableType: a value is of a wrong type, or a header has one that AMQP cannot carry.
    """
    flags = 0
    parts = []
    for flag, name, kind in _LAYOUT[:-1]:  # cluster-id is no more
        value = getattr(properties, name)
        if value is None:
            continue
        flags |= flag
        if kind is _SHORT:
            parts.append(short_string(value, name))
        elif kind is _TABLE:
            if not isinstance(value, Mapping):
                raise UnsendableType(f"{name} are a mapping of names to values, got {shown(value)}")
            for copies in ("CC", "BCC"):
                if copies in value:
                    _check_routing_keys(copies, value[copies])
            parts.append(encode_table(value))
        else:
            parts.append(_number(value, name, 1 if kind is _OCTET else 8))
    return _U16.pack(flags) + b"".join(parts)


def _number(value: object, name: str, size: int) -> bytes:
    if not isinstance(value, int):
        raise UnsendableType(f"{name} is an int, got {shown(value)}")
    if not 0 <= value < 1 << 8 * size:
        raise Unsendable(f"{name} is 0 to {(1 << 8 * size) - 1}, got {shown(value)}")
    return value.to_bytes(size, "big")


def _check_routing_keys(name: str, keys: object) -> None:
    """Refuse what RabbitMQ would end the channel for."""
    if not isinstance(keys, list | tuple) or not all(isinstance(key, str) for key in keys):
        raise UnsendableType(f"the header {name!r} is a list of routing keys, got {shown(keys)}")


def decode_properties(data: bytes) -> tuple[Properties, str | None]:
    """Decode flags and values of a content header.

    A message's headers are its sender's to write, and brokers pass on what they can read, however
    deeply it nests: headers that cannot be read here are left out, and the reason returned.

    Raises:
        ValueError, IndexError, struct.error: it is malformed otherwise.
    """
    values: dict[str, Any] = {}
    unreadable: str | None = None
    (flags,) = _U16.unpack_from(data)
    if flags & 1:
        raise ValueError("a content header with more properties than AMQP 0-9-1 has")
    position = 2
    for flag, name, kind in _LAYOUT:
        if not flags & flag:
            continue
        value: Any = None
        if kind is _SHORT:
            start = position + 1
            position = start + data[position]
            value = data[start:position].decode("utf-8", "surrogateescape")
        elif kind is _OCTET:
            value = data[position]
            position += 1
        elif kind is _TABLE:
            try:
                value, _ = decode_table(data, position)
            except (ValueError, IndexError, struct.error) as error:
                unreadable = str(error)
            position += 4 + _U32.unpack_from(data, position)[0]
        else:
            (value,) = _U64.unpack_from(data, position)
            position += 8
        if name != "cluster_id":
            values[name] = value
    if position > len(data):
        raise ValueError("a content header ends within a property")
    return Properties(**values), unreadable


def headers_of(header: bytes) -> bytes | None:
    """Find the table of headers in a content header, None where there is none.

    Raises:
        IndexError, struct.error: it is cut short.
    """
    (flags,) = _U16.unpack_from(header)
    position = 2
    for flag, _, _ in _LAYOUT[:2]:
        if flags & flag:
            position += 1 + header[position]
    if not flags & _HAS_HEADERS:
        return None
    return header[position : position + 4 + _U32.unpack_from(header, position)[0]]


@lru_cache(maxsize=1024)
def publish_method(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    """Encode the frame of basic.publish."""
    payload = (
        _U32.pack(_PUBLISH)
        + b"\x00\x00"
        + short_string(exchange, "exchange")
        + short_string(routing_key, "routing_key")
        + bytes((mandatory,))
    )
    return _FRAME.pack(_METHOD, channel, len(payload)) + payload + _END


def content(channel: int, properties: bytes, body: bytes, limit: int) -> list[bytes]:
    """Encode the content of a publish: its header, and its body in frames of `limit` bytes."""
    size = len(body)
    parts = [
        _HEADER_FRAME.pack(_HEADER, channel, 12 + len(properties), _BASIC, 0, size),
        properties,
        _END,
    ]
    if size <= limit:
        if size:
            parts += (_FRAME.pack(_BODY, channel, size), body, _END)
        return parts
    view = memoryview(body)
    for start in range(0, size, limit):
        part = view[start : start + limit]
        parts += (_FRAME.pack(_BODY, channel, len(part)), bytes(part), _END)
    return parts


def ack(channel: int, tag: int, multiple: bool) -> bytes:
    """Encode basic.ack."""
    return _SETTLE.pack(_METHOD, channel, 13, _BASIC, 80, tag, multiple, 0xCE)


def nack(channel: int, tag: int, multiple: bool, requeue: bool) -> bytes:
    """Encode basic.nack."""
    return _SETTLE.pack(_METHOD, channel, 13, _BASIC, 120, tag, multiple | requeue << 1, 0xCE)


def get(channel: int, queue: str) -> bytes:
    """Encode basic.get, of a message that is to be settled."""
    payload = _U32.pack(_BASIC << 16 | 70) + b"\x00\x00" + short_string(queue) + b"\x00"
    return _FRAME.pack(_METHOD, channel, len(payload)) + payload + _END


class FrameError(ValueError):
    """What a broker sent is no AMQP 0-9-1."""


class Sink(Protocol):
    """What takes the hot frames of one channel, and is told of its rare events."""

    content: PartialContent | None

    def on_delivery(self, delivery: Delivery) -> None: ...
    def on_returned(self, code: int, text: str, delivery: Delivery) -> None: ...
    def on_got(self, delivery: Got | None) -> None: ...
    def on_confirm(self, tag: int, multiple: bool, accepted: bool) -> None: ...
    def on_cancelled(self) -> None: ...
    def on_closed(self, code: int, text: str, *, by_publish: bool) -> None: ...


class ConnectionSink(Protocol):
    """What is told of the rare events of the connection itself."""

    def note_blocked(self, reason: str | None) -> None: ...
    def note_closed(self, code: int, text: str) -> None: ...


class PartialContent:
    """A delivery or a return whose content is still arriving, and who takes it."""

    __slots__ = ("chunks", "delivery", "missing", "take")

    def __init__(self, delivery: Delivery, take: Callable[[Delivery], None]) -> None:
        self.delivery = delivery
        self.take = take
        self.missing = -1  # bytes of the body still to come; the header tells
        self.chunks: list[bytes] = []


class Inlet:
    """Takes a connection's bytes, gives hot frames to their sinks, and the rest back.

    Args:
        connection: is told of the rare events of the connection.

    Attributes:
        limit: the largest frame, in bytes; what was negotiated.
    """

    def __init__(self, connection: ConnectionSink) -> None:
        self.sinks: dict[int, Sink] = {}
        self.limit = 131_072
        self._connection = connection
        self._tail = b""
        # Most messages of a consumer share their properties: the last few are kept decoded.
        self._decoded: dict[bytes, Properties] = {}

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the connection, and return those that are not for a sink.

        Raises:
            FrameError: they are no AMQP.
        """
        if self._tail:
            data = self._tail + data
        end = len(data)
        position = cold_from = 0
        cold: list[bytes] = []
        unpack = _FRAME.unpack_from
        sinks = self.sinks
        while end - position >= 8:
            kind, channel, size = unpack(data, position)
            if (size + 8 > self.limit or kind not in _KINDS) and (
                kind != _HEADER or size > self.limit + _HEADERS_OF_BROKER
            ):
                raise FrameError(f"a frame of type {kind}, {size} of {self.limit} bytes")
            stop = position + 8 + size
            if stop > end:
                break
            if data[stop - 1] != 0xCE:
                raise FrameError("a frame does not end where it says")
            sink = sinks.get(channel)
            try:
                if sink is not None:
                    if self._take(sink, kind, data, position + 7, stop - 1):
                        if position > cold_from:
                            cold.append(data[cold_from:position])
                        cold_from = stop
                elif channel == 0 and kind == _METHOD:
                    self._note_connection(data[position + 7 : stop - 1])
            except (IndexError, struct.error) as error:
                raise FrameError("a frame ends within a value") from error
            position = stop
        if position > cold_from:
            cold.append(data[cold_from:position])
        self._tail = data[position:]
        return b"".join(cold)

    def _take(self, sink: Sink, kind: int, data: bytes, start: int, stop: int) -> bool:
        """Take a frame's payload; False when it is not a hot one."""
        content = sink.content
        if content is not None:
            if kind == _HEADER and content.missing < 0:
                (_, _, content.missing) = _CONTENT.unpack_from(data, start)
                self._read_properties(content.delivery, data[start + 12 : stop])
            elif kind == _BODY and content.missing >= stop - start:
                content.missing -= stop - start
                if content.missing == 0 and not content.chunks:
                    content.delivery.body = data[start:stop]
                else:
                    content.chunks.append(data[start:stop])
            else:
                raise FrameError(f"a frame of type {kind}, {stop - start} bytes, within a message")
            if content.missing == 0:
                sink.content = None
                delivery = content.delivery
                if content.chunks:
                    delivery.body = b"".join(content.chunks)
                content.take(delivery)
            return True
        if kind != _METHOD:
            return False
        data, position = data[start:stop], 4
        (method,) = _U32.unpack_from(data)
        if method == _DELIVER:
            position += 1 + data[position]  # the consumer's tag: a channel has one consumer
            (tag,) = _U64.unpack_from(data, position)
            exchange, after = _string(data, position + 9)
            routing_key, _ = _string(data, after)
            redelivered = data[position + 8] & 1 == 1
            delivery = Delivery(tag, redelivered, exchange, routing_key, _BLANK, b"")
            sink.content = PartialContent(delivery, sink.on_delivery)
            return True
        if method in (_ACK, _NACK):
            (tag,) = _U64.unpack_from(data, position)
            sink.on_confirm(tag, data[position + 8] & 1 == 1, method == _ACK)
            return True
        if method == _RETURN:
            (code,) = _U16.unpack_from(data, position)
            text, after = _string(data, position + 2)
            exchange, after = _string(data, after)
            routing_key, _ = _string(data, after)
            delivery = Delivery(0, False, exchange, routing_key, _BLANK, b"")
            sink.content = PartialContent(delivery, partial(sink.on_returned, code, text))
            return True
        if method == _GET_OK:
            (tag,) = _U64.unpack_from(data, position)
            exchange, after = _string(data, position + 9)
            routing_key, after = _string(data, after)
            redelivered = data[position + 8] & 1 == 1
            got = Got(tag, redelivered, exchange, routing_key, _BLANK, b"")
            (got.left,) = _U32.unpack_from(data, after)
            sink.content = PartialContent(got, cast(Callable[[Delivery], None], sink.on_got))
            return True
        if method == _GET_EMPTY:
            sink.on_got(None)
            return True
        if method == _CANCEL:
            sink.on_cancelled()
        elif method == _CHANNEL_CLOSE:
            (code,) = _U16.unpack_from(data, position)
            text, after = _string(data, position + 2)
            (culprit,) = _U32.unpack_from(data, after)
            sink.on_closed(code, text, by_publish=culprit == _PUBLISH)
        return False

    def _note_connection(self, data: bytes) -> None:
        (method,) = _U32.unpack_from(data)
        if method == _CONNECTION_CLOSE:
            (code,) = _U16.unpack_from(data, 4)
            self._connection.note_closed(code, _string(data, 6)[0])
        elif method == _BLOCKED:
            self._connection.note_blocked(_string(data, 4)[0] or "no reason given")
        elif method == _UNBLOCKED:
            self._connection.note_blocked(None)

    def _read_properties(self, delivery: Delivery, data: bytes) -> None:
        properties = self._decoded.get(data)
        if properties is None:
            try:
                properties, delivery.unreadable = decode_properties(data)
            except ValueError as error:
                raise FrameError(str(error)) from error
            if data[0] & _HAS_HEADERS >> 8:
                delivery.header = data
            else:
                if len(self._decoded) >= 64:
                    self._decoded.clear()
                self._decoded[data] = properties
        delivery.properties = properties


_BLANK = Properties()


def _string(data: bytes, start: int) -> tuple[str, int]:
    stop = start + 1 + data[start]
    if stop > len(data):
        raise FrameError("a frame ends within a string")
    return data[start + 1 : stop].decode("utf-8", "surrogateescape"), stop
