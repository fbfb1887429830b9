"""The messages of a queue that wait for delivery, in order."""

import heapq
from collections import deque
from collections.abc import Callable, Iterator

from .message import Entry, Message

# A level above all priorities, for what came back where that comes first.
RETURNED = 1 << 16


class ReadyMessages:
    """Entries by priority, and in the order of publication within one priority.

    Appending and taking are O(1). An entry that comes back takes its old place, which is O(log n).

    Args:
        priority_of: returns the priority of a message; without it all are alike.
        weight: how many entries of a higher priority pass before one of a lower one does; 0 where
            that has to wait for all of them.
        returns_first: what comes back comes before all else, whatever its priority.
    """

    __slots__ = ("_count", "_levels", "_passed", "_priority_of", "_returns_first", "_weight")

    def __init__(
        self,
        priority_of: Callable[[Message], int] | None = None,
        *,
        weight: int = 0,
        returns_first: bool = False,
    ) -> None:
        self._priority_of = priority_of
        self._weight = weight
        self._returns_first = returns_first
        # How many were taken since one of a lower priority passed.
        self._passed = 0
        # Those that were ever needed, the highest first.
        self._levels: list[_Level] = [] if priority_of is not None else [_Level(0)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        for level in self._levels:
            yield from level

    def append(self, entry: Entry) -> None:
        """Add a new entry behind all others of its priority."""
        priority_of = self._priority_of
        level = self._levels[0] if priority_of is None else self._at(priority_of(entry.message))
        level.fresh.append(entry)
        self._count += 1

    def put_back(self, entry: Entry) -> None:
        """Add an entry that was taken before, at its old place."""
        priority_of = self._priority_of
        if priority_of is None:
            level = self._levels[0]
        else:
            level = self._at(RETURNED if self._returns_first else priority_of(entry.message))
        heapq.heappush(level.returned, (entry.position, entry))
        self._count += 1

    def first(self) -> Entry | None:
        """Return the entry that is next to be taken, or None when there is none."""
        level = self._next()
        return level.first() if level is not None else None

    def firsts(self) -> list[Entry]:
        """Return the first entry of each priority, or the next one alone where they are mixed."""
        if self._weight:
            first = self.first()
            return [first] if first is not None else []
        return [level.first() for level in self._levels if level.returned or level.fresh]

    def take(self) -> Entry:
        """Remove and return the first entry. There has to be one."""
        level = self._next()
        if level is None:  # pragma: no cover - for type checkers
            raise IndexError("no message is ready")
        self._count -= 1
        if self._weight and level.priority != RETURNED:
            self._passed = 0 if self._passed == self._weight else self._passed + 1
        return level.take()

    def take_first(self, entry: Entry) -> None:
        """Remove an entry that is the first of its priority."""
        for level in self._levels:
            if (level.returned or level.fresh) and level.first() is entry:
                self._count -= 1
                level.take()
                return
        raise LookupError("the message is not first")  # pragma: no cover - who calls it has seen it

    def _next(self) -> "_Level | None":
        found = None
        for level in self._levels:
            if level.returned or level.fresh:
                if self._passed != self._weight or not self._weight or level.priority == RETURNED:
                    return level
                if found is not None:
                    return level
                found = level
        return found

    def _at(self, priority: int) -> "_Level":
        for level in self._levels:
            if level.priority == priority:
                return level
        level = _Level(priority)
        self._levels.append(level)
        self._levels.sort(key=lambda level: -level.priority)
        return level


class _Level:
    __slots__ = ("fresh", "priority", "returned")

    def __init__(self, priority: int) -> None:
        self.priority = priority
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
