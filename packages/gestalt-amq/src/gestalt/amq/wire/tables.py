"""Field tables: the headers of messages, and the arguments of methods."""

import datetime
import decimal
import math
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from gestalt.core.numbers import kind_of

from .errors import FieldError, FieldTypeError, NestingError
from .raw import (
    ARRAY,
    BYTES,
    DECIMAL,
    MOMENT,
    NUMBERS,
    TABLE,
    TEXT,
    VOID,
    RawValue,
    entries_within,
    split_table,
    unknown_type,
)

FieldValue: TypeAlias = (
    "bool | int | float | decimal.Decimal | str | bytes | datetime.datetime | list[FieldValue]"
    " | Mapping[str, FieldValue] | RawValue | None"
)

MAX_DEPTH: Final = 32
"""How many levels of tables and arrays a value has, at most, that is read or written.

RabbitMQ has no bound but the size of a frame, which is some 20,000 levels: more than Python can
compare or print. What is deeper is no error of its sender. It can be told apart from the rest by
`split_table`, and passed on as a `RawValue`.
"""

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_F64 = struct.Struct(">d")
_DECIMAL = struct.Struct(">Bi")
_NUMBERS = {kind: (number.unpack_from, number.size) for kind, number in NUMBERS.items()}
# A type letter, with the number or the size after it.
_INT32 = struct.Struct(">Bi")
_INT64 = struct.Struct(">Bq")
_SIZE = struct.Struct(">BI")


class Long(int):
    """An integer that is written with 64 bits, however small it is."""


class Arguments(dict[str, FieldValue]):
    """A table that a peer declares something with.

    A value that nests too deep to be read is there as a `RawValue`.

    Attributes:
        letters: The type letter that each value came with.
    """

    __slots__ = ("letters",)

    def __init__(self) -> None:
        super().__init__()
        self.letters: dict[str, str] = {}


def encode_table(table: Mapping[str, Any], depth: int = 0) -> bytes:
    """Returns a table, with its size before it.

    Args:
        table: Names and values; any may be a `RawValue`.
        depth: How many levels it is within others.

    Raises:
        FieldTypeError: A name is no string, or a value has no type in AMQP.
        FieldError: A name is longer than 255 bytes, a number does not fit or is not finite, text
            cannot be encoded, or the table nests too deep. It says at which name.
    """
    parts: list[bytes] = []
    for key, value in table.items():
        parts += (_encode_key(key), _encode(value, key, depth))
    data = b"".join(parts)
    return _U32.pack(len(data)) + data


@lru_cache(maxsize=1024)
def _encode_key(key: str) -> bytes:
    # Messages in a row mostly have the same headers.
    if not isinstance(key, str):
        raise FieldTypeError(f"the key of a header is a string, got {kind_of(key)}")
    try:
        name = key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise FieldError(f"header {key[:60]!r}: its name cannot be sent: {error}") from error
    if len(name) > 255:
        raise FieldError(f"the key of a header has at most 255 bytes, got {len(name)}")
    return bytes((len(name),)) + name


def _encode(value: Any, key: str, depth: int) -> bytes:
    if isinstance(value, str):
        try:
            data = value.encode()
        except UnicodeEncodeError as error:
            raise FieldError(f"header {key!r}: its text cannot be sent: {error}") from error
        return _SIZE.pack(TEXT, len(data)) + data
    if isinstance(value, int):
        return _encode_integer(value, key)
    if value is None:
        return b"V"
    if isinstance(value, RawValue):
        return value.data
    if isinstance(value, float):
        if not math.isfinite(value):
            # RabbitMQ ends the whole connection for it.
            raise FieldError(f"header {key!r}: a number that is not finite")
        return b"d" + _F64.pack(value)
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        return _SIZE.pack(BYTES, len(data)) + data
    if isinstance(value, datetime.datetime):
        return b"T" + _U64.pack(_seconds(value, key))
    if isinstance(value, decimal.Decimal):
        return _encode_decimal(value, key)
    if depth >= MAX_DEPTH:
        raise NestingError(f"header {key!r} nests deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return b"F" + encode_table(value, depth + 1)
    if isinstance(value, list | tuple):
        data = b"".join([_encode(each, key, depth + 1) for each in value])
        return _SIZE.pack(ARRAY, len(data)) + data
    raise FieldTypeError(f"header {key!r}: AMQP carries no {type(value).__qualname__}")


def _encode_integer(value: int, key: str) -> bytes:
    if value is True:
        return b"t\x01"
    if value is False:
        return b"t\x00"
    if -(2**31) <= value < 2**31 and not isinstance(value, Long):
        return _INT32.pack(ord("I"), value)
    if -(2**63) <= value < 2**63:
        return _INT64.pack(ord("l"), value)
    bits = value.bit_length()
    raise FieldError(f"header {key!r}: a number of {bits} bits has more than 64 bits")


def _encode_decimal(value: decimal.Decimal, key: str) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise FieldError(f"header {key!r}: a number that is not finite")
    places = max(0, -exponent)
    # 2**31 has ten digits: what has more of them is not computed.
    fits = places <= 255 and (not value or value.adjusted() + places < 10)
    number = int("".join(map(str, digits))) * 10 ** max(0, exponent) if fits and value else 0
    if sign:
        number = -number
    if not fits or not -(2**31) <= number < 2**31:
        raise FieldError(f"header {key!r}: a number that does not fit an AMQP decimal")
    return b"D" + _DECIMAL.pack(places, number)


def _seconds(moment: datetime.datetime, key: str) -> int:
    try:
        seconds = int(moment.timestamp())
    except (OverflowError, OSError, ValueError) as error:
        raise FieldError(f"header {key!r}: a moment that cannot be sent: {error}") from error
    if seconds < 0:
        raise FieldError(f"header {key!r}: AMQP has no moments before 1970")
    return seconds


def decode_table(data: bytes, start: int = 0) -> tuple[dict[str, FieldValue], int]:
    """Returns the table at the offset `start`, and the offset after it.

    A long string that is no UTF-8 is bytes, and a moment beyond Python's calendar a number of
    seconds since 1970.

    Raises:
        NestingError: It nests deeper than `MAX_DEPTH`.
        FieldError: It is cut short, or has a value of an unknown type.
    """
    try:
        return _decode_table(data, start, 0)
    except (IndexError, struct.error) as error:
        raise FieldError("a table is cut short") from error


def decode_value(value: RawValue) -> FieldValue:
    """Returns what a raw value holds; errors as those of `decode_table`."""
    data = value.data
    try:
        read, stop = _decode(data[0], data, 1, 0)
    except (IndexError, struct.error) as error:
        raise FieldError("a value is cut short") from error
    if stop != len(data):
        raise FieldError("a value has another size than it says")
    return read


def decode_arguments(data: bytes, start: int = 0) -> tuple[Arguments, int]:
    """Returns the table at the offset `start` with the types of its values, and the offset after.

    Raises:
        FieldError: It is cut short, or has a value of an unknown type.
    """
    table = Arguments()
    for key, value in split_table(data, start).items():
        table.letters[key] = chr(value.data[0])
        table[key] = value_or_raw(value)
    return table, start + 4 + int(_U32.unpack_from(data, start)[0])


def value_or_raw(value: RawValue) -> FieldValue:
    """Returns what a raw value holds, or itself where that nests deeper than `MAX_DEPTH`.

    Raises:
        FieldError: It is malformed.
    """
    try:
        return decode_value(value)
    except NestingError:
        return value


def _decode_table(data: bytes, start: int, depth: int) -> tuple[dict[str, FieldValue], int]:
    table: dict[str, FieldValue] = {}
    position, stop = entries_within(data, start)
    while position < stop:
        start = position + 1
        position = start + data[position]
        key = data[start:position].decode("utf-8", "surrogateescape")
        table[key], position = _decode(data[position], data, position + 1, depth)
    if position != stop:
        raise FieldError("a table ends within a value")
    return table, position


def _decode(kind: int, data: bytes, start: int, depth: int) -> tuple[FieldValue, int]:
    if kind == TEXT:
        stop = start + 4 + _U32.unpack_from(data, start)[0]
        return _text(data[start + 4 : stop]), stop
    number = _NUMBERS.get(kind)
    if number is not None:
        unpack, size = number
        return unpack(data, start)[0], start + size
    if kind == VOID:
        return None, start
    if kind == BYTES:
        stop = start + 4 + _U32.unpack_from(data, start)[0]
        return data[start + 4 : stop], stop
    if kind == MOMENT:
        return _moment(_U64.unpack_from(data, start)[0]), start + 8
    if kind == DECIMAL:
        return _decimal(*_DECIMAL.unpack_from(data, start)), start + 5
    if kind != TABLE and kind != ARRAY:
        raise unknown_type(kind)
    if depth >= MAX_DEPTH:
        raise NestingError(f"a table nests deeper than {MAX_DEPTH} levels")
    if kind == TABLE:
        return _decode_table(data, start, depth + 1)
    values = []
    position, stop = entries_within(data, start)
    while position < stop:
        value, position = _decode(data[position], data, position + 1, depth + 1)
        values.append(value)
    if position != stop:
        raise FieldError("an array ends within a value")
    return values, position


def _text(raw: bytes) -> str | bytes:
    # A long string is any bytes by the specification, and mostly text.
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _moment(seconds: int) -> datetime.datetime | int:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return seconds


def _decimal(places: int, number: int) -> decimal.Decimal:
    # Made of its parts: arithmetic would depend on the application's decimal context.
    digits = tuple(map(int, str(abs(number))))
    return decimal.Decimal((int(number < 0), digits, -places))
