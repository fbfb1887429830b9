"""Field tables by their entries, which are told apart and passed on without being read.

The type letters are those that RabbitMQ and all its clients use, which differ from the text of the
specification: https://www.rabbitmq.com/amqp-0-9-1-errata, section 3.
"""

import struct

from .errors import FieldError

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

# The letters, and how those of numbers are read.
ARRAY, BYTES, DECIMAL, MOMENT, TABLE, TEXT, VOID = b"AxDTFSV"
NUMBERS = {
    ord(letter): struct.Struct(f">{code}")
    for letter, code in zip("tbBsuIilLfd", "?bBhHiIqqfd", strict=True)
}
# What a value takes after the letter of its type, where that is always as much.
_WIDTHS = {kind: number.size for kind, number in NUMBERS.items()} | {
    VOID: 0,
    MOMENT: 8,
    DECIMAL: 5,
}
_SIZED = frozenset({ARRAY, BYTES, TABLE, TEXT})

_SIZE = struct.Struct(">I")


class RawValue:
    """A value as it is on the wire, with the letter of its type: passed on, and not read."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return self.data == other.data if isinstance(other, RawValue) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"<{TYPE_NAMES.get(chr(self.data[0]), 'value')} of {len(self.data)} bytes>"


def raw_name(name: str) -> RawValue:
    """Returns a name as a long string of its bytes, also where those are no UTF-8."""
    data = name.encode("utf-8", "surrogateescape")
    return RawValue(b"S" + _SIZE.pack(len(data)) + data)


def split_table(data: bytes, start: int = 0) -> dict[str, RawValue]:
    """Tells the entries of a table apart, however deep they nest, without reading their values.

    Raises:
        FieldError: It is cut short, or has a value of an unknown type.
    """
    table: dict[str, RawValue] = {}
    try:
        position, stop = entries_within(data, start)
        while position < stop:
            start = position + 1 + data[position]
            key = data[position + 1 : start].decode("utf-8", "surrogateescape")
            position = _after(data, start)
            table[key] = RawValue(data[start:position])
    except (IndexError, struct.error) as error:
        raise FieldError("a table is cut short") from error
    if position != stop:
        raise FieldError("a table ends within a value")
    return table


def split_array(value: RawValue) -> list[RawValue]:
    """Tells the entries of an array apart, [] of any other value; errors as `split_table`."""
    data = value.data
    if data[:1] != b"A":
        return []
    entries = []
    try:
        position, stop = entries_within(data, 1)
        while position < stop:
            after = _after(data, position)
            entries.append(RawValue(data[position:after]))
            position = after
    except (IndexError, struct.error) as error:
        raise FieldError("an array is cut short") from error
    if position != stop:
        raise FieldError("an array ends within a value")
    return entries


def entries_within(data: bytes, start: int) -> tuple[int, int]:
    """Returns where the entries of a table or an array begin and end.

    Args:
        data: The encoded table or array, and what is around it.
        start: The offset of its size.

    Raises:
        FieldError: It is cut short.
    """
    stop = start + 4 + int(_SIZE.unpack_from(data, start)[0])
    if stop > len(data):
        raise FieldError("a table is cut short")
    return start + 4, stop


def _after(data: bytes, start: int) -> int:
    """The offset after a value."""
    kind = data[start]
    width = _WIDTHS.get(kind)
    if width is None:
        if kind not in _SIZED:
            raise unknown_type(kind)
        width = 4 + int(_SIZE.unpack_from(data, start + 1)[0])
    return start + 1 + width


def unknown_type(kind: int) -> FieldError:
    """Returns the error of a value whose type letter AMQP does not have."""
    return FieldError(f"a table has a value of the unknown type {chr(kind)!r}")
