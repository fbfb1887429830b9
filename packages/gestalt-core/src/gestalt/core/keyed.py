"""One after the other what is of one key, meanwhile what is of others; without I/O."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Lane(Generic[T]):
    """What is of one key.

    Attributes:
        key: that key.
        items: those that wait, in the order in which they came.
        taken: one of them was taken, and is not done.
    """

    __slots__ = ("items", "key", "taken")

    def __init__(self, key: Hashable) -> None:
        self.key: Hashable = key
        self.items: deque[T] = deque()
        self.taken: bool = False


class KeyedQueue(Generic[T]):
    """Gives out items in the order of their key, at most one of a key at a time.

    Keys take turns: one that has many items does not keep others waiting.
    """

    def __init__(self) -> None:
        self._lanes: dict[Hashable, Lane[T]] = {}
        # Those that have something to give out.
        self._ready: deque[Lane[T]] = deque()
        self._count = 0

    def __len__(self) -> int:
        """How many items wait, ready or not."""
        return self._count

    @property
    def ready(self) -> bool:
        """Whether there is something to take."""
        return bool(self._ready)

    def put(self, key: Hashable, item: T) -> Lane[T]:
        """Add an item behind those of its key; return where that is.

        Raises:
            TypeError: the key cannot be hashed.
        """
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
        lane.items.append(item)
        self._count += 1
        if not lane.taken and len(lane.items) == 1:
            self._ready.append(lane)
        return lane

    def take(self) -> tuple[Lane[T], T]:
        """Take the next item of the key whose turn it is, which is to be `done`, or put back.

        Raises:
            IndexError: there is nothing to take.
        """
        lane = self._ready.popleft()
        lane.taken = True
        self._count -= 1
        return lane, lane.items.popleft()

    def done(self, lane: Lane[T]) -> None:
        """What was taken is settled: the next item of its key may be taken."""
        lane.taken = False
        if lane.items:
            self._ready.append(lane)
        else:
            self._lanes.pop(lane.key, None)

    def put_back(self, lane: Lane[T], item: T) -> None:
        """What was taken is to be taken again, before all others of its key."""
        lane.taken = False
        lane.items.appendleft(item)
        self._count += 1
        self._ready.append(lane)

    def drop_first(self, lane: Lane[T]) -> T:
        """Take out, and return, the first item that waits of a key, which has one."""
        item = lane.items.popleft()
        self._count -= 1
        if not lane.items and not lane.taken:
            self._ready.remove(lane)
            self._lanes.pop(lane.key, None)
        return item

    def firsts(self) -> Iterator[T]:
        """The first that waits of each key."""
        return (lane.items[0] for lane in self._lanes.values() if lane.items)

    def remove(self, which: Callable[[T], bool]) -> list[T]:
        """Take out, and return, those of the items that wait which are to go."""
        removed: list[T] = []
        for lane in list(self._lanes.values()):
            gone = [item for item in lane.items if which(item)]
            if not gone:
                continue
            removed += gone
            lane.items = deque(item for item in lane.items if not which(item))
            if not lane.items and not lane.taken:
                self._lanes.pop(lane.key, None)
        self._ready = deque(lane for lane in self._ready if lane.items)
        self._count -= len(removed)
        return removed
