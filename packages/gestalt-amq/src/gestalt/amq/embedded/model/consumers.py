"""The consumers of a queue, and whose turn it is."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol

from .message import Entry


class Recipient(Protocol):
    """What a queue asks of each of its consumers."""

    no_ack: bool
    exclusive: bool
    priority: int

    def can_take(self) -> bool: ...
    def block(self) -> None: ...
    def deliver(self, entry: Entry) -> None: ...
    def removed(self) -> None: ...
    def cancelled(self) -> None: ...


class Consumers:
    """The consumers of one queue, in turn; the highest priority that can take a message is served.

    Args:
        single_active: only the first consumer gets messages, until it goes.
    """

    def __init__(self, *, single_active: bool = False) -> None:
        self._single_active = single_active
        self._all: dict[Recipient, None] = {}
        # Those that were not found unable to take more, by priority, the highest first.
        self._levels: dict[int, OrderedDict[Recipient, None]] = {}
        self._active: Recipient | None = None
        # Those that get nothing until they are resumed.
        self._suspended: set[Recipient] = set()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Recipient]:
        return iter(list(self._all))

    @property
    def exclusive(self) -> bool:
        """Whether a consumer wants to be the only one."""
        return any(consumer.exclusive for consumer in self._all)

    def add(self, consumer: Recipient) -> None:
        """Add a consumer; its turn comes after the others of its priority."""
        self._all[consumer] = None
        if self._single_active and self._active is None:
            self._active = consumer
        if consumer.priority not in self._levels:
            self._levels[consumer.priority] = OrderedDict()
            self._levels = dict(sorted(self._levels.items(), reverse=True))
        self._levels[consumer.priority][consumer] = None

    def remove(self, consumer: Recipient) -> None:
        """Remove a consumer. With a single active one, the next in line takes its place."""
        del self._all[consumer]
        self._suspended.discard(consumer)
        consumer.removed()
        level = self._levels[consumer.priority]
        level.pop(consumer, None)
        if not level and all(other.priority != consumer.priority for other in self._all):
            del self._levels[consumer.priority]
        if consumer is self._active:
            self._active = self._next_active()

    def suspend(self, consumer: Recipient) -> None:
        """Give a consumer nothing, until it is resumed."""
        self._suspended.add(consumer)
        self._levels[consumer.priority].pop(consumer, None)
        consumer.removed()
        if consumer is self._active:
            self._active = self._next_active()

    def resume(self, consumer: Recipient) -> None:
        """End `suspend`; does nothing for a consumer that is not suspended."""
        if consumer in self._suspended:  # pragma: no branch - it was cancelled meanwhile
            self._suspended.discard(consumer)
            self._levels[consumer.priority][consumer] = None
            if self._single_active and self._active is None:
                self._active = consumer

    def is_active(self, consumer: Recipient) -> bool:
        """Tell whether a consumer gets messages, and does not wait to be the single active one."""
        if self._single_active:
            return consumer is self._active
        return consumer not in self._suspended

    def _next_active(self) -> Recipient | None:
        waiting = [other for other in self._all if other not in self._suspended]
        return max(waiting, key=lambda other: other.priority, default=None)

    def unblock(self, consumer: Recipient) -> None:
        """Let a consumer take its turn again."""
        self._levels[consumer.priority][consumer] = None

    def next_free(self) -> Recipient | None:
        """Return the consumer whose turn it is, or None when none can take a message."""
        if self._single_active:
            active = self._active
            if active is None or active.can_take():
                return active
            active.block()
            return None
        for level in self._levels.values():
            while level:
                consumer = next(iter(level))
                if consumer.can_take():
                    level.move_to_end(consumer)
                    return consumer
                del level[consumer]
                consumer.block()
        return None
