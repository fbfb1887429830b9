"""The data types of AMQP 0-9-1: short and long strings, and field tables.

The type letters are those that RabbitMQ and all its clients use, which differ from the text of the
specification: https://www.rabbitmq.com/amqp-0-9-1-errata.html, section 3.
"""

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias

from .errors import FieldError

FieldValue: TypeAlias = (
    "bool | int | float | Decimal | str | bytes | datetime | list[FieldValue]"
    " | Mapping[str, FieldValue] | None"
)

# Tables nest at most this deep; a hostile peer must not exhaust the interpreter's stack.
MAX_DEPTH = 64

# RabbitMQ's names of the types, which its error texts use.
TYPE_NAMES = {
    "t": "bool",
    "b": "byte",
    "B": "unsignedbyte",
    "s": "short",
    "u": "unsignedshort",
    "I": "signedint",
    "i": "unsignedint",
    "l": "long",
    "L": "long",
    "f": "float",
    "d": "double",
    "D": "decimal",
    "S": "longstr",
    "x": "binary",
    "A": "array",
    "T": "timestamp",
    "F": "table",
    "V": "void",
}

_NUMBERS = {
    ord(letter): struct.Struct(f">{code}")
    for letter, code in zip("bBsuIilLfd", "bBhHiIqqfd", strict=True)
}
_UINT32 = struct.Struct(">I")
_INT64 = struct.Struct(">q")
_UINT64 = struct.Struct(">Q")
_INT32 = struct.Struct(">i")
_DECIMAL = struct.Struct(">Bi")


class Table(dict[str, FieldValue]):
    """A decoded field table that still knows the type letter of each of its values."""

    __slots__ = ("letters",)

    def __init__(self, values: Mapping[str, FieldValue] = {}) -> None:
        super().__init__(values)
        self.letters: dict[str, str] = {}


class Long(int):
    """An integer that is written with 64 bits, however small it is."""


def encode_short_string(value: str) -> bytes:
    """Returns the length in one byte, and the text. Raises FieldError above 255 bytes."""
    data = value.encode("utf-8", "surrogateescape")
    if len(data) > 255:
        raise FieldError(f"a short string has at most 255 bytes, not {len(data)}: {value[:32]!r}")
    return b"%c%b" % (len(data), data)


def decode_short_string(data: bytes, offset: int) -> tuple[str, int]:
    """Returns the text at the offset, and the offset after it. Raises FieldError when cut short."""
    end = offset + 1 + data[offset] if offset < len(data) else offset + 1
    if end > len(data):
        raise FieldError("a short string is cut short")
    return data[offset + 1 : end].decode("utf-8", "surrogateescape"), end


def decode_long_string(data: bytes, offset: int) -> tuple[bytes, int]:
    """Returns the bytes at the offset, and the offset after them. Raises FieldError on a cut."""
    if offset + 4 > len(data):
        raise FieldError("a long string is cut short")
    end = offset + 4 + _UINT32.unpack_from(data, offset)[0]
    if end > len(data):
        raise FieldError("a long string is cut short")
    return data[offset + 4 : end], end


def encode_table(table: Mapping[str, FieldValue]) -> bytes:
    """Returns the table with its length before it. Raises FieldError for what no table can hold."""
    return join_table({key: encode_value(value) for key, value in table.items()})


def join_table(entries: Mapping[str, bytes]) -> bytes:
    """Returns a table made of values that are encoded already, as `split_table` gives them."""
    parts = [encode_short_string(key) + value for key, value in entries.items()]
    data = b"".join(parts)
    return _UINT32.pack(len(data)) + data


def encode_value(value: FieldValue) -> bytes:
    """Returns the type letter and the value. Raises FieldError for a type that AMQP lacks."""
    match value:
        case bool():
            return b"t\x01" if value else b"t\x00"
        case int():
            return _encode_integer(value)
        case str():
            data = value.encode("utf-8", "surrogateescape")
            return b"S" + _UINT32.pack(len(data)) + data
        case bytes() | bytearray():
            return b"x" + _UINT32.pack(len(value)) + bytes(value)
        case None:
            return b"V"
        case float():
            return b"d" + struct.pack(">d", value)
        case datetime():
            return b"T" + _UINT64.pack(int(value.timestamp()))
        case Decimal():
            return _encode_decimal(value)
        case list() | tuple():
            data = b"".join([encode_value(item) for item in value])
            return b"A" + _UINT32.pack(len(data)) + data
        case Mapping():
            return b"F" + encode_table(value)
    raise FieldError(f"AMQP has no type for {type(value).__name__}: {value!r}")


def _encode_integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31 and not isinstance(value, Long):
        return b"I" + _INT32.pack(value)
    if -(2**63) <= value < 2**63:
        return b"l" + _INT64.pack(value)
    raise FieldError(f"an integer in a table has at most 64 bits: {value}")


def _encode_decimal(value: Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise FieldError(f"AMQP has no decimal for {value}")
    number = int("".join(map(str, digits))) * 10 ** max(exponent, 0) * (-1 if sign else 1)
    scale = max(-exponent, 0)
    if scale > 255 or not -(2**31) <= number < 2**31:
        raise FieldError(f"a decimal of AMQP has 32 bits and a scale of up to 255: {value}")
    return b"D" + _DECIMAL.pack(scale, number)


def decode_table(data: bytes, offset: int = 0, depth: int = 0) -> tuple[Table, int]:
    """Returns the table at the offset, and the offset after it.

    Raises:
        FieldError: It is cut short, nests too deep or holds an unknown type.
    """
    table = Table()
    position, end = _bounds(data, offset, depth)
    while position < end:
        key, position = decode_short_string(data, position)
        table.letters[key] = chr(data[position]) if position < end else "V"
        table[key], position = decode_value(data, position, depth)
    if position != end:
        raise FieldError("a table's last value reaches beyond its end")
    return table, end


def split_table(data: bytes, offset: int = 0) -> dict[str, bytes]:
    """Returns the values of the table at the offset, still encoded with their type letters.

    What forwards a table and changes one value of it keeps all others as they came.
    """
    entries: dict[str, bytes] = {}
    position, end = _bounds(data, offset, 0)
    while position < end:
        key, start = decode_short_string(data, position)
        _, position = decode_value(data, start, 0)
        entries[key] = data[start:position]
    return entries


def _bounds(data: bytes, offset: int, depth: int) -> tuple[int, int]:
    if depth > MAX_DEPTH:
        raise FieldError(f"tables nest deeper than {MAX_DEPTH}")
    if offset + 4 > len(data):
        raise FieldError("a table is cut short")
    end = offset + 4 + _UINT32.unpack_from(data, offset)[0]
    if end > len(data):
        raise FieldError("a table is cut short")
    return offset + 4, end


def decode_value(data: bytes, offset: int, depth: int = 0) -> tuple[FieldValue, int]:
    """Returns the value whose type letter stands at the offset, and the offset after it.

    A long string that is no UTF-8 is returned as bytes, a timestamp beyond the year 9999 as a
    number of seconds.

    Raises:
        FieldError: It is cut short, nests too deep or is of an unknown type.
    """
    try:
        return _decode_value(data, offset, depth)
    except (struct.error, IndexError) as error:
        raise FieldError("a value is cut short") from error


def _decode_value(data: bytes, offset: int, depth: int) -> tuple[FieldValue, int]:
    letter = data[offset]
    offset += 1
    number = _NUMBERS.get(letter)
    if number is not None:
        value = number.unpack_from(data, offset)[0]
        return value, offset + number.size
    match chr(letter):
        case "S":
            raw, end = decode_long_string(data, offset)
            try:
                return raw.decode(), end
            except UnicodeDecodeError:
                return raw, end
        case "t":
            return data[offset] != 0, offset + 1
        case "F":
            return decode_table(data, offset, depth + 1)
        case "A":
            return _decode_array(data, offset, depth + 1)
        case "x":
            return decode_long_string(data, offset)
        case "T":
            seconds = _UINT64.unpack_from(data, offset)[0]
            try:
                return datetime.fromtimestamp(seconds, UTC), offset + 8
            except (OverflowError, OSError, ValueError):
                return seconds, offset + 8
        case "V":
            return None, offset
        case "D":
            scale, digits = _DECIMAL.unpack_from(data, offset)
            return Decimal(digits).scaleb(-scale), offset + 5
    raise FieldError(f"no type of AMQP has the letter {chr(letter)!r}")


def _decode_array(data: bytes, offset: int, depth: int) -> tuple[list[FieldValue], int]:
    items: list[FieldValue] = []
    position, end = _bounds(data, offset, depth)
    while position < end:
        item, position = decode_value(data, position, depth)
        items.append(item)
    if position != end:
        raise FieldError("an array's last value reaches beyond its end")
    return items, end
