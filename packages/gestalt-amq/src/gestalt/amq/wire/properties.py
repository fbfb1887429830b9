"""The properties of a message, which travel in its content header.

Layout: AMQP 0-9-1 specification, section 4.2.6.1. A broker keeps and sends on a header as it came;
it is encoded again only where a property changes.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from gestalt.core.numbers import amount_of, kind_of

from .errors import FieldError, FieldTypeError, NestingError
from .raw import RawValue, split_table
from .strings import encode_short_string
from .tables import decode_table, encode_table, value_or_raw

TRANSIENT: Final = 1
PERSISTENT: Final = 2

BASIC_CLASS: Final = 60
CONTENT_HEADER = struct.Struct(">HHQ")
"""What a header frame holds before its properties: the class, the weight, the body's size."""

_FLAGS = struct.Struct(">H")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


# Without slots: what is decoded has few properties, and finds the others in the class.
@dataclass(frozen=True, kw_only=True)
class Properties:
    """The basic properties of AMQP 0-9-1 (section 1.8.3.1 of its reference).

    Args:
        headers: application headers: str, int, float, bool, bytes, None, datetime, lists, dicts.
        delivery_mode: 2 for persistent, 1 for transient.
        expiration: the time to live, in milliseconds, as a decimal string.
        timestamp: seconds since the epoch.
        cluster_id: without a meaning since AMQP 0-9-1; passed on as it came.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Mapping[str, Any] | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: int | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    cluster_id: str | None = None


# The first property has the highest flag; the lowest one would announce a second word of flags.
_NAMES = tuple(field.name for field in fields(Properties))
_FLAG_OF = {name: 1 << (15 - position) for position, name in enumerate(_NAMES)}
_SIZES = {"delivery_mode": 1, "priority": 1, "timestamp": 8}
_LAYOUT = tuple((flag, name, _SIZES.get(name)) for name, flag in _FLAG_OF.items())
_VALUES = attrgetter(*_NAMES)
_HEADERS = _FLAG_OF["headers"]
_BEFORE_HEADERS = (_FLAG_OF["content_type"], _FLAG_OF["content_encoding"])
_MORE_FLAGS = 1
# What messages in a row have each its own of, as they do headers: in the two bytes of the flags.
_OWN_1 = (_HEADERS | _FLAG_OF["correlation_id"]) >> 8
_OWN_2 = _FLAG_OF["message_id"] | _FLAG_OF["timestamp"]
# What properties without headers take, at most: eleven short strings of 256 bytes, and numbers.
_LARGEST_PLAIN = 3072


def encode_properties(properties: Properties) -> bytes:
    """Returns the flags and the values of a content header.

    Raises:
        FieldTypeError: A value is of a wrong type, or a header has one that AMQP cannot carry.
        FieldError: A value does not fit its field. It says which one.
    """
    flags = 0
    parts = []
    for value, (flag, name, size) in zip(_VALUES(properties), _LAYOUT, strict=True):
        if value is None:
            continue
        flags |= flag
        if size is not None:
            parts.append(_number(value, name, size))
        elif flag == _HEADERS:
            if not isinstance(value, Mapping):
                raise FieldTypeError(
                    f"{name} are a mapping of names to values, got {kind_of(value)}"
                )
            parts.append(encode_table(value))
        else:
            parts.append(encode_short_string(value, name))
    return _FLAGS.pack(flags) + b"".join(parts)


def _number(value: object, name: str, size: int) -> bytes:
    if not isinstance(value, int):
        raise FieldTypeError(f"{name} is an int, got {kind_of(value)}")
    if not 0 <= value < 1 << 8 * size:
        raise FieldError(f"{name} is 0 to {(1 << 8 * size) - 1}, got {amount_of(value)}")
    return value.to_bytes(size, "big")


def decode_properties(data: bytes) -> tuple[Properties, FieldError | None]:
    """Returns the properties, and why their headers cannot be read, None if they can.

    A message's headers are its sender's to write, and brokers pass on what they can read, however
    deep it nests: headers that cannot be read are left out.

    Args:
        data: The flags and the values of a content header.

    Raises:
        FieldError: They are malformed otherwise.
    """
    if 1 < len(data) <= _LARGEST_PLAIN and not (data[0] & _OWN_1 or data[1] & _OWN_2):
        return _decode_plain(data)
    return _decode(data)


def content_header(properties: Properties, body_size: int) -> bytes:
    """Returns the payload of the header frame of a message; errors as `encode_properties`.

    Args:
        properties: The properties.
        body_size: The size of the body, in bytes.
    """
    return CONTENT_HEADER.pack(BASIC_CLASS, 0, body_size) + encode_properties(properties)


def read_properties(header: bytes) -> Properties:
    """Returns the properties in the payload of a header frame.

    Headers that nest too deep to be read are there as a `RawValue` each.

    Raises:
        FieldError: They are malformed.
    """
    data = header[CONTENT_HEADER.size :]
    properties, unreadable = decode_properties(data)
    if isinstance(unreadable, NestingError):
        headers = {key: value_or_raw(value) for key, value in split_headers(data).items()}
        return replace(properties, headers=headers)
    if unreadable is not None:
        raise unreadable
    return properties


def split_headers(data: bytes) -> dict[str, RawValue]:
    """Tells the headers apart, however deep they nest, without reading their values.

    Args:
        data: The flags and the values of a content header.

    Raises:
        FieldError: They are malformed.
    """
    try:
        (flags,) = _FLAGS.unpack_from(data)
        position = _FLAGS.size
        for flag in _BEFORE_HEADERS:
            if flags & flag:
                position += 1 + data[position]
    except (IndexError, struct.error) as error:
        raise FieldError("a content header is cut short") from error
    return split_table(data, position) if flags & _HEADERS else {}


def _decode(data: bytes) -> tuple[Properties, FieldError | None]:
    values: dict[str, Any] = {}
    unreadable: FieldError | None = None
    try:
        (flags,) = _FLAGS.unpack_from(data)
        if flags & _MORE_FLAGS:
            raise FieldError("a content header has more properties than AMQP 0-9-1")
        position = _FLAGS.size
        for name, size in _present(flags):
            if size is None:
                start = position + 1
                position = start + data[position]
                values[name] = data[start:position].decode("utf-8", "surrogateescape")
            elif size == 1:
                values[name] = data[position]
                position += 1
            elif size:
                values[name] = int.from_bytes(data[position : position + size], "big")
                position += size
            else:
                try:
                    values[name], position = decode_table(data, position)
                except FieldError as error:
                    unreadable = error
                    position += 4 + _U32.unpack_from(data, position)[0]
    except (IndexError, struct.error) as error:
        raise FieldError("a content header is cut short") from error
    if position > len(data):
        raise FieldError("a content header ends within a property")
    if position < len(data):
        raise FieldError(f"a content header is {len(data) - position} bytes too long")
    return _made_of(values), unreadable


def _made_of(values: dict[str, Any]) -> Properties:
    # As Properties(**values), in a tenth of the time: a frozen dataclass is slow to make.
    properties = object.__new__(Properties)
    properties.__dict__.update(values)
    return properties


# Messages in a row mostly have the same of the other properties.
_decode_plain = lru_cache(maxsize=256)(_decode)


@lru_cache(maxsize=256)
def _present(flags: int) -> tuple[tuple[str, int | None], ...]:
    # The headers tell their size; a text tells its own in a byte.
    return tuple(
        (name, 0 if flag == _HEADERS else size) for flag, name, size in _LAYOUT if flags & flag
    )
