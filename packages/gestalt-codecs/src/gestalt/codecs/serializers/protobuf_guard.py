"""Bounds for protobuf that its library does not keep: how many fields a message has, how wide the
messages are that a few bytes make, and keys of maps that are chosen to collide.

An empty message takes two bytes of data, and in memory a place for each field that its type has: a
megabyte of data came to three gigabytes.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from gestalt.codecs.errors import DecodeError, TooLarge

_VARINT, _FIXED64, _SIZED, _GROUP, _END, _FIXED32 = range(6)
_FIELDS_PER_VALUE: Final = 16
"""How many fields of a type, of 8 or 16 bytes each, weigh as much as a value."""
_MOST_DEEP: Final = 100
"""What the library allows."""

# The library keeps maps of integers by the lower bits of their keys, 2 ns for each key of a chain.
_FEW_KEYS: Final = 4096
_LEAST_ENTRY: Final = 6  # bytes, of many whose lower bits are equal
_MOST_STEPS: Final = 1 << 24
# How integers of each type are written, and how many bits they have.
_INTEGERS: Final = {
    FieldDescriptor.TYPE_INT32: (_VARINT, 32),
    FieldDescriptor.TYPE_INT64: (_VARINT, 64),
    FieldDescriptor.TYPE_UINT32: (_VARINT, 32),
    FieldDescriptor.TYPE_UINT64: (_VARINT, 64),
    FieldDescriptor.TYPE_SINT32: (_VARINT, 32),
    FieldDescriptor.TYPE_SINT64: (_VARINT, 64),
    FieldDescriptor.TYPE_FIXED32: (_FIXED32, 32),
    FieldDescriptor.TYPE_FIXED64: (_FIXED64, 64),
    FieldDescriptor.TYPE_SFIXED32: (_FIXED32, 32),
    FieldDescriptor.TYPE_SFIXED64: (_FIXED64, 64),
}
_ZIGZAG: Final = (FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SINT64)


class _Type:
    """A message type, as far as walking needs it; complete when all its types are known."""

    __slots__ = ("fields", "key_tag", "key_type", "weight")

    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.fields: dict[int, _Type] = {}  # those that are messages, by their tag
        # The tag and the type of its key, where it is the entry of a map by integers.
        self.key_tag: int | None = None
        self.key_type = 0


_UNKNOWN: Final = _Type(0)


class Guard:
    """Refuses messages of too many values, before they are decoded.

    Each field that occurs is a value, and so is each message, of any type or of a map's entry, and
    every 16 fields that its type has. Numbers of packed fields are none: they take 8 bytes at most.

    Args:
        descriptor: the type of the messages, as the library describes it.
        max_values: how many values a message may hold.

    Attributes:
        free: up to how many bytes of data a message is harmless, whatever it holds.
    """

    def __init__(self, descriptor: Any, max_values: int) -> None:
        self._max_values = max_values
        self._types: dict[str, _Type] = {}
        self._root = self._compile(descriptor)
        types = self._types.values()
        # A field takes two bytes at least.
        heaviest = max((each.weight for kind in types for each in kind.fields.values()), default=0)
        self.free = 2 * max(0, max_values - self._root.weight) // (1 + heaviest)
        if any(each.key_tag is not None for each in types):
            self.free = min(self.free, _FEW_KEYS * _LEAST_ENTRY)

    def check(self, data: bytes) -> None:
        """Look through a message.

        Raises:
            TooLarge: it holds too many values.
            DecodeError: it is malformed, or the keys of its maps are chosen to take quadratic time.
        """
        keys: dict[_Type, list[int]] = {}
        try:
            self._walk(data, keys)
        except IndexError:
            raise _malformed("the end is missing within a field") from None
        for entry, numbers in keys.items():
            if len(numbers) > _FEW_KEYS:
                _refuse_collisions(_hashed(numbers, entry.key_type))

    def _compile(self, descriptor: Any) -> _Type:
        known = self._types.get(descriptor.full_name)
        if known is not None:
            return known
        fields = list(_fields(descriptor))
        # Of those in a oneof there is one at a time.
        width = len({field.containing_oneof or field for field in fields})
        made = self._types[descriptor.full_name] = _Type(1 + width // _FIELDS_PER_VALUE)
        for field in fields:
            if field.message_type is not None:
                wire = _GROUP if field.type == FieldDescriptor.TYPE_GROUP else _SIZED
                made.fields[field.number << 3 | wire] = self._compile(field.message_type)
        if descriptor.GetOptions().map_entry:
            key_type = descriptor.fields_by_number[1].type
            if key_type in _INTEGERS:
                made.key_tag = 1 << 3 | _INTEGERS[key_type][0]
                made.key_type = key_type
        return made

    def _walk(self, data: bytes, keys: dict[_Type, list[int]]) -> None:
        left = self._max_values - self._root.weight
        # The message that is open, where it ends, and the number of the group that it is, if it is
        # one; and those around it.
        now, end, group = self._root, len(data), 0
        around: list[tuple[_Type, int, int]] = []
        position = 0
        while True:
            if left < 0:
                raise TooLarge(f"protobuf: more than max_values={self._max_values} values")
            while position >= end:
                if position > end or group:
                    raise _malformed("a field is longer than what holds it")
                if not around:
                    return
                now, end, group = around.pop()
            left -= 1
            tag = data[position]
            position += 1
            if tag >= 0x80:
                tag, position = _number(data, position - 1)
            wire = tag & 7
            if wire == _VARINT:
                start = position
                while data[position] >= 0x80:
                    position += 1
                position += 1
                if tag == now.key_tag:
                    keys[now].append(_number(data, start)[0])
            elif wire == _SIZED:
                size = data[position]
                position += 1
                if size >= 0x80:
                    size, position = _number(data, position - 1)
                entered = now.fields.get(tag)
                if entered is None:
                    position += size
                    continue
                if position + size > end:
                    raise _malformed("a message is longer than what holds it")
                left -= entered.weight
                if entered.key_tag is not None:
                    found = keys.setdefault(entered, [])
                    if not size or data[position] != entered.key_tag:
                        found.append(0)  # the key of an entry that says none
                if size:
                    around.append((now, end, group))
                    now, end, group = entered, position + size, 0
            elif wire in (_FIXED32, _FIXED64):
                size = 4 if wire == _FIXED32 else 8
                if tag == now.key_tag:
                    keys[now].append(int.from_bytes(data[position : position + size], "little"))
                position += size
            elif wire == _GROUP:
                around.append((now, end, group))
                now, group = now.fields.get(tag, _UNKNOWN), tag >> 3
                left -= now.weight
            elif wire == _END and group and group == tag >> 3:
                now, end, group = around.pop()
            else:
                raise _malformed(f"no field has the tag {tag} here")
            if len(around) > _MOST_DEEP:
                raise DecodeError(f"protobuf: nested more than {_MOST_DEEP} deep")


def _fields(descriptor: Any) -> Iterator[Any]:
    yield from descriptor.fields
    if descriptor.is_extendable:
        yield from descriptor.file.pool.FindAllExtensions(descriptor)


def _number(data: bytes, position: int) -> tuple[int, int]:
    """Give the number at a position, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
    raise _malformed("a number takes more than 10 bytes")


def _hashed(numbers: list[int], key_type: int) -> list[int]:
    """Give keys, as they were written, as the library hashes them."""
    bits = _INTEGERS[key_type][1]
    if key_type in _ZIGZAG:
        numbers = [number >> 1 ^ -(number & 1) for number in numbers]
    most = (1 << bits) - 1
    return [number & most for number in numbers]


def _refuse_collisions(keys: list[int]) -> None:
    different = set(keys)
    bits = (1 << (len(different) - 1).bit_length()) - 1
    looked_up = Counter((key ^ key >> 32) & bits for key in keys)
    chains = Counter((key ^ key >> 32) & bits for key in different)
    if sum(times * chains[each] for each, times in looked_up.items()) > _MOST_STEPS:
        raise DecodeError(
            f"protobuf: {len(different)} integers, the keys of a map, are refused: so many of "
            "them collide that they would take quadratic time"
        )


def _malformed(reason: str) -> DecodeError:
    return DecodeError(f"protobuf: the message is malformed: {reason}")
