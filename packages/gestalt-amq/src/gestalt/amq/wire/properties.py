"""The properties of a message, which travel in its content header.

The header frame's payload is kept and sent on as it came; it is decoded to look into it, and
encoded again only where a property changes.
"""

import struct
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from .errors import FieldError
from .fields import Table, decode_short_string, decode_table, encode_short_string, encode_table

BASIC_CLASS = 60

_START = struct.Struct(">HHQ")
_FLAGS = struct.Struct(">H")
_UINT64 = struct.Struct(">Q")


@dataclass(slots=True)
class Properties:
    """The properties of the class basic; None where one is not set."""

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Table | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: datetime | int | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    cluster_id: str | None = None


# The first property has the highest bit; the lowest would announce a second word of flags.
_NAMES = [field.name for field in fields(Properties)]
_BITS = [(1 << (15 - position), name) for position, name in enumerate(_NAMES)]
_HEADERS_BIT = 1 << 13
_MORE_FLAGS = 1
_TWO_OCTETS = ("delivery_mode", "priority")


def content_header(
    properties: Properties, body_size: int, *, headers: bytes | None = None
) -> bytes:
    """Returns the payload of the header frame of a message.

    Args:
        properties: The properties.
        body_size: The size of the body, in bytes.
        headers: An encoded table that takes the place of the properties' headers.

    Raises:
        FieldError: A property does not fit its field.
    """
    flags = 0
    parts: list[bytes] = []
    for bit, name in _BITS:
        value = getattr(properties, name)
        if name == "headers" and headers is not None:
            flags |= bit
            parts.append(headers)
        elif value is not None:
            flags |= bit
            parts.append(_encode(name, value))
    start = _START.pack(BASIC_CLASS, 0, body_size) + _FLAGS.pack(flags)
    return start + b"".join(parts)


def body_size(header: bytes) -> tuple[int, int]:
    """Returns the class number and the size in bytes of the body that a header announces.

    Raises:
        FieldError: The header is cut short.
    """
    if len(header) < _START.size + _FLAGS.size:
        raise FieldError("a content header is cut short")
    number, _, size = _START.unpack_from(header)
    return number, size


def read_properties(header: bytes) -> Properties:
    """Returns the properties in the payload of a header frame.

    Raises:
        FieldError: They are malformed.
    """
    properties = Properties()
    (flags,) = _FLAGS.unpack_from(header, _START.size)
    offset = _START.size + _FLAGS.size
    if flags & _MORE_FLAGS:
        raise FieldError("a content header announces properties that AMQP does not have")
    try:
        for bit, name in _BITS:
            if flags & bit:
                value, offset = _decode(name, header, offset)
                setattr(properties, name, value)
    except (IndexError, struct.error) as error:
        raise FieldError("a content header is cut short") from error
    if offset != len(header):
        raise FieldError(f"a content header is {len(header) - offset} bytes too long")
    return properties


def headers_offset(header: bytes) -> int | None:
    """Returns where the headers begin in the payload of a valid header frame, if it has any."""
    (flags,) = _FLAGS.unpack_from(header, _START.size)
    if not flags & _HEADERS_BIT:
        return None
    offset = _START.size + _FLAGS.size
    for bit in (1 << 15, 1 << 14):
        if flags & bit:
            offset += 1 + header[offset]
    return offset


def _encode(name: str, value: Any) -> bytes:
    if name == "headers":
        return encode_table(value)
    if name in _TWO_OCTETS:
        if not 0 <= value <= 255:
            raise FieldError(f"{name} has one byte: {value}")
        return bytes((value,))
    if name == "timestamp":
        seconds = value.timestamp() if isinstance(value, datetime) else value
        return _UINT64.pack(int(seconds))
    return encode_short_string(value)


def _decode(name: str, data: bytes, offset: int) -> tuple[Any, int]:
    if name == "headers":
        return decode_table(data, offset)
    if name in _TWO_OCTETS:
        return data[offset], offset + 1
    if name == "timestamp":
        (seconds,) = _UINT64.unpack_from(data, offset)
        try:
            return datetime.fromtimestamp(seconds, UTC), offset + 8
        except (OverflowError, OSError, ValueError):
            return seconds, offset + 8
    return decode_short_string(data, offset)
