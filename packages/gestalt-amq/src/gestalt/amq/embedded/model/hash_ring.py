"""The consistent hash by which an exchange shares messages out, with RabbitMQ's own choices.

The same keys go to the same places as on RabbitMQ, bound in the same order. A key becomes a number
by Erlang's `phash2`, which is the hash of Bob Jenkins' "Hash Functions" (Dr. Dobb's, 1997). The
number seeds the generator xorshift1024* (Vigna, "An experimental exploration of Marsaglia's
xorshift generators, scrambled", 2014), and that makes the jumps of "A Fast, Minimal Memory,
Consistent Hash Algorithm" (Lamping and Veach, 2014).
"""

from bisect import bisect_right
from itertools import accumulate
from typing import Generic, TypeVar

T = TypeVar("T")

# What phash2 makes of the atom `undefined`, which a message without the header or property has.
HASH_OF_NOTHING = 45_914_356

_MASK_21 = (1 << 21) - 1
_MASK_32 = (1 << 32) - 1
_MASK_64 = (1 << 64) - 1
_GOLDEN = 0x9E3779B9
# Marks that a binary is hashed.
_BINARY = _GOLDEN * 13 & _MASK_32
_RANGE = (1 << 27) - 1


class HashRing(Generic[T]):
    """Values by their share of a range of buckets.

    Adding one moves as few keys as possible; so does the removal of the one that was added last.
    """

    def __init__(self) -> None:
        self._weights: dict[T, int] = {}
        self._values: list[T] = []
        # Where the buckets of each value end.
        self._ends: list[int] = []

    def add(self, value: T, weight: int) -> None:
        """Add a value behind the others, unless it is there, be it with another weight."""
        if value not in self._weights:
            self._weights[value] = weight
            self._changed()

    def remove(self, value: T) -> None:
        """Remove a value, if it is there; those behind it take its place."""
        if self._weights.pop(value, None) is not None:
            self._changed()

    def find(self, key: int) -> T | None:
        """Return the value that a key belongs to, or None when there is none."""
        if not self._values:
            return None
        return self._values[bisect_right(self._ends, jump(key, self._ends[-1]))]

    def _changed(self) -> None:
        self._values = list(self._weights)
        self._ends = list(accumulate(self._weights.values()))


def hash_binary(data: bytes) -> int:
    """Return what Erlang's phash2 makes of a binary, from 0 to 2^27 - 1."""
    if not data:
        return _BINARY & _RANGE
    a = b = _GOLDEN
    c = _BINARY
    whole = len(data) - len(data) % 12
    for start in range(0, whole, 12):
        a += int.from_bytes(data[start : start + 4], "little")
        b += int.from_bytes(data[start + 4 : start + 8], "little")
        c += int.from_bytes(data[start + 8 : start + 12], "little")
        a, b, c = _mix(a, b, c)
    rest = data[whole:]
    a += int.from_bytes(rest[:4], "little")
    b += int.from_bytes(rest[4:8], "little")
    # The lowest byte is for the length.
    c += len(data) + (int.from_bytes(rest[8:], "little") << 8)
    return _mix(a, b, c)[2] & _RANGE


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for first, second, third in ((13, 8, 13), (12, 16, 5), (3, 10, 15)):
        a = (a - b - c ^ (c & _MASK_32) >> first) & _MASK_32
        b = (b - c - a ^ a << second) & _MASK_32
        c = (c - a - b ^ b >> third) & _MASK_32
    return a, b, c


def jump(key: int, buckets: int) -> int:
    """Return the bucket of a key, from 0 to `buckets` - 1."""
    if buckets == 1:
        return 0
    states = _seed(key)
    position = bucket = 0
    where = 0
    while where < buckets:
        bucket = where
        following = (position + 1) % len(states)
        first, second = states[position], states[following]
        second ^= second << 31 & _MASK_64
        states[following] = second = second ^ second >> 11 ^ first ^ first >> 30
        position = following
        number = second * 1181783497276652981 & _MASK_64
        where = int((bucket + 1) / (number / 2**64)) if number else buckets
    return bucket


def _seed(key: int) -> list[int]:
    parts = [
        ((key & _MASK_21) + 1) * factor & _MASK_21 for factor in (2_097_131, 2_097_133, 2_097_143)
    ]
    state = parts[0] << 43 | parts[1] << 22 | parts[2] << 1 | 1
    states = []
    for _ in range(16):
        state ^= state >> 12
        state ^= state << 25 & _MASK_64
        state ^= state >> 27
        states.append(state * 2685821657736338717 & _MASK_64)
    states.reverse()
    return states
