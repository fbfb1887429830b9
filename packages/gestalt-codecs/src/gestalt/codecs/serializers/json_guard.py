"""Bounds for JSON that its library does not keep: how deep, and how many values."""

import re
from itertools import accumulate
from typing import Final

from gestalt.codecs.errors import TooDeep, TooLarge

NOT_OPENING: Final = bytes(set(range(256)) - set(b"[{"))
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[{]}"))
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
# The end of the data ends a string, too, so that no byte is looked at twice.
_STRINGS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z|\\\Z)', re.DOTALL)

_HEAD: Final = 64 * 1024


def check_values(data: bytes, max_depth: int, max_values: int) -> None:
    """Before decoding: raise TooLarge if data holds more values and keys than that."""
    if _marks(data) <= max_values:
        return
    rest = _without_strings(data, max_values)
    if rest is None or _marks(rest) > max_values:
        raise _too_many(data, max_depth, max_values)


def check_depth(data: bytes, max_depth: int, max_values: int) -> None:
    """Before decoding: raise TooDeep if data is nested deeper than that.

    Malformed JSON is taken for at least as deep as a parser would go.
    """
    rest = _without_strings(data, max_values)
    if rest is None:
        raise _too_many(data, max_depth, max_values)
    steps = rest.translate(_STEPS, _NOT_BRACKETS)
    deepest = max(accumulate(memoryview(steps).cast("b")), default=0)
    if deepest > max_depth:
        raise TooDeep(f"json: nested {deepest} deep, more than max_depth={max_depth}")


def _marks(data: bytes) -> int:
    """Count values and keys by what separates them, those within strings, too."""
    opening = data.count(b"[") + data.count(b"{")
    empty = data.count(b"[]") + data.count(b"{}")
    return 1 + data.count(b",") + data.count(b":") + opening - empty


def _without_strings(data: bytes, max_values: int) -> bytes | None:
    # A string is a value or a key. More of them than are allowed are not looked at.
    rest, strings = _STRINGS.subn(b"0", data, max_values + 1)
    return rest if strings <= max_values else None


def _too_many(data: bytes, max_depth: int, max_values: int) -> TooLarge:
    # What is both too deep and too large is told by its depth, where that shows soon.
    check_depth(data[:_HEAD], max_depth, _HEAD)
    return TooLarge(f"json: more than max_values={max_values} values and keys")
