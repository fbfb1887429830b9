"""Runs of frames, cut and made by few calls: what steady telemetry mostly consists of."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from struct import Struct
from struct import error as StructError
from typing import Any

from gestalt.net.errors import FrameTooLarge

from .base import BytesLike, TypeIds

RUN = 16
"""How many frames of one size make a run."""

LONG_RUN = 64
"""How many, where a run has come before: longer formats take longer to make."""

LONGEST = 512
"""The largest payload worth it, in bytes: copying larger ones costs more than the calls do."""


@lru_cache(maxsize=128)
def _run_of(header: str, length: int, count: int) -> Struct:
    """The struct of a run: so many times the fields of `header`, and a payload of `length` bytes.

    It takes every length on trust; the caller compares those that were unpacked.
    """
    return Struct(header[0] + f"{header[1:]}{length}s" * count)


@lru_cache(maxsize=16)
def _takers(header: str) -> list[Callable[[bytes, int], tuple[bytes, int]]]:
    """What takes a payload, and the length in the header after it: for each length to `LONGEST`."""
    order, fields = header[0], header[1:]
    return [Struct(f"{order}{size}s{fields}").unpack_from for size in range(LONGEST + 1)]


def runs_of(
    data: bytes, position: int, header: str, length: int, fields_of_one: int
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Unpack runs of frames whose payloads have `length` bytes.

    Args:
        data: what has arrived.
        position: where the first of these frames begins.
        header: the format of a header, the length first.
        length: that of each payload.
        fields_of_one: how many fields a frame has, its payload with them.

    Yields:
        Where a run ends, and its fields, one frame after the other.
    """
    for count, several in ((RUN, False), (LONG_RUN, True), (RUN, True)):
        run = _run_of(header, length, count)
        size = run.size
        last = len(data) - size
        unpack = run.unpack_from
        while position <= last:
            fields = unpack(data, position)
            if fields[::fields_of_one].count(length) != count:
                if count == RUN:
                    return
                break
            position += size
            yield position, fields
            if not several:
                break


def fitting(payloads: Sequence[BytesLike], added: int, room: int) -> tuple[list[int], int]:
    """How many payloads there is room for, at least one.

    Args:
        payloads: at least one.
        added: how many bytes the framing adds to each.
        room: in bytes.

    Returns:
        The size of each of these, and that of their frames together.
    """
    # Not a look at thousands where there is room for a few.
    first = payloads[:RUN]
    guess = RUN + room * len(first) // (sum(map(len, first)) + added * len(first))
    sizes = list(map(len, payloads if guess >= len(payloads) else payloads[:guess]))
    total = sum(sizes) + added * len(sizes)
    if total > room:
        size = sizes[0] + added
        if size * len(sizes) == total and sizes.count(sizes[0]) == len(sizes):
            count = max(1, room // size)
            return sizes[:count], size * count
        ends = list(accumulate(sizes))
        count = bisect_right(range(len(ends)), room, key=lambda n: ends[n] + added * (n + 1))
        count = max(1, count)
        return sizes[:count], ends[count - 1] + added * count
    return sizes, total


def join_frames(
    payloads: Sequence[BytesLike],
    type_ids: TypeIds,
    room: int,
    *,
    header_size: int,
    header_of: Callable[[int, int], bytes],
    max_size: int,
) -> tuple[bytes, int] | None:
    """The bytes of as many frames as there is room for, each a header and its payload.

    Args:
        payloads: at least one.
        type_ids: that of all, or that of each.
        room: in bytes.
        header_size: in bytes.
        header_of: `(size, type_id) -> bytes`; it may raise struct.error.
        max_size: of a payload, in bytes.

    Returns:
        The bytes, and how many frames they are; None where a look at each payload has to tell.
    """
    sizes, total = fitting(payloads, header_size, room)
    count = len(sizes)
    payloads = payloads[:count]
    distinct = set(sizes)
    if max(distinct) > max_size:
        return None
    if len(distinct) == 1 and (type_ids is None or isinstance(type_ids, int)):
        header = header_of(sizes[0], type_ids or 0)
        data = header.join([b"", *payloads])
    else:
        if type_ids is None or isinstance(type_ids, int):
            # Of many payloads, several mostly have one size.
            known = {size: header_of(size, type_ids or 0) for size in distinct}
            headers = itemgetter(*sizes)(known)
        else:
            headers = map(header_of, sizes, [each or 0 for each in type_ids[:count]])
        parts: list[BytesLike] = [b""] * (2 * count)
        parts[0::2] = headers
        parts[1::2] = payloads
        data = b"".join(parts)
    # What is no bytes may have another length than it takes.
    return (data, count) if len(data) == total else None


def cut_lengths(
    data: bytes,
    payloads: list[bytes],
    *,
    header: str,
    header_size: int,
    unpack: Callable[[bytes, int], tuple[int]],
    max_size: int,
) -> tuple[int, int]:
    """Cut payloads that each follow a header: see `Framing.cut`.

    Args:
        data: what has arrived, from the start of a frame on.
        payloads: where each payload is appended.
        header: the format of a header, which has one field, the length.
        header_size: in bytes.
        unpack: takes the length out of `data`, at a position.
        max_size: of a payload, in bytes.
    """
    add = payloads.append
    takers = _takers(header)
    total = len(data)
    length = 0
    position = header_size
    several = 1
    try:
        (length,) = unpack(data, 0)
        while (end := position + length) + header_size <= total:
            if length > LONGEST:
                (length,) = unpack(data, end)
                add(data[position:end])
                position = end + header_size
                continue
            before = length
            # No look at each frame whether it is complete, or larger than that: an error tells.
            try:
                for _ in range(several):
                    payload, following = takers[length](data, position)
                    add(payload)
                    position += length + header_size
                    length = following
            except IndexError:
                continue
            several = RUN
            if length == before:
                for end, fields in runs_of(data, position - header_size, header, length, 2):
                    payloads += fields[1::2]
                    position = end + header_size
                (length,) = unpack(data, position - header_size)
    except StructError:
        pass
    used = position - header_size
    needed = header_size
    if position <= total:
        needed += length
        if used + needed <= total:
            add(data[position : position + length])
            used += needed
            needed = header_size
    if max_size < total and max(map(len, payloads), default=0) > max_size:
        _check_sizes(payloads, max_size)
    if needed - header_size > max_size:
        raise too_large(needed - header_size, max_size)
    return used, needed


def _check_sizes(payloads: list[bytes], max_size: int) -> None:
    """Refuse the first payload that is too large.

    Raises:
        FrameTooLarge: it, and what follows, is no longer in the list.
    """
    for index, payload in enumerate(payloads):
        if (size := len(payload)) > max_size:
            del payloads[index:]
            raise too_large(size, max_size)


def too_large(size: int, max_size: int) -> FrameTooLarge:
    """The error for a frame that is, or announces to be, larger than it may be."""
    return FrameTooLarge(f"a frame of {size} bytes is more than max_size, {max_size}")
