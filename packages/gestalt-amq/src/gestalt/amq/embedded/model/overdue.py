"""What becomes of deliveries that a consumer does not acknowledge in time."""

from typing import Protocol

from gestalt.amq.wire.methods import BasicCancel, Method

from .consumer import Consumer, QueueConsumer
from .deliveries import Delivery
from .message import Entry
from .schedule import Schedule
from .timeouts import DeliveryTimeouts
from .versions import ConsumerTimeout, Semantics


class Holder(Protocol):
    """What is asked of the channel of the consumer."""

    unacked: dict[int, Delivery]
    consumers: dict[str, Consumer]

    @property
    def cancel_notify(self) -> bool: ...
    def send(self, method: Method, /) -> None: ...
    def time_out(self, timeout: float | None, /) -> None: ...


def watch(
    holder: Holder,
    consumer: Consumer,
    timeout: float | None,
    semantics: Semantics,
    schedule: Schedule,
) -> None:
    """See to it that a consumer acknowledges in time, if it or its queue is to.

    Args:
        holder: the channel.
        consumer: the consumer.
        timeout: its own timeout in seconds, or None for that of its queue.
        semantics: what holds for the version.
        schedule: for what has to happen later.
    """
    seconds = timeout if timeout is not None else consumer.queue.options.consumer_timeout
    if not seconds or consumer.no_ack or semantics.consumer_timeout is ConsumerTimeout.IGNORED:
        return
    ended = Ended(consumer) if isinstance(consumer, QueueConsumer) else None

    def expired(tags: list[int]) -> None:
        if ended is None or semantics.consumer_timeout is ConsumerTimeout.CLOSES_CHANNEL:
            holder.time_out(seconds)
        else:
            ended.end(holder, tags)

    consumer.timeouts = DeliveryTimeouts(
        schedule, seconds, is_open=lambda tag: tag in holder.unacked, expired=expired
    )


def watch_gets(
    holder: Holder, seconds: float, semantics: Semantics, schedule: Schedule
) -> DeliveryTimeouts:
    """Return what sees to it that what basic.get brings from some queue is acknowledged in time.

    Args:
        holder: the channel.
        seconds: how long it may take.
        semantics: what holds for the version.
        schedule: for what has to happen later.
    """
    # Who has asked for one message is no consumer, and cannot be told that it has lost it.
    told = seconds if semantics.consumer_timeout is ConsumerTimeout.CLOSES_CHANNEL else None
    return DeliveryTimeouts(
        schedule,
        seconds,
        is_open=lambda tag: tag in holder.unacked,
        expired=lambda _: holder.time_out(told),
    )


class Ended:
    """In place of the queue of deliveries that took too long: they are back there already.

    Args:
        consumer: their consumer. It gets no others until it has settled them all.
    """

    def __init__(self, consumer: QueueConsumer) -> None:
        self._consumer = consumer
        self._count = 0

    def end(self, holder: Holder, tags: list[int]) -> None:
        """Give deliveries back to their queue, and tell the client."""
        consumer = self._consumer
        queue = consumer.queue
        entries = []
        for tag in tags:
            delivery = holder.unacked[tag]
            entries.append(delivery.entry)
            holder.unacked[tag] = delivery._replace(queue=self)
        self._count += len(entries)
        known = consumer.tag in holder.consumers
        if known:
            queue.consumers.suspend(consumer)
        queue.put_back(entries, counted=False)
        if known and holder.cancel_notify:
            holder.send(BasicCancel(consumer.tag, True))
        else:
            holder.time_out(None)

    def settled(self, entry: Entry) -> None:
        """The client settles one: with the last, the consumer goes on."""
        del entry
        self._count -= 1
        if self._count == 0:
            queue = self._consumer.queue
            queue.consumers.resume(self._consumer)
            queue.run()

    def rejected(self, entries: list[Entry]) -> None:
        """The client rejects some."""
        for entry in entries:
            self.settled(entry)

    def put_back(
        self, entries: list[Entry], *, counted: bool = True, requeued: bool = False
    ) -> None:
        """The consumer does not go on by that, as in RabbitMQ."""
