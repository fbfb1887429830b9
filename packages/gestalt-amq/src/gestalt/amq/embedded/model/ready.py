"""The messages of a queue that wait for delivery, in order."""

import heapq
from collections import deque
from collections.abc import Iterator

from .message import Entry


class ReadyMessages:
    """Entries by priority, and in the order of publication within one priority.

    Appending and taking are O(1). An entry that comes back takes its old place, which is O(log n).

    Args:
        max_priority: the highest priority that is told apart; higher ones count as this.
    """

    def __init__(self, max_priority: int = 0) -> None:
        self._levels = [_Level() for _ in range(max_priority + 1)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        for level in reversed(self._levels):
            yield from level

    def append(self, entry: Entry) -> None:
        """Add a new entry behind all others of its priority."""
        self._level(entry).fresh.append(entry)
        self._count += 1

    def put_back(self, entry: Entry) -> None:
        """Add an entry that was taken before, at its old place."""
        heapq.heappush(self._level(entry).returned, (entry.position, entry))
        self._count += 1

    def first(self) -> Entry | None:
        """Return the entry that is next to be taken, or None when there is none."""
        for level in reversed(self._levels):
            if level.returned or level.fresh:
                return level.first()
        return None

    def firsts(self) -> list[Entry]:
        """Return the first entry of each priority."""
        return [level.first() for level in self._levels if level.returned or level.fresh]

    def take(self) -> Entry:
        """Remove and return the first entry. There has to be one."""
        for level in reversed(self._levels):
            if level.returned or level.fresh:
                self._count -= 1
                return level.take()
        raise IndexError("no message is ready")

    def take_from(self, priority: int) -> Entry:
        """Remove and return the first entry of one priority. There has to be one."""
        self._count -= 1
        return self._levels[min(priority, len(self._levels) - 1)].take()

    def _level(self, entry: Entry) -> "_Level":
        levels = self._levels
        if len(levels) == 1:
            return levels[0]
        return levels[min(entry.message.priority, len(levels) - 1)]


class _Level:
    __slots__ = ("fresh", "returned")

    def __init__(self) -> None:
        self.fresh: deque[Entry] = deque()
        self.returned: list[tuple[int, Entry]] = []

    def __iter__(self) -> Iterator[Entry]:
        return heapq.merge(
            (entry for _, entry in sorted(self.returned, key=lambda item: item[0])),
            self.fresh,
            key=lambda entry: entry.position,
        )

    def first(self) -> Entry:
        if self._returned_is_first():
            return self.returned[0][1]
        return self.fresh[0]

    def take(self) -> Entry:
        if self._returned_is_first():
            return heapq.heappop(self.returned)[1]
        return self.fresh.popleft()

    def _returned_is_first(self) -> bool:
        if not self.returned:
            return False
        return not self.fresh or self.returned[0][0] < self.fresh[0].position
