"""The log of a stream: records by their offsets, in segments that are dropped as a whole.

https://www.rabbitmq.com/docs/streams#retention
"""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from .stream_record import Record

# Those of RabbitMQ.
DEFAULT_SEGMENT_SIZE = 500_000_000
_MAX_SEGMENT_RECORDS = 256_000
# What a segment, and a filter value, cost beside their records, roughly, in bytes.
_SEGMENT_COST = 150
_VALUE_COST = 200
# So many records are looked at one by one before an index is asked for each value of a filter.
_NEAR = 64
# So many records may be gone and still have their places before these are given up.
_MANY = 1000


class _Segment:
    __slots__ = ("cost", "first", "last_time", "size")

    def __init__(self, first: int) -> None:
        self.first = first
        self.last_time = 0
        self.size = 0
        self.cost = _SEGMENT_COST


class StreamLog:
    """Records in the order in which they came; each has an offset, from 0 on without a gap.

    Attributes:
        first: the offset of the first record that is kept, or `end` when none is.
        end: the offset that the next record gets.
        cost: what all of it costs, in bytes.
    """

    def __init__(self) -> None:
        self.first = 0
        self.end = 0
        self.cost = 0
        # The offset of the first place in `_records`, `_values` and `_times`.
        self._base = 0
        self._records: list[Record | None] = []
        self._values: list[str | None] = []
        self._times = array("q")
        # The offsets of the records with each filter value; some of them may be gone.
        self._by_value: dict[str | None, array[int]] = {}
        self._segments: deque[_Segment] = deque()
        self._size = 0

    @property
    def places(self) -> int:
        """How many places there are for records and filter values, of what is gone as well."""
        return len(self._records) + len(self._by_value)

    def __len__(self) -> int:
        return self.end - self.first

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        return ((offset, self[offset]) for offset in range(self.first, self.end))

    def __getitem__(self, offset: int) -> Record:
        """Return the record at an offset, which has to be kept."""
        record = self._records[offset - self._base] if offset >= self._base else None
        if record is None:  # pragma: no cover - for type checkers
            raise LookupError(f"there is no record at the offset {offset}")
        return record

    def append(self, record: Record, value: str | None, milliseconds: int, *, limit: int) -> bool:
        """Add a record; tell whether a segment is full with it, so that `retain` has to be called.

        Args:
            record: the record.
            value: its filter value.
            milliseconds: the time of day, since 1970.
            limit: the size at which a segment is full, in bytes.
        """
        offset = self.end
        self.end += 1
        times = self._times
        # By a clock that is set back, records would be out of order.
        milliseconds = max(milliseconds, times[-1]) if times else milliseconds
        times.append(milliseconds)
        self._records.append(record)
        self._values.append(value)
        cost = record.cost
        offsets = self._by_value.get(value)
        if offsets is None:
            offsets = self._by_value[value] = array("q")
            cost += _VALUE_COST
        offsets.append(offset)
        if not self._segments:
            self._begin_segment(offset)
        segment = self._segments[-1]
        size = record.disk_size
        segment.size += size
        segment.cost += cost
        segment.last_time = milliseconds
        self._size += size
        self.cost += cost
        if segment.size < limit and self.end - segment.first < _MAX_SEGMENT_RECORDS:
            return False
        self._begin_segment(self.end)
        return True

    def retain(self, *, max_bytes: int | None, oldest: int | None) -> None:
        """Drop the segments that are too old, or too much; never the one that is being written.

        Args:
            max_bytes: how much all segments may take together.
            oldest: segments whose last record came before this go; milliseconds since 1970.
        """
        segments = self._segments
        while len(segments) > 1 and (
            (max_bytes is not None and self._size > max_bytes)
            or (oldest is not None and segments[0].last_time < oldest)
        ):
            segment = segments.popleft()
            self._size -= segment.size
            self.cost -= segment.cost
            self._drop(segments[0].first)

    def clear(self) -> None:
        """Drop everything."""
        self._segments.clear()
        self._size = self.cost = 0
        self._drop(self.end)

    def at_time(self, milliseconds: int) -> int:
        """Return the offset of the first record that came then or later, or `end`."""
        # Not more than what an array of such numbers can be compared with.
        found = bisect_left(self._times, milliseconds, self.first - self._base)
        return self._base + found

    def following(self, offset: int, values: AbstractSet[str | None] | None) -> int | None:
        """Return the first offset from this one on whose record has one of the values, if any."""
        offset = max(offset, self.first)
        if values is None:
            return offset if offset < self.end else None
        near = min(offset + _NEAR, self.end)
        known = self._values
        for place in range(offset - self._base, near - self._base):
            if known[place] in values:
                return self._base + place
        return self._far(near, values) if near < self.end else None

    def _far(self, offset: int, values: AbstractSet[str | None]) -> int | None:
        found = None
        for value in values:
            offsets = self._by_value.get(value)
            if offsets is not None and offsets[-1] >= offset:
                candidate = offsets[bisect_left(offsets, offset)]
                found = candidate if found is None else min(found, candidate)
        return found

    def _begin_segment(self, first: int) -> None:
        self._segments.append(_Segment(first))
        self.cost += _SEGMENT_COST

    def _drop(self, first: int) -> None:
        for place in range(self.first - self._base, first - self._base):
            self._records[place] = None
        self.first = first
        gone = first - self._base
        if gone > _MANY and 2 * gone > len(self._records):
            self._compact(gone)

    def _compact(self, gone: int) -> None:
        """Give up the places of what is gone."""
        del self._records[:gone]
        del self._values[:gone]
        del self._times[:gone]
        self._base = self.first
        by_value = {}
        for value, offsets in self._by_value.items():
            kept = offsets[bisect_left(offsets, self.first) :]
            if kept:
                by_value[value] = kept
        self._by_value = by_value
