"""A bound for Avro that its library does not keep: how many values a record holds.

A few bytes can hold many of them: what is null, and what the writer's schema lacks, takes none.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from gestalt.codecs.errors import DecodeError, TooLarge, Truncated

_SIZES: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_NUMBERS: Final = ("int", "long")
_LENGTHS: Final = ("bytes", "string")
_LONGEST: Final = 10
_MANY: Final = 64
_MANY_NUMBERS: Final = re.compile(rb"(?:[\x80-\xff]{0,9}[\x00-\x7f]){%d}" % _MANY).match


class _Walk:
    """One look through a record's bytes, and how many values it may still meet."""

    __slots__ = ("_max_values", "data", "left")

    def __init__(self, data: bytes, max_values: int) -> None:
        self.data = data
        self.left = self._max_values = max_values

    def meet(self, values: int) -> None:
        self.left -= values
        if self.left < 0:
            raise TooLarge(f"avro: more than max_values={self._max_values} values and keys")

    def number(self, position: int) -> tuple[int, int]:
        """Give the number at a position, and where it ends."""
        value = shift = 0
        for end, byte in enumerate(self.data[position : position + _LONGEST], position + 1):
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1), end
        if position + _LONGEST > len(self.data):
            raise Truncated("avro: the end is missing, within a number")
        raise DecodeError(f"avro: a number of more than {_LONGEST} bytes")

    def skip(self, position: int, size: int) -> int:
        if not 0 <= size <= len(self.data) - position:
            raise Truncated(f"avro: {size} bytes are claimed, and {len(self.data) - position} left")
        return position + size


_Skip = Callable[[_Walk, int], int]


class _Node(NamedTuple):
    """A schema: how its values are walked, and how many values how many bytes come to."""

    skip: _Skip
    least: int  # bytes of a value
    size: int | None  # bytes of every value, where all take the same
    values: int  # in a value, without the items of arrays and maps
    density: float  # of values in the bytes of arrays and maps


class Counter:
    """Refuses records of too many values, before they are decoded.

    Args:
        schema: the writer's schema, as fastavro parses it.
        reader: the schema that records are resolved into.
        max_values: how many values and keys a record may hold.
    """

    def __init__(self, schema: Any, reader: Any, max_values: int) -> None:
        self._max_values = max_values
        self._nodes: dict[str, _Node] = {}
        self._wanted: dict[str, set[str]] = {}
        if schema is not reader:
            self._find_wanted(reader)
        self._root = self._compile(schema)

    def check(self, data: bytes, start: int) -> None:
        """Look through the record that starts at a position.

        Raises:
            TooLarge: it holds too many values.
            DecodeError: it lies about its lengths.
        """
        root = self._root
        # Few bytes cannot hold so many, and most records are small.
        if root.values + root.density * (len(data) - start) > self._max_values:
            root.skip(_Walk(data, self._max_values), start)

    def _find_wanted(self, reader: Any) -> None:
        """Remember the fields that each record of the reader's schema has, by its last name."""
        if isinstance(reader, list):
            for each in reader:
                self._find_wanted(each)
        elif isinstance(reader, dict):
            for field in reader.get("fields", ()):
                for name in (reader["name"], *reader.get("aliases", ())):
                    names = self._wanted.setdefault(name.rpartition(".")[2], set())
                    names.add(field["name"])
                self._find_wanted(field["type"])
            for key in ("type", "items", "values"):
                self._find_wanted(reader.get(key))

    def _compile(self, schema: Any) -> _Node:
        if isinstance(schema, list):
            return _union([self._compile(each) for each in schema])
        if isinstance(schema, str):
            return self._nodes[schema] if schema in self._nodes else _primitive(schema)
        kind = schema["type"]
        if kind in ("record", "error"):
            node = self._record(schema)
        elif kind == "enum":
            node = _NUMBER
        elif kind == "fixed":
            node = _fixed(schema["size"], 1)
        elif kind == "array":
            return _array(self._compile(schema["items"]))
        elif kind == "map":
            return _array(_sequence([_TEXT, self._compile(schema["values"])], 0))
        else:
            return self._compile(kind)
        self._nodes[schema["name"]] = node
        return node

    def _record(self, schema: Any) -> _Node:
        fields = schema["fields"]
        wanted = self._wanted.get(schema["name"].rpartition(".")[2], set())
        missing = len(wanted - {field["name"] for field in fields})
        return _sequence([self._compile(field["type"]) for field in fields], 1 + missing)


def _fixed(size: int, values: int) -> _Node:
    def skip(walk: _Walk, position: int) -> int:
        walk.meet(values)
        return walk.skip(position, size)

    return _Node(skip, size, size, values, 0)


def _skip_number(walk: _Walk, position: int) -> int:
    walk.meet(1)
    return walk.number(position)[1]


def _skip_text(walk: _Walk, position: int) -> int:
    walk.meet(1)
    size, position = walk.number(position)
    return walk.skip(position, size)


_NUMBER: Final = _Node(_skip_number, 1, None, 1, 0)
_TEXT: Final = _Node(_skip_text, 1, None, 1, 0)


def _primitive(name: str) -> _Node:
    if name in _NUMBERS:
        return _NUMBER
    if name in _LENGTHS:
        return _TEXT
    return _fixed(_SIZES[name], 1)


def _sequence(parts: list[_Node], own: int) -> _Node:
    """A record, or an entry of a map; `own` values are beside those of its parts."""
    values = own + sum(part.values for part in parts)
    least = sum(part.least for part in parts)
    if all(part.size is not None for part in parts):
        return _fixed(least, values)
    skips = [part.skip for part in parts]

    def skip(walk: _Walk, position: int) -> int:
        walk.meet(own)
        for each in skips:
            position = each(walk, position)
        return position

    return _Node(skip, least, None, values, max(part.density for part in parts))


def _union(branches: list[_Node]) -> _Node:
    def skip(walk: _Walk, position: int) -> int:
        index, position = walk.number(position)
        if not 0 <= index < len(branches):
            raise DecodeError(f"avro: {index} is no branch of a union of {len(branches)}")
        return branches[index].skip(walk, position)

    return _Node(
        skip,
        1 + min(branch.least for branch in branches),
        None,
        max(branch.values for branch in branches),
        max(branch.density for branch in branches),
    )


def _array(item: _Node) -> _Node:
    def skip(walk: _Walk, position: int) -> int:
        walk.meet(1)
        while True:
            count, position = walk.number(position)
            if not count:
                return position
            if count < 0:
                count = -count
                position = walk.number(position)[1]
            if count * item.least > len(walk.data) - position:
                raise Truncated(
                    f"avro: {count} items are claimed, and {len(walk.data) - position} bytes left"
                )
            position = _items(walk, position, item, count)

    return _Node(skip, 1, None, 1, item.values / item.least + item.density)


def _items(walk: _Walk, position: int, item: _Node, count: int) -> int:
    if item.size is not None:
        walk.meet(count * item.values)
        return walk.skip(position, count * item.size)
    if item is _NUMBER:
        while count >= _MANY and (many := _MANY_NUMBERS(walk.data, position)):
            walk.meet(_MANY)
            position = many.end()
            count -= _MANY
    skip = item.skip
    for _ in range(count):
        position = skip(walk, position)
    return position
