"""A channel: publishing with confirms, deliveries and their acknowledgement."""

from collections.abc import Callable
from secrets import token_urlsafe
from typing import NamedTuple, Protocol

from gestalt.amq.wire import AmqpError, encode_short_string
from gestalt.amq.wire.codec import deliver_prefix
from gestalt.amq.wire.decoder import Content
from gestalt.amq.wire.methods import (
    BasicAck,
    BasicCancel,
    BasicNack,
    BasicPublish,
    BasicReturn,
    Method,
)

from .consumer import Consumer, Limiter, QueueConsumer, StreamConsumer
from .deliveries import OF_A_STREAM, Delivery, by_queue, header_for
from .message import Entry, Message, Receiver, with_reply_to
from .queue import Owner, Queue
from .stream_record import Record
from .timeouts import DeliveryTimeouts
from .virtualhost import REPLY_PREFIX, REPLY_QUEUE, VirtualHost

# How long the end of a reply address is, in characters.
_SUFFIX_SIZE = 32


class Opener(Owner, Protocol):
    """What a channel asks of the session that has opened it."""

    host: VirtualHost
    user: str
    cancel_notify: bool

    def time_out(self, channel: "Channel", timeout: float | None) -> None: ...


class Output(Protocol):
    """Where a channel's methods go. Calls only collect; they never call back into the model."""

    def send(self, method: Method) -> None: ...

    def send_content(self, method: Method, header: bytes, body: bytes) -> None: ...

    def deliver(
        self,
        prefix: bytes,
        delivery_tag: int,
        redelivered: bool,
        address: bytes,
        header: bytes,
        body: bytes,
    ) -> None: ...


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
        session: the session that opens it.
        output: where the channel's methods go.
        max_message_size: the size in bytes of the largest body that may be published.
        paused: the client cannot take more deliveries at the moment.
    """

    def __init__(
        self, session: Opener, output: Output, *, max_message_size: int, paused: bool = False
    ) -> None:
        self.session = session
        self.host = session.host
        self.output = output
        self.max_message_size = max_message_size
        self.consumers: dict[str, Consumer] = {}
        self.limiter = Limiter(paused=paused)
        self.reply_consumer: ReplyConsumer | None = None
        # The queue that an empty name stands for.
        self.last_queue = ""
        # Deliveries by tag, ascending; no tag below `_lowest_tag` is among them.
        self.unacked: dict[int, Delivery] = {}
        self.next_tag = 1
        self._lowest_tag = 1
        # The prefetch of new consumers.
        self.prefetch = 0
        self.confirming = False
        self._published = 0
        self._outcomes: list[bool] = []
        self._receiver = Receiver()
        self.transaction: Transaction | None = None
        # Those of what basic.get has brought, by their seconds.
        self.get_timeouts: dict[float, DeliveryTimeouts] = {}

    # Publishing

    def publish(self, method: BasicPublish, content: Content) -> None:
        """Take a message from the client. Raises AmqpError when it may not be published."""
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
        message, properties = self._receiver.receive(
            method.exchange, method.routing_key, content, content.body
        )
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
        host.received += 1
        if self.transaction is None:
            self._send_on(message, mandatory=method.mandatory)
        else:
            self.transaction.publishes.append((message, method.mandatory))
            host.account(message.size)

    def end_transaction(self, *, commit: bool) -> bool:
        """Publish what the transaction has held, or drop it; tell whether all was taken."""
        publishes, self.transaction = self._held(), Transaction()
        accepted = True
        # First: an error ends the channel, and what it held with it.
        self.host.account(-sum(message.size for message, _ in publishes))
        for message, mandatory in publishes:
            if commit and not self._send_on(message, mandatory=mandatory):
                accepted = False
        return accepted

    def _held(self) -> list[tuple[Message, bool]]:
        return self.transaction.publishes if self.transaction is not None else []

    def _send_on(self, message: Message, *, mandatory: bool) -> bool:
        """Route a message to its queues; tell whether all of them took it."""
        host = self.host
        accepted = not host.refuse_publishes
        if accepted:
            if not message.exchange:
                self._reply_directly(message)
            # The exchange may have gone between a publish and its commit.
            exchange = host.exchanges.get(message.exchange)
            queues = host.route(exchange, message) if exchange is not None else ()
            if mandatory and not queues and not self._is_reply(message):
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

    def _is_reply(self, message: Message) -> bool:
        """Whether it is sent to what looks like a reply address, and so counts as routed."""
        key = message.routing_keys[0]
        return (
            self.host.semantics.reply_addresses_route
            and not message.exchange
            and key.startswith(REPLY_PREFIX)
            and len(key) >= len(REPLY_PREFIX) + _SUFFIX_SIZE
        )

    def _reply_directly(self, message: Message) -> None:
        for key in message.routing_keys:
            if key.startswith(REPLY_PREFIX):
                deliver = self.host.reply_consumers.get(key.removeprefix(REPLY_PREFIX))
                if deliver is not None:
                    deliver(message, key)

    def send_confirms(self) -> None:
        """Tell the client the outcome of what it published, runs of equal outcomes at once."""
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

    def deliver(self, consumer: QueueConsumer, entry: Entry) -> None:
        """Send an entry to the client, for a consumer."""
        tag = self.next_tag
        self.next_tag = tag + 1
        if not consumer.no_ack:
            self.unacked[tag] = Delivery(consumer.queue, entry, consumer)
            if consumer.timeouts is not None:
                consumer.timeouts.add(tag)
        message = entry.message
        self.output.deliver(
            consumer.prefix,
            tag,
            entry.redelivered,
            message.address,
            header_for(consumer.queue, entry),
            message.body,
        )

    def deliver_record(self, consumer: StreamConsumer, record: Record, offset: int) -> None:
        """Send the record at an offset of a stream to the client, for a consumer."""
        tag = self.next_tag
        self.next_tag = tag + 1
        self.unacked[tag] = Delivery(consumer.queue, OF_A_STREAM, consumer)
        if consumer.timeouts is not None:
            consumer.timeouts.add(tag)
        header = record.header(offset)
        self.output.deliver(consumer.prefix, tag, False, record.address, header, record.body)

    def deliver_reply(self, message: Message, key: str) -> None:
        """Send a direct reply to the client."""
        if self.reply_consumer is None:  # pragma: no cover - gone in this turn
            return
        tag = self.next_delivery_tag()
        address = encode_short_string(message.exchange) + encode_short_string(key)
        prefix = deliver_prefix(self.reply_consumer.tag)
        self.output.deliver(prefix, tag, False, address, message.header, message.body)

    def hold(self, queue: Queue, entry: Entry) -> int:
        """Note an entry that the client got by basic.get, and return its delivery tag."""
        tag = self.next_delivery_tag()
        self.unacked[tag] = Delivery(queue, entry, None)
        return tag

    def next_delivery_tag(self) -> int:
        """Return the tag of a delivery that needs no acknowledgement."""
        tag = self.next_tag
        self.next_tag = tag + 1
        return tag

    def collect(self, tag: int, *, multiple: bool) -> dict[int, Delivery]:
        """Remove the deliveries that a client settles, and return them, the oldest first.

        With `multiple` these are all up to the tag, or all with the tag 0. Each tag is looked at
        once, so settling costs as much as there are deliveries, however they are settled.

        Raises:
            AmqpError: there is no such delivery.
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
        """Put back deliveries that were collected, when a transaction is rolled back."""
        self.unacked = dict(sorted({**self.unacked, **deliveries}.items()))
        self._lowest_tag = min(self.unacked, default=self.next_tag)

    def acknowledge(self, deliveries: list[Delivery]) -> None:
        """The client has dealt with the deliveries."""
        for queue, entry, _ in deliveries:
            queue.settled(entry)
        self._release(deliveries)

    def requeue(self, deliveries: list[Delivery], *, counted: bool = True) -> None:
        """The deliveries go back to their queues."""
        self._count_down(deliveries)
        for queue, entries in by_queue(deliveries).items():
            queue.put_back(entries, counted=counted, requeued=True)
        self._unblock(deliveries)

    def requeue_quietly(self, deliveries: list[Delivery]) -> None:
        """The deliveries go back; in newer versions that does not count against a limit."""
        self.requeue(deliveries, counted=self.host.semantics.counts_requeues)

    def discard(self, deliveries: list[Delivery]) -> None:
        """The deliveries go to the dead letter exchanges of their queues, or are dropped."""
        for queue, entries in by_queue(deliveries).items():
            queue.rejected(entries)
        self._release(deliveries)

    def _release(self, deliveries: list[Delivery]) -> None:
        self._count_down(deliveries)
        self._unblock(deliveries)

    def _count_down(self, deliveries: list[Delivery]) -> None:
        limiter = self.limiter
        for delivery in deliveries:
            if delivery.consumer is not None:
                delivery.consumer.unacked -= 1
                limiter.used -= 1

    def _unblock(self, deliveries: list[Delivery]) -> None:
        self.limiter.unblock(
            delivery.consumer for delivery in deliveries if delivery.consumer is not None
        )

    # Consumers

    @property
    def cancel_notify(self) -> bool:
        """Whether the client wants to know of consumers that the broker cancels."""
        return self.session.cancel_notify

    def send(self, method: Method) -> None:
        """Send a method without content."""
        self.output.send(method)

    def time_out(self, timeout: float | None) -> None:
        """Close the channel, since a delivery was not acknowledged within so many seconds."""
        self.session.time_out(self, timeout)

    def new_tag(self, prefix: str) -> str:
        """Return a name that no other consumer or queue has."""
        return f"{prefix}-{token_urlsafe(16)}"

    def set_reply_consumer(self, tag: str) -> None:
        """Make this the channel of direct replies to its client."""
        suffix = token_urlsafe(_SUFFIX_SIZE * 3 // 4)
        self.reply_consumer = ReplyConsumer(tag, suffix)
        self.host.reply_consumers[suffix] = self.deliver_reply

    def drop_reply_consumer(self) -> None:
        """Direct replies are not wanted any more."""
        if self.reply_consumer is not None:
            del self.host.reply_consumers[self.reply_consumer.suffix]
            self.reply_consumer = None

    def consumer_cancelled(self, consumer: Consumer) -> None:
        """A consumer's queue is gone; the client is told if it wants to know."""
        if self.consumers.pop(consumer.tag, None) is not None and self.session.cancel_notify:
            self.output.send(BasicCancel(consumer.tag, True))

    def close(self) -> None:
        """Cancel the consumers; what was not acknowledged goes back to its queues."""
        self.drop_reply_consumer()
        self.host.delivered += self.next_tag - 1
        self._outcomes = []
        deliveries = self.unacked
        if self.transaction is not None:
            for collected, _ in self.transaction.settlements:
                deliveries = {**deliveries, **collected}
            self.end_transaction(commit=False)
        self.unacked = {}
        self.limiter.paused = True
        for timeouts in self.get_timeouts.values():
            timeouts.close()
        # First: the consumer that follows a single active one gets them before all others.
        for queue, entries in by_queue([deliveries[tag] for tag in sorted(deliveries)]).items():
            queue.put_back(entries)
        for consumer in list(self.consumers.values()):
            if consumer.timeouts is not None:
                consumer.timeouts.close()
            if not consumer.queue.deleted:  # pragma: no branch - its consumers go first
                consumer.leave()
        self.consumers = {}
