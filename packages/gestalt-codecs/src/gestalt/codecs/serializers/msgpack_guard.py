"""Bounds for MessagePack that its library does not keep: how deep, how many values, and how much
memory lengths claim."""

import re
import struct
from typing import Any, Final

from gestalt.codecs.errors import DecodeError, TooDeep, TooLarge

_NOT_OPENING: Final = bytes(set(range(256)) - set(range(0x80, 0xA0)) - set(range(0xDC, 0xE0)))
_NOT_LONG_ARRAYS: Final = bytes(set(range(256)) - {0xDC, 0xDD})

# Lists are allocated by the length that their header claims, 8 bytes for each item, anew on every
# level.
_CLAIM: Final = 8
_FREE_CLAIMS: Final = 4 * 1024 * 1024


def check_claims(data: bytes, max_depth: int, max_values: int) -> None:
    """Before decoding: raise DecodeError if lengths in the data claim more than it holds."""
    if len(data.translate(None, _NOT_LONG_ARRAYS)) * len(data) * _CLAIM > _FREE_CLAIMS:
        check_structure(data, max_depth, max_values)


def check_depth(data: bytes, value: Any, max_depth: int) -> None:
    """After decoding: raise TooDeep if the value is nested deeper than that."""
    if len(data.translate(None, _NOT_OPENING)) <= max_depth:
        return
    level: list[Any] = [value] if type(value) is list or type(value) is dict else []
    for _ in range(max_depth):
        below: list[Any] = []
        for each in level:
            items = each.values() if isinstance(each, dict) else each
            below.extend([item for item in items if type(item) is list or type(item) is dict])
        if not below:
            return
        level = below
    raise TooDeep(f"msgpack: nested more than max_depth={max_depth} deep")


# How many bytes an item takes, by its first byte.
_FIXED: Final = {
    **dict.fromkeys((*range(0x80), *range(0xE0, 0x100), 0xC0, 0xC1, 0xC2, 0xC3), 1),
    **{byte: 1 + byte - 0xA0 for byte in range(0xA0, 0xC0)},
    **dict(zip(range(0xCA, 0xD9), (5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18), strict=True)),
}
# Where the first byte is followed by a length: its code, and what else the header takes.
_SIZED: Final = {
    0xC4: (">B", 2), 0xC5: (">H", 3), 0xC6: (">I", 5),
    0xC7: (">B", 3), 0xC8: (">H", 4), 0xC9: (">I", 6),
    0xD9: (">B", 2), 0xDA: (">H", 3), 0xDB: (">I", 5),
}  # fmt: skip
_NESTED: Final = {0xDC: (">H", 3, 1), 0xDD: (">I", 5, 1), 0xDE: (">H", 3, 2), 0xDF: (">I", 5, 2)}
# Numbers and short strings, many at a time.
_MANY: Final = 64
_SCALARS: Final = re.compile(
    rb"(?:[\x00-\x7f\xc0\xc2\xc3\xe0-\xff]|[\xcc\xd0].|[\xcd\xd1].{2}|[\xca\xce\xd2].{4}"
    rb"|[\xcb\xcf\xd3].{8}|"
    + b"|".join(b"%c.{%d}" % (0xA0 + n, n) for n in range(32))
    + b"){%d}" % _MANY,
    re.DOTALL,
).match


def check_structure(data: bytes, max_depth: int, max_values: int) -> None:
    """Walk data without decoding it.

    Raises:
        DecodeError: the open containers claim more items than bytes follow.
        TooDeep: they are nested deeper than that.
        TooLarge: there are more values and keys than that.
    """
    position, size = 0, len(data)
    left = [1]  # items still to come in each open container
    claimed = 1  # their sum; each item takes a byte at least
    values = 0
    while left and position < size:
        if not left[-1]:
            left.pop()
            continue
        if values >= max_values:
            raise TooLarge(f"msgpack: more than max_values={max_values} values and keys")
        if left[-1] % _MANY == 0 and values + _MANY <= max_values:
            many = _SCALARS(data, position)
            if many:
                position = many.end()
                left[-1] -= _MANY
                claimed -= _MANY
                values += _MANY
                continue
        left[-1] -= 1
        claimed -= 1
        values += 1
        byte = data[position]
        fixed = _FIXED.get(byte)
        if fixed is not None:
            position += fixed
            continue
        try:
            if byte in _SIZED:
                code, head = _SIZED[byte]
                position += head + struct.unpack_from(code, data, position + 1)[0]
                continue
            if byte in _NESTED:
                code, head, factor = _NESTED[byte]
                count = struct.unpack_from(code, data, position + 1)[0] * factor
            else:
                head, count = 1, (byte & 0x0F) * (1 if byte >= 0x90 else 2)
        except struct.error:
            return  # truncated, which the library says
        position += head
        claimed += count
        if claimed > size - position:
            raise DecodeError(
                f"msgpack: {claimed} items are claimed, and {size - position} bytes left"
            )
        left.append(count)
        if len(left) > max_depth + 1:
            raise TooDeep(f"msgpack: nested more than max_depth={max_depth} deep")
