"""Runs of frames, cut and made by few calls: what steady telemetry mostly consists of."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, islice, repeat
from operator import itemgetter
from struct import Struct
from struct import error as StructError
from typing import Any

from gestalt.net.errors import FrameTooLarge

from .base import BytesLike, TypeIds, each_of

RUN = 16
"""How many frames of one size make a run."""

LONG_RUN = 256
"""How many are looked at together, where a run has come before."""

LONGEST = 512
"""The largest payload worth it, in bytes: copying larger ones costs more than the calls do."""


@lru_cache(maxsize=128)
def _run_of(order: str, frame: str, count: int) -> Struct:
    return Struct(order + frame * count)


@lru_cache(maxsize=16)
def _takers(header: str) -> list[Callable[[bytes, int], tuple[bytes, int]]]:
    """What takes a payload, and the length in the header after it: for each length to `LONGEST`."""
    order, fields = header[0], header[1:]
    return [Struct(f"{order}{size}s{fields}").unpack_from for size in range(LONGEST + 1)]


def runs_of(
    data: bytes, position: int, prefix: bytes, frame: str, size: int
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Unpack runs of frames that have the same size.

    Args:
        data: what has arrived.
        position: where the first of these frames begins.
        prefix: what each of them begins with: the length of its payload.
        frame: the format of a frame, after the character for the order of bytes.
        size: of a frame, in bytes.

    Yields:
        Where a run ends, and its fields, one frame after the other.
    """
    order, fields = frame[0], frame[1:]
    most = RUN
    while (count := _alike(data, position, prefix, size, most)) >= RUN:
        run = _run_of(order, fields, count - count % RUN)
        values = run.unpack_from(data, position)
        position += run.size
        yield position, values
        if count < most:
            return
        most = LONG_RUN


def _alike(data: bytes, position: int, prefix: bytes, size: int, most: int) -> int:
    """How many complete frames of `size` bytes begin with `prefix`, one after the other."""
    count = min(most, (len(data) - position) // size)
    for start, byte in enumerate(prefix, position):
        # One byte of each of these frames, in few calls for all of them.
        column = data[start : position + count * size : size]
        expected = bytes((byte,))
        if column != expected * count:
            count -= len(column.lstrip(expected))
    return count


def fitting(payloads: Sequence[BytesLike], added: int, room: int) -> tuple[list[int], int]:
    """How many payloads there is room for, at least one.

    Args:
        payloads: at least one.
        added: how many bytes the framing adds to each.
        room: in bytes.

    Returns:
        The size of each of these, and that of their frames together.
    """
    sizes = list(map(len, _at_most(payloads, added, room)))
    total = sum(sizes) + added * len(sizes)
    if total > room:
        ends = list(accumulate(sizes))
        count = bisect_right(range(len(ends)), room, key=lambda n: ends[n] + added * (n + 1))
        count = max(1, count)
        return sizes[:count], ends[count - 1] + added * count
    return sizes, total


def _at_most(payloads: Sequence[BytesLike], added: int, room: int) -> Sequence[BytesLike]:
    """The payloads among which are those that there is room for, mostly.

    There is no look at thousands where there is room for a few.
    """
    first = payloads[:RUN]
    guess = RUN + room * len(first) // (sum(map(len, first)) + added * len(first))
    return payloads if guess >= len(payloads) else payloads[:guess]


def _alike_in_size(payloads: Sequence[BytesLike]) -> bool:
    if len(set(map(len, payloads[:RUN]))) > 1:
        return False
    return len(payloads) <= RUN or len(set(map(len, payloads))) == 1


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
    some = _at_most(payloads, header_size, room)
    if (type_ids is None or isinstance(type_ids, int)) and _alike_in_size(some):
        size = len(some[0])
        if size > max_size:
            return None
        count = min(len(some), max(1, room // (header_size + size)))
        total = count * (header_size + size)
        if count < len(some):
            some = some[:count]
        data = header_of(size, type_ids or 0).join([b"", *some])
    else:
        sizes, total = fitting(some, header_size, room)
        count = len(sizes)
        distinct = set(sizes)
        if max(distinct) > max_size:
            return None
        headers: Iterable[bytes]
        if len(distinct) > 1 and (type_ids is None or isinstance(type_ids, int)):
            # Of many payloads, several mostly have one size.
            known = {size: header_of(size, type_ids or 0) for size in distinct}
            headers = itemgetter(*sizes)(known)
        else:
            headers = map(
                header_of, sizes, [each or 0 for each in islice(each_of(type_ids), count)]
            )
        parts: list[BytesLike] = [b""] * (2 * count)
        parts[0::2] = headers
        parts[1::2] = some if count == len(some) else some[:count]
        data = b"".join(parts)
    # What is no bytes may have another length than it takes.
    return (data, count) if len(data) == total else None


def cut_lengths(
    data: bytes,
    payloads: list[bytes],
    *,
    header: str,
    header_size: int,
    length_size: int,
    unpack: Callable[[bytes, int], tuple[int]],
    max_size: int,
) -> tuple[int, int]:
    """Cut payloads that each follow a header: see `Framing.cut`.

    Args:
        data: what has arrived, from the start of a frame on.
        payloads: where each payload is appended.
        header: the format of a header, which has one field, the length.
        header_size: in bytes.
        length_size: of the length, in bytes.
        unpack: takes the length out of `data`, at a position.
        max_size: of a payload, in bytes.
    """
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
                payloads.append(data[position:end])
                position = end + header_size
                continue
            # No look at each frame whether it is complete, or larger than that: an error tells.
            try:
                for _ in repeat(None, several):
                    payload, following = takers[length](data, position)
                    payloads.append(payload)
                    position += length + header_size
                    length = following
            except IndexError:
                continue
            if length != len(payload) or total - position < RUN * (header_size + length):
                # The looks, too, take time: a sixth, where sizes are mixed and each RUN has one.
                several = min(max(RUN, 2 * several), LONG_RUN)
            else:
                several = RUN
                start = position - header_size
                prefix = data[start : start + length_size]
                frame = f"{header[0]}{header_size}x{length}s"
                for end, fields in runs_of(data, start, prefix, frame, header_size + length):
                    payloads += fields
                    position = end + header_size
                (length,) = unpack(data, position - header_size)
    except StructError:
        pass
    used = position - header_size
    needed = header_size
    if position <= total:
        needed += length
        if used + needed <= total:
            payloads.append(data[position : position + length])
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
    index, size = next(
        (index, size) for index, size in enumerate(map(len, payloads)) if size > max_size
    )
    del payloads[index:]
    raise too_large(size, max_size)


def too_large(size: int, max_size: int) -> FrameTooLarge:
    """The error for a frame that is, or announces to be, larger than it may be."""
    return FrameTooLarge(f"a frame of {size} bytes is more than max_size, {max_size}")
