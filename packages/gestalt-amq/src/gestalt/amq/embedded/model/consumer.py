"""A channel's consumers, and the limit that they share."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from gestalt.amq.wire.codec import deliver_prefix

from .message import Entry
from .queue import Queue
from .stream import Stream
from .stream_record import Record
from .timeouts import DeliveryTimeouts

AnyQueue: TypeAlias = Queue | Stream


class Limiter:
    """What all consumers of one channel may take together, and those that wait for it.

    Attributes:
        paused: the client cannot take more at the moment.
        limit: how many deliveries they may leave unacknowledged together; 0 for no limit.
        used: how many they have left unacknowledged.
    """

    __slots__ = ("_blocked", "limit", "paused", "served", "used")

    def __init__(self, *, paused: bool) -> None:
        self.paused = paused
        self.limit = 0
        self.used = 0
        # The queue of the last delivery that counted against the limit.
        self.served: AnyQueue | None = None
        # Those that could take no more when it was their turn, in that order.
        self._blocked: dict[Consumer, None] = {}

    def block(self, consumer: "Consumer") -> None:
        """Note that a consumer could take no more, so that it gets another turn."""
        self._blocked[consumer] = None

    def forget(self, consumer: "Consumer") -> None:
        """Forget a consumer that gets no other turn."""
        self._blocked.pop(consumer, None)

    def unblock(self, consumers: Iterable["Consumer"] | None = None) -> None:
        """Give consumers their turn again, in the order in which they lost it.

        A limit for all of a channel's consumers lets one delivery pass at a time: the queue that
        was served last comes last, so that each gets its share.

        Args:
            consumers: those that may be able to take more now; None for all.
        """
        blocked = self._blocked
        if not blocked:
            return
        queues: dict[AnyQueue, None] = {}
        for consumer in list(blocked) if consumers is None or self.limit else consumers:
            if consumer in blocked and consumer.can_take():
                del blocked[consumer]
                consumer.unblock()
                queues[consumer.queue] = None
        served = self.served
        for queue in sorted(queues, key=lambda queue: queue is served):
            queue.run()


class Consumer:
    """A subscription of a channel to a queue or a stream.

    Args:
        limiter: the limit of its channel.
        queue: the queue.
        tag: its name, unique on the channel.
        cancelled: tells the client that the queue is gone.
        no_ack: deliveries count as acknowledged when they are sent.
        prefetch: how many deliveries it may leave unacknowledged; 0 for no limit.

    Attributes:
        prefix: the beginning of every delivery to it.
        exclusive: it accepts no other consumer beside it.
        priority: consumers of a higher priority come first.
        unacked: how many deliveries it has not acknowledged.
        timeouts: what becomes of deliveries that it does not acknowledge; None where nothing does.
    """

    __slots__ = (
        "_cancelled",
        "_limiter",
        "no_ack",
        "prefetch",
        "prefix",
        "queue",
        "tag",
        "timeouts",
        "unacked",
    )

    queue: AnyQueue
    exclusive: bool
    priority: int

    def __init__(
        self,
        limiter: Limiter,
        queue: AnyQueue,
        tag: str,
        *,
        cancelled: Callable[["Consumer"], None],
        no_ack: bool,
        prefetch: int,
    ) -> None:
        self.queue = queue
        self.tag = tag
        self.prefix = deliver_prefix(tag)
        self.no_ack = no_ack
        self.prefetch = 0 if no_ack else prefetch
        self.unacked = 0
        self.timeouts: DeliveryTimeouts | None = None
        self._limiter = limiter
        self._cancelled = cancelled

    def can_take(self) -> bool:
        """Tell whether one more message may be delivered to it now."""
        limiter = self._limiter
        if limiter.paused or (limiter.limit and limiter.used >= limiter.limit):
            return False
        return not self.prefetch or self.unacked < self.prefetch

    def block(self) -> None:
        """It could take no more when its turn came; its channel gives it another one."""
        self._limiter.block(self)

    def unblock(self) -> None:
        """It gets another turn."""
        raise NotImplementedError

    def leave(self) -> None:
        """It is to be a consumer of its queue no more."""
        raise NotImplementedError

    def is_active(self) -> bool:
        """Whether it gets messages, and does not wait to be the single active one."""
        raise NotImplementedError

    def removed(self) -> None:
        """It is a consumer of its queue no more."""
        self._limiter.forget(self)

    def cancelled(self) -> None:
        """Its queue is gone."""
        self._limiter.forget(self)
        self._cancelled(self)


class QueueConsumer(Consumer):
    """A subscription of a channel to a queue.

    Args:
        limiter, queue, tag, cancelled, no_ack, prefetch: as those of `Consumer`.
        deliver: sends an entry to the client.
        exclusive: it accepts no other consumer beside it.
        priority: consumers of a higher priority come first.
    """

    __slots__ = ("_deliver", "exclusive", "priority")

    queue: Queue

    def __init__(
        self,
        limiter: Limiter,
        queue: Queue,
        tag: str,
        *,
        deliver: Callable[["QueueConsumer", Entry], None],
        cancelled: Callable[[Consumer], None],
        no_ack: bool,
        exclusive: bool,
        prefetch: int,
        priority: int,
    ) -> None:
        super().__init__(limiter, queue, tag, cancelled=cancelled, no_ack=no_ack, prefetch=prefetch)
        self.exclusive = exclusive
        self.priority = priority
        self._deliver = deliver

    def unblock(self) -> None:
        self.queue.consumers.unblock(self)

    def leave(self) -> None:
        self.queue.remove_consumer(self)

    def is_active(self) -> bool:
        return self.queue.consumers.is_active(self)

    def deliver(self, entry: Entry) -> None:
        """Send it an entry, as the queue decided."""
        if not self.no_ack:
            limiter = self._limiter
            self.unacked += 1
            limiter.used += 1
            if limiter.limit:
                limiter.served = self.queue
        self._deliver(self, entry)


class StreamConsumer(Consumer):
    """A subscription of a channel to a stream.

    Args:
        limiter, stream, tag, cancelled, prefetch: as those of `Consumer`.
        send: sends the record at an offset to the client.
    """

    __slots__ = ("_send",)

    queue: Stream
    exclusive = False
    priority = 0

    def __init__(
        self,
        limiter: Limiter,
        stream: Stream,
        tag: str,
        *,
        send: Callable[["StreamConsumer", Record, int], None],
        cancelled: Callable[[Consumer], None],
        prefetch: int,
    ) -> None:
        super().__init__(limiter, stream, tag, cancelled=cancelled, no_ack=False, prefetch=prefetch)
        self._send = send

    def can_take(self) -> bool:
        # Whatever the limit of the channel is: a stream does not know it.
        return not self._limiter.paused and self.unacked < self.prefetch

    def unblock(self) -> None:
        self.queue.consumers.unblock(self)

    def leave(self) -> None:
        self.queue.remove_consumer(self)

    def is_active(self) -> bool:
        return True  # pragma: no cover - for the protocol of consumers

    def send(self, record: Record, offset: int) -> None:
        """Send it the record at an offset, as the stream decided."""
        self.unacked += 1
        self._limiter.used += 1
        self._send(self, record, offset)
