"""A channel: publishing with confirms, deliveries and their acknowledgement."""

from collections.abc import Callable, Iterable
from secrets import token_urlsafe
from typing import NamedTuple

from gestalt.amq.wire import AmqpError, Long, encode_short_string
from gestalt.amq.wire.codec import deliver_prefix
from gestalt.amq.wire.decoder import Content
from gestalt.amq.wire.methods import (
    BasicAck,
    BasicCancel,
    BasicNack,
    BasicPublish,
    BasicReturn,
)

from .consumers import Consumer
from .message import Entry, Message, receive, with_header, with_reply_to
from .queue import Queue
from .session import Output, Session
from .virtualhost import REPLY_PREFIX, REPLY_QUEUE


class Delivery(NamedTuple):
    """What a client holds and has not acknowledged; no consumer when it came by basic.get."""

    queue: Queue
    entry: Entry
    consumer: Consumer | None


class ReplyConsumer(NamedTuple):
    """A consumer of direct replies; the suffix makes its channel's reply address."""

    tag: str
    suffix: str


class Transaction:
    """What a transactional channel has done since the last commit."""

    def __init__(self) -> None:
        self.publishes: list[tuple[Message, bool]] = []
        self.settlements: list[tuple[dict[int, Delivery], Callable[[list[Delivery]], None]]] = []


class Channel:
    """One channel of a session.

    Args:
        session: The session; it knows the channel by its number.
        number: The number.
        output: Where the channel's methods go.
        max_message_size: The size in bytes of the largest body that may be published.
    """

    def __init__(
        self, session: Session, number: int, output: Output, *, max_message_size: int
    ) -> None:
        self.session = session
        self.host = session.host
        self.number = number
        self.output = output
        self.max_message_size = max_message_size
        session.channels[number] = self
        self.consumers: dict[str, Consumer] = {}
        # Those that could take no more when it was their turn, in that order.
        self.blocked: dict[Consumer, None] = {}
        # The queue of the last delivery that counted against the limit for all.
        self._served: Queue | None = None
        self.reply_consumer: ReplyConsumer | None = None
        # The queue that an empty name stands for.
        self.last_queue = ""
        # Deliveries by tag, ascending; no tag below `_lowest_tag` is among them.
        self.unacked: dict[int, Delivery] = {}
        self.next_tag = 1
        self._lowest_tag = 1
        # The prefetch of new consumers, and the limit for all together with what it counts.
        self.prefetch = 0
        self.limit = 0
        self.limit_used = 0
        # The client cannot take more at the moment.
        self.paused = False
        self.confirming = False
        self.refuse_publishes = False
        self._published = 0
        self._outcomes: list[bool] = []
        self.transaction: Transaction | None = None

    # Publishing

    def publish(self, method: BasicPublish, content: Content) -> None:
        """Takes a message from the client. Raises AmqpError when it may not be published."""
        if method.immediate:
            raise AmqpError("NOT_IMPLEMENTED", "immediate=true")
        if content.body is None or content.size > self.max_message_size:
            raise AmqpError(
                "PRECONDITION_FAILED",
                f"message size {content.size} is larger than configured max size"
                f" {self.max_message_size}",
            )
        host = self.host
        exchange = host.exchange(method.exchange)
        if exchange.internal:
            raise AmqpError(
                "ACCESS_REFUSED",
                f"cannot publish to internal {host.resource('exchange', exchange.name)}",
            )
        message = receive(method.exchange, method.routing_key, content, content.body)
        properties = message.properties
        if properties.user_id is not None and properties.user_id != self.session.user:
            raise AmqpError(
                "PRECONDITION_FAILED",
                f"user_id property set to '{properties.user_id}' but authenticated user was"
                f" '{self.session.user}'",
            )
        if properties.reply_to == REPLY_QUEUE:
            if self.reply_consumer is None:
                raise AmqpError("PRECONDITION_FAILED", "fast reply consumer does not exist")
            message = with_reply_to(message, REPLY_PREFIX + self.reply_consumer.suffix)
        if self.transaction is None:
            self._send_on(message, mandatory=method.mandatory)
        else:
            self.transaction.publishes.append((message, method.mandatory))
            host.account(message.size)

    def end_transaction(self, *, commit: bool) -> bool:
        """Publishes what the transaction has held, or drops it; tells whether all was taken."""
        publishes, self.transaction = self._held(), Transaction()
        accepted = True
        for message, mandatory in publishes:
            self.host.account(-message.size)
            if commit and not self._send_on(message, mandatory=mandatory):
                accepted = False
        return accepted

    def _held(self) -> list[tuple[Message, bool]]:
        return self.transaction.publishes if self.transaction is not None else []

    def _send_on(self, message: Message, *, mandatory: bool) -> bool:
        """Routes a message to its queues; tells whether all of them took it."""
        accepted = not self.refuse_publishes
        if accepted:
            host = self.host
            if not message.exchange:
                self._reply_directly(message)
            # The exchange may have gone between a publish and its commit.
            exchange = host.exchanges.get(message.exchange)
            queues = host.route(exchange, message) if exchange is not None else ()
            if mandatory and not queues:
                self.output.send_content(
                    BasicReturn(312, "NO_ROUTE", message.exchange, message.routing_keys[0]),
                    message.header,
                    message.body,
                )
            for queue in queues:
                if not queue.accept(message):
                    accepted = False
        if self.confirming:
            self._outcomes.append(accepted)
        return accepted

    def _reply_directly(self, message: Message) -> None:
        for key in message.routing_keys:
            if key.startswith(REPLY_PREFIX):
                channel = self.host.reply_channels.get(key.removeprefix(REPLY_PREFIX))
                if channel is not None:
                    channel.deliver_reply(message, key)

    def send_confirms(self) -> None:
        """Tells the client the outcome of what it published, runs of equal outcomes at once."""
        outcomes = self._outcomes
        if not outcomes:
            return
        self._outcomes = []
        start = 0
        for position, accepted in enumerate(outcomes, 1):
            if position < len(outcomes) and outcomes[position] == accepted:
                continue
            tag, multiple = self._published + position, position - start > 1
            outcome = BasicAck(tag, multiple) if accepted else BasicNack(tag, multiple, False)
            self.output.send(outcome)
            start = position
        self._published += len(outcomes)

    # Deliveries

    def deliver(self, consumer: Consumer, entry: Entry) -> None:
        """Sends an entry to the client, as the queue decided."""
        tag = self.next_tag
        self.next_tag = tag + 1
        if not consumer.no_ack:
            consumer.unacked += 1
            self.limit_used += 1
            if self.limit:
                self._served = consumer.queue
            self.unacked[tag] = Delivery(consumer.queue, entry, consumer)
        message = entry.message
        self.output.deliver(
            consumer.prefix,
            tag,
            entry.redelivered,
            message.address,
            header_for(consumer.queue, entry),
            message.body,
        )

    def deliver_reply(self, message: Message, key: str) -> None:
        """Sends a direct reply to the client."""
        if self.reply_consumer is None:
            return
        tag = self.next_tag
        self.next_tag = tag + 1
        address = encode_short_string(message.exchange) + encode_short_string(key)
        prefix = deliver_prefix(self.reply_consumer.tag)
        self.output.deliver(prefix, tag, False, address, message.header, message.body)

    def hold(self, queue: Queue, entry: Entry) -> int:
        """Notes an entry that the client got by basic.get, and returns its delivery tag."""
        tag = self.next_tag
        self.next_tag = tag + 1
        self.unacked[tag] = Delivery(queue, entry, None)
        return tag

    def next_delivery_tag(self) -> int:
        """Returns the tag of a delivery that needs no acknowledgement."""
        tag = self.next_tag
        self.next_tag = tag + 1
        return tag

    def collect(self, tag: int, *, multiple: bool) -> dict[int, Delivery]:
        """Removes the deliveries that a client settles, and returns them, the oldest first.

        With `multiple` these are all up to the tag, or all with the tag 0. Each tag is looked at
        once, so settling costs as much as there are deliveries, however they are settled.

        Raises:
            AmqpError: There is no such delivery.
        """
        unacked = self.unacked
        if multiple and tag == 0:
            self.unacked = {}
            self._lowest_tag = self.next_tag
            return unacked
        if tag not in unacked:
            raise AmqpError("PRECONDITION_FAILED", f"unknown delivery tag {tag}")
        if not multiple:
            return {tag: unacked.pop(tag)}
        collected = {
            number: unacked.pop(number)
            for number in range(self._lowest_tag, tag + 1)
            if number in unacked
        }
        self._lowest_tag = tag + 1
        return collected

    def restore(self, deliveries: dict[int, Delivery]) -> None:
        """Puts back deliveries that were collected, when a transaction is rolled back."""
        self.unacked = dict(sorted({**self.unacked, **deliveries}.items()))
        self._lowest_tag = min(self.unacked, default=self.next_tag)

    def acknowledge(self, deliveries: list[Delivery]) -> None:
        """The client has dealt with the deliveries."""
        for queue, entry, _ in deliveries:
            queue.settled(entry)
        self._release(deliveries)

    def requeue(self, deliveries: list[Delivery]) -> None:
        """The deliveries go back to their queues."""
        self._count_down(deliveries)
        for queue, entries in by_queue(deliveries).items():
            queue.put_back(entries)
        self._unblock(deliveries)

    def discard(self, deliveries: list[Delivery]) -> None:
        """The deliveries go to the dead letter exchanges of their queues, or are dropped."""
        for queue, entries in by_queue(deliveries).items():
            queue.rejected(entries)
        self._release(deliveries)

    def _release(self, deliveries: list[Delivery]) -> None:
        self._count_down(deliveries)
        self._unblock(deliveries)

    def _count_down(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.consumer is not None:
                delivery.consumer.unacked -= 1
                self.limit_used -= 1

    def _unblock(self, deliveries: list[Delivery]) -> None:
        if not self.blocked:
            return
        if self.limit:
            self.unblock_consumers()
            return
        self._unblock_these(
            {
                delivery.consumer: None
                for delivery in deliveries
                if delivery.consumer is not None and delivery.consumer.blocked
            }
        )

    def unblock_consumers(self) -> None:
        """Delivers on to those consumers that could take no more, and can now."""
        self._unblock_these(list(self.blocked))

    def _unblock_these(self, consumers: Iterable[Consumer]) -> None:
        """Gives consumers their turn again, in the order in which they lost it.

        A limit for all of a channel's consumers lets one delivery pass at a time: the queue that
        was served last comes last, so that each gets its share.
        """
        queues: dict[Queue, None] = {}
        for consumer in consumers:
            if consumer.can_take() and self.consumers.get(consumer.tag) is consumer:
                consumer.queue.consumers.unblock(consumer)
                queues[consumer.queue] = None
        served = self._served
        for queue in sorted(queues, key=lambda queue: queue is served):
            queue.run()

    # Consumers

    def new_tag(self, prefix: str) -> str:
        """Returns a name that no other consumer or queue has."""
        return f"{prefix}-{token_urlsafe(16)}"

    def set_reply_consumer(self, tag: str) -> None:
        """Makes this the channel of direct replies to its client."""
        suffix = token_urlsafe(24)
        self.reply_consumer = ReplyConsumer(tag, suffix)
        self.host.reply_channels[suffix] = self

    def drop_reply_consumer(self) -> None:
        """Direct replies are not wanted any more."""
        if self.reply_consumer is not None:
            del self.host.reply_channels[self.reply_consumer.suffix]
            self.reply_consumer = None

    def consumer_cancelled(self, consumer: Consumer) -> None:
        """A consumer's queue is gone; the client is told if it wants to know."""
        if self.consumers.pop(consumer.tag, None) is not None and self.session.cancel_notify:
            self.output.send(BasicCancel(consumer.tag, True))

    def close(self) -> None:
        """Cancels the consumers; what was not acknowledged goes back to its queues."""
        self.session.channels.pop(self.number, None)
        self.drop_reply_consumer()
        self._outcomes = []
        deliveries = self.unacked
        if self.transaction is not None:
            for collected, _ in self.transaction.settlements:
                deliveries = {**deliveries, **collected}
            self.end_transaction(commit=False)
        self.unacked = {}
        self.paused = True
        for consumer in list(self.consumers.values()):
            if not consumer.queue.deleted:
                consumer.queue.remove_consumer(consumer)
        self.consumers = {}
        for queue, entries in by_queue([deliveries[tag] for tag in sorted(deliveries)]).items():
            queue.put_back(entries)


def by_queue(deliveries: list[Delivery]) -> dict[Queue, list[Entry]]:
    """Returns the entries of each queue, in their order."""
    entries: dict[Queue, list[Entry]] = {}
    for delivery in deliveries:
        entries.setdefault(delivery.queue, []).append(delivery.entry)
    return entries


def header_for(queue: Queue, entry: Entry) -> bytes:
    """Returns the header of a delivery; quorum queues tell how often the message came back."""
    if queue.options.quorum and entry.returns:
        return with_header(entry.message, "x-delivery-count", Long(entry.returns))
    return entry.message.header
