"""The time that a client has for any delivery, where neither its queue nor its consumer says other.

https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout
"""

from collections import deque
from typing import Protocol

from .consumer import Consumer, QueueConsumer
from .deliveries import Delivery
from .overdue import Ended, Holder
from .queue import Queue
from .schedule import Call, Schedule
from .versions import ConsumerTimeout, Semantics

# RabbitMQ looks once in so many seconds.
_INTERVAL = 60.0


class TaggedHolder(Holder, Protocol):
    """What is asked of the channel."""

    next_tag: int


class UsualTimeout:
    """Ends the deliveries of a channel that took too long.

    A delivery costs nothing by it: now and then the next tag is noted, and whatever has a lower
    tag than was noted a timeout ago is overdue.

    Args:
        holder: the channel.
        seconds: how long a delivery may take.
        semantics: what holds for the version.
        schedule: for what has to happen later.
    """

    def __init__(
        self, holder: TaggedHolder, seconds: float, semantics: Semantics, schedule: Schedule
    ) -> None:
        self._holder = holder
        self._seconds = seconds
        self._closes = semantics.consumer_timeout is not ConsumerTimeout.ENDS_DELIVERY
        self._schedule = schedule
        self._notes: deque[tuple[float, int]] = deque()
        self._ended: dict[Consumer, Ended] = {}
        self._call: Call | None = None
        self._note()

    def close(self) -> None:
        """The channel is closed."""
        self._schedule.cancel(self._call)
        self._call = None

    def _note(self) -> None:
        now = self._schedule.now()
        self._notes.append((now, self._holder.next_tag))
        self._call = self._schedule.call_at(now + min(_INTERVAL, self._seconds / 4), self._look)

    def _look(self) -> None:
        since = self._schedule.now() - self._seconds
        below = 0
        while self._notes and self._notes[0][0] <= since:
            below = self._notes.popleft()[1]
        # First: what is overdue may close the channel, and this with it.
        self._note()
        overdue = self._overdue(below)
        if not overdue:
            return
        if self._closes:
            self._holder.time_out(self._seconds)
        elif None in overdue:
            # Nobody can be told of what basic.get has brought.
            self._holder.time_out(None)
        else:
            self._end(overdue)

    def _overdue(self, below: int) -> dict[Consumer | None, list[int]]:
        """Return the tags of what is overdue, by the consumers that hold it."""
        overdue: dict[Consumer | None, list[int]] = {}
        for tag, delivery in self._holder.unacked.items():
            if tag >= below:
                break
            if not self._has_own(delivery) and (self._closes or _is_quorum(delivery)):
                overdue.setdefault(delivery.consumer, []).append(tag)
        return overdue

    def _has_own(self, delivery: Delivery) -> bool:
        """Whether it has a timeout of its own, which is looked after elsewhere."""
        if delivery.consumer is not None and delivery.consumer.timeouts is not None:
            return True
        return isinstance(delivery.queue, Queue) and bool(delivery.queue.options.consumer_timeout)

    def _end(self, overdue: dict[Consumer | None, list[int]]) -> None:
        self._ended = {item: ended for item, ended in self._ended.items() if item.unacked}
        for consumer, tags in overdue.items():
            if isinstance(consumer, QueueConsumer) and self._call is not None:
                self._ended.setdefault(consumer, Ended(consumer)).end(self._holder, tags)


def _is_quorum(delivery: Delivery) -> bool:
    return isinstance(delivery.queue, Queue) and delivery.queue.options.quorum
