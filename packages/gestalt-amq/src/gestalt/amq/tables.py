"""AMQP field tables: the headers of messages.

Types as RabbitMQ reads and writes them (https://www.rabbitmq.com/amqp-0-9-1-errata.html,
section 3), which differ from the specification's.
"""

from __future__ import annotations

import datetime
import decimal
import math
import struct
from collections.abc import Mapping
from typing import Any

from .errors import Unsendable, UnsendableType

# Tables may nest; hostile ones must not exhaust the stack.
MAX_DEPTH = 32

_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_I64 = struct.Struct(">q")
_U64 = struct.Struct(">Q")
_F64 = struct.Struct(">d")
_DECIMAL = struct.Struct(">Bi")

_FIXED = {
    ord("t"): struct.Struct(">?"),
    ord("b"): struct.Struct(">b"),
    ord("B"): struct.Struct(">B"),
    ord("s"): struct.Struct(">h"),
    ord("u"): struct.Struct(">H"),
    ord("I"): _I32,
    ord("i"): _U32,
    ord("l"): _I64,
    ord("L"): _I64,
    ord("f"): struct.Struct(">f"),
    ord("d"): _F64,
}


def shown(value: object) -> str:
    """A value as an error shows it: not too long, and whatever it is."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__qualname__}: {type(error).__qualname__} on repr>"
    return text if len(text) <= 80 else f"{text[:77]}..."


class RawValue:
    """A value as it is on the wire, with the octet of its type: passed on, and not read."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


def encode_table(table: Mapping[str, Any], depth: int = 0) -> bytes:
    """Encode a table.

    Raises:
        UnsendableType: a key is no string, or a value has no type in AMQP.
        Unsendable: a key is longer than 255 bytes, a number does not fit or is not finite, text
            cannot be encoded, or the table nests too deeply.
    """
    parts: list[bytes] = []
    for key, value in table.items():
        if not isinstance(key, str):
            raise UnsendableType(f"the key of a header is a string, got {shown(key)}")
        try:
            name = key.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise Unsendable(f"header {key[:60]!r}: its name cannot be sent: {error}") from error
        if len(name) > 255:
            raise Unsendable(f"the key of a header has at most 255 bytes, got {key[:60]!r}...")
        parts += (bytes((len(name),)), name, _encode(value, key, depth))
    data = b"".join(parts)
    return _U32.pack(len(data)) + data


def _encode(value: Any, key: str, depth: int) -> bytes:
    # bool is an int, and datetime no number: the order matters.
    match value:
        case str():
            try:
                data = value.encode()
            except UnicodeEncodeError as error:
                raise Unsendable(f"header {key!r}: its text cannot be sent: {error}") from error
            return b"S" + _U32.pack(len(data)) + data
        case bool():
            return b"t\x01" if value else b"t\x00"
        case int():
            if -(2**31) <= value < 2**31:
                return b"I" + _I32.pack(value)
            if -(2**63) <= value < 2**63:
                return b"l" + _I64.pack(value)
            bits = value.bit_length()
            raise Unsendable(f"header {key!r}: a number of {bits} bits has more than 64 bits")
        case float():
            if not math.isfinite(value):
                # RabbitMQ ends the whole connection for it.
                raise Unsendable(f"header {key!r}: {value} is not finite")
            return b"d" + _F64.pack(value)
        case None:
            return b"V"
        case bytes() | bytearray() | memoryview():
            return b"x" + _U32.pack(len(value)) + bytes(value)
        case datetime.datetime():
            return b"T" + _U64.pack(_seconds(value, key))
        case decimal.Decimal():
            return _encode_decimal(value, key)
    if depth >= MAX_DEPTH:
        raise Unsendable(f"header {key!r} nests more than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return b"F" + encode_table(value, depth + 1)
    if isinstance(value, list | tuple):
        data = b"".join([_encode(each, key, depth + 1) for each in value])
        return b"A" + _U32.pack(len(data)) + data
    if isinstance(value, RawValue):
        return value.data
    raise UnsendableType(f"header {key!r}: AMQP carries no {type(value).__qualname__}")


def _encode_decimal(value: decimal.Decimal, key: str) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise Unsendable(f"header {key!r}: {value} is not finite")
    places = max(0, -exponent)
    # 2**31 has ten digits: what has more of them is not computed.
    fits = places <= 255 and (not value or value.adjusted() + places < 10)
    number = int("".join(map(str, digits))) * 10 ** max(0, exponent) if fits and value else 0
    if sign:
        number = -number
    if not fits or not -(2**31) <= number < 2**31:
        raise Unsendable(f"header {key!r}: {shown(value)} does not fit an AMQP decimal")
    return b"D" + _DECIMAL.pack(places, number)


def _seconds(moment: datetime.datetime, key: str) -> int:
    try:
        seconds = int(moment.timestamp())
    except (OverflowError, OSError, ValueError) as error:
        raise Unsendable(f"header {key!r}: {moment} cannot be sent: {error}") from error
    if seconds < 0:
        raise Unsendable(f"header {key!r}: AMQP has no moments before 1970, got {moment}")
    return seconds


def decode_table(data: bytes, start: int = 0, depth: int = 0) -> tuple[dict[str, Any], int]:
    """Decode a table, and return it with the position after it.

    Raises:
        ValueError: it is malformed, or nests too deeply.
        struct.error, IndexError: it is cut short.
    """
    (size,) = _U32.unpack_from(data, start)
    position = start + 4
    stop = _within(data, position + size)
    table: dict[str, Any] = {}
    while position < stop:
        after = position + 1 + data[position]
        key = data[position + 1 : after].decode("utf-8", "surrogateescape")
        table[key], position = _decode(data, after, depth)
    if position != stop:
        raise ValueError("a field table ends within a value")
    return table, position


def split_table(data: bytes) -> dict[str, RawValue]:
    """Tell the entries of a table apart, however deeply they nest, without reading their values.

    Raises:
        ValueError: it is malformed, or has a value of an unknown type.
        struct.error, IndexError: it is cut short.
    """
    (size,) = _U32.unpack_from(data)
    stop = _within(data, 4 + size)
    table: dict[str, RawValue] = {}
    position = 4
    while position < stop:
        start = position + 1 + data[position]
        key = data[position + 1 : start].decode("utf-8", "surrogateescape")
        position = _within(data, start + 1 + _width(data, start))
        table[key] = RawValue(data[start:position])
    if position != stop:
        raise ValueError("a field table ends within a value")
    return table


def decode_value(value: RawValue) -> Any:
    """Read a value that `split_table` has told apart; errors as those of `decode_table`."""
    return _decode(value.data, 0, 0)[0]


def _width(data: bytes, start: int) -> int:
    """How many bytes a value takes after the octet of its type."""
    kind = data[start]
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return fixed.size
    match chr(kind):
        case "S" | "x" | "F" | "A":
            return 4 + int(_U32.unpack_from(data, start + 1)[0])
        case "V":
            return 0
        case "T":
            return 8
        case "D":
            return 5
    raise ValueError(f"a field table has a value of the unknown type {chr(kind)!r}")


def _decode(data: bytes, start: int, depth: int) -> tuple[Any, int]:
    kind = data[start]
    start += 1
    fixed = _FIXED.get(kind)
    if fixed is not None:
        (value,) = fixed.unpack_from(data, start)
        return value, start + fixed.size
    match chr(kind):
        case "S" | "x":
            (size,) = _U32.unpack_from(data, start)
            stop = _within(data, start + 4 + size)
            raw = data[start + 4 : stop]
            return (raw if kind == ord("x") else _text(raw)), stop
        case "V":
            return None, start
        case "T":
            (seconds,) = _U64.unpack_from(data, start)
            return _moment(seconds), start + 8
        case "D":
            places, number = _DECIMAL.unpack_from(data, start)
            return decimal.Decimal(number).scaleb(-places), start + 5
    if depth >= MAX_DEPTH:
        raise ValueError(f"a field table nests more than {MAX_DEPTH} levels")
    if kind == ord("F"):
        return decode_table(data, start, depth + 1)
    if kind == ord("A"):
        (size,) = _U32.unpack_from(data, start)
        position = start + 4
        stop = _within(data, position + size)
        values = []
        while position < stop:
            value, position = _decode(data, position, depth + 1)
            values.append(value)
        if position != stop:
            raise ValueError("a field array ends within a value")
        return values, position
    raise ValueError(f"a field table has a value of the unknown type {chr(kind)!r}")


def _within(data: bytes, stop: int) -> int:
    if stop > len(data):
        raise ValueError("a field table is cut short")
    return stop


def _text(raw: bytes) -> str | bytes:
    # A long string is any bytes by the specification, and mostly text.
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _moment(seconds: int) -> datetime.datetime | int:
    # A moment that Python's calendar does not have stays a number.
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return seconds
