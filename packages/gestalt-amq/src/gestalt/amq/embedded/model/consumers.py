"""The consumers of a queue, and whose turn it is."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gestalt.amq.wire import FieldValue
from gestalt.amq.wire.codec import deliver_prefix

if TYPE_CHECKING:
    from .channel import Channel
    from .queue import Queue


class Consumer:
    """A subscription of a channel to a queue.

    Attributes:
        channel, queue: Whom it belongs to.
        tag: Its name, unique on the channel.
        prefix: The beginning of every delivery to it.
        no_ack: Deliveries count as acknowledged when they are sent.
        prefetch: How many deliveries it may leave unacknowledged; 0 for no limit.
        exclusive: It accepts no other consumer beside it.
        priority: Consumers of a higher priority come first.
        unacked: How many deliveries it has not acknowledged.
        blocked: It could take no more when its turn came, and is not asked again before `unblock`.
    """

    __slots__ = (
        "arguments",
        "blocked",
        "channel",
        "exclusive",
        "no_ack",
        "prefetch",
        "prefix",
        "priority",
        "queue",
        "tag",
        "unacked",
    )

    def __init__(
        self,
        channel: "Channel",
        queue: "Queue",
        tag: str,
        *,
        no_ack: bool,
        exclusive: bool,
        prefetch: int,
        arguments: Mapping[str, FieldValue],
    ) -> None:
        self.channel = channel
        self.queue = queue
        self.tag = tag
        self.prefix = deliver_prefix(tag)
        self.no_ack = no_ack
        self.exclusive = exclusive
        self.prefetch = 0 if no_ack else prefetch
        self.arguments = arguments
        priority = arguments.get("x-priority")
        self.priority = priority if isinstance(priority, int) else 0
        self.unacked = 0
        self.blocked = False

    def can_take(self) -> bool:
        """Tells whether one more message may be delivered to it now."""
        channel = self.channel
        if channel.paused or (channel.limit and channel.limit_used >= channel.limit):
            return False
        return not self.prefetch or self.unacked < self.prefetch

    def block(self) -> None:
        """Notes that it could take no more; its channel sees to it that it gets another turn."""
        if not self.blocked:
            self.blocked = True
            self.channel.blocked[self] = None


class Consumers:
    """The consumers of one queue, in turn; the highest priority that can take a message is served.

    Args:
        single_active: Only the first consumer gets messages, until it goes.
    """

    def __init__(self, *, single_active: bool = False) -> None:
        self._single_active = single_active
        self._all: dict[Consumer, None] = {}
        # Those that were not found unable to take more, by priority, the highest first.
        self._levels: dict[int, OrderedDict[Consumer, None]] = {}
        self._active: Consumer | None = None

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Consumer]:
        return iter(list(self._all))

    @property
    def exclusive(self) -> bool:
        """Whether a consumer wants to be the only one."""
        return any(consumer.exclusive for consumer in self._all)

    def add(self, consumer: Consumer) -> None:
        """Adds a consumer; its turn comes after the others of its priority."""
        self._all[consumer] = None
        if self._single_active and self._active is None:
            self._active = consumer
        if consumer.priority not in self._levels:
            self._levels[consumer.priority] = OrderedDict()
            self._levels = dict(sorted(self._levels.items(), reverse=True))
        self._levels[consumer.priority][consumer] = None

    def remove(self, consumer: Consumer) -> None:
        """Removes a consumer. With a single active one, the next in line takes its place."""
        del self._all[consumer]
        consumer.channel.blocked.pop(consumer, None)
        level = self._levels[consumer.priority]
        level.pop(consumer, None)
        if not level and all(other.priority != consumer.priority for other in self._all):
            del self._levels[consumer.priority]
        if consumer is self._active:
            self._active = max(self._all, key=lambda other: other.priority, default=None)

    def unblock(self, consumer: Consumer) -> None:
        """Lets a consumer take its turn again."""
        consumer.blocked = False
        consumer.channel.blocked.pop(consumer, None)
        self._levels[consumer.priority][consumer] = None

    def next_free(self) -> Consumer | None:
        """Returns the consumer whose turn it is, or None when none can take a message."""
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
