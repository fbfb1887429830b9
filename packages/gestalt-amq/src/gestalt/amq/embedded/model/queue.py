"""Queues: they keep messages in order, and hand them to consumers."""

from collections.abc import Mapping
from typing import Protocol

from gestalt.amq.wire import FieldValue, Long

from .arguments import QueueOptions
from .consumers import Consumers, Recipient
from .exchange import Binding
from .message import Entry, Message
from .policies import Policy, effective, merged
from .ready import ReadyMessages
from .schedule import Call, Schedule
from .versions import Priorities, Semantics

# The priority of a message in a quorum queue that says nothing of it, and the highest there is.
_USUAL = 4
_HIGHEST = 31


class Owner(Protocol):
    """What a queue asks of the connection that it is exclusive to."""

    exclusive_queues: "dict[str, Queue]"


class Surroundings(Protocol):
    """What a queue asks of the virtual host that it is in."""

    schedule: Schedule
    semantics: Semantics

    def delete_queue(self, queue: "Queue") -> int: ...
    def dead_letter(self, queue: "Queue", message: Message, reason: str) -> None: ...
    def account(self, size: int) -> None: ...


class Queue:
    """A queue.

    Args:
        host: the virtual host.
        name: the name.
        durable: it is to survive a restart of the broker.
        auto_delete: it goes with its last consumer.
        owner: the only connection that may use it, if it is exclusive.
        arguments: the arguments that it was declared with.
        options: what they say.

    Attributes:
        options: what holds, a policy and the version considered.
    """

    def __init__(
        self,
        host: Surroundings,
        name: str,
        *,
        durable: bool,
        auto_delete: bool,
        owner: Owner | None,
        arguments: Mapping[str, FieldValue],
        options: QueueOptions,
    ) -> None:
        self.name = name
        self.durable = durable
        self.auto_delete = auto_delete
        self.owner = owner
        self.arguments = arguments
        self.declared = options
        self.policy: Policy | None = None
        self.operator_policy: Policy | None = None
        self.options = options = effective(options, {}, host.semantics)
        self._semantics = host.semantics
        self.ready = _ready_messages(options, host.semantics)
        self.ready_bytes = 0
        self.unacked = 0
        self.consumers = Consumers(single_active=options.single_active_consumer)
        self.incoming: dict[Binding, None] = {}
        self.deleted = False
        # What exchanges call its type.
        self.kind = options.kind
        self._host = host
        self._schedule = host.schedule
        self._position = 0
        # Places before all others, for what comes back to a quorum queue.
        self._return_position = -(1 << 62)
        # Whether any message has had a deadline, and when expired ones will be looked for next.
        self._has_deadlines = False
        self._next_check: float | None = None
        self._deadline_check: Call | None = None
        self._use_check: Call | None = None
        self._last_used = 0.0
        self.touch()
        self._watch_use()

    def apply(self, policy: Policy | None, operator: Policy | None = None) -> None:
        """Let a policy and an operator policy hold from now on, or none."""
        if policy == self.policy and operator == self.operator_policy:
            return
        self.policy, self.operator_policy = policy, operator
        definition = merged(policy, operator, self._semantics)
        self.options = effective(self.declared, definition, self._semantics)
        self._drop_overflow()
        self._schedule.cancel(self._use_check)
        self.touch()
        self._watch_use()

    @property
    def count(self) -> int:
        """How many messages are ready."""
        return len(self.ready)

    # Messages in

    def accept(self, message: Message) -> bool:
        """Take a message; return False when the queue is full and refuses it."""
        options = self.options
        if options.reject_overflow and self._would_overflow(message):
            if options.dead_letter_overflow:
                self._host.dead_letter(self, message, "maxlen")
            return False
        self._position += 1
        entry = Entry(message, self._position, None)
        self._host.account(message.size)
        if message.expiration is not None or options.message_ttl is not None:
            # Also of what is delivered at once: it may come back when its time is over.
            self._set_deadline(entry)
        if not self.ready and (consumer := self.consumers.next_free()) is not None:
            self._deliver(consumer, entry)
            return True
        self.ready.append(entry)
        self.ready_bytes += len(message.body)
        self.run()
        self._drop_overflow()
        if entry.deadline is not None:
            self._watch_deadlines()
        return True

    def put_back(
        self, entries: list[Entry], *, counted: bool = True, requeued: bool = False
    ) -> None:
        """Take entries back that were delivered, in the order in which they were.

        Args:
            entries: the entries.
            counted: it counts against a delivery limit.
            requeued: a client has said so; it has not just gone.
        """
        options = self.options
        unlimited = options.quorum and options.delivery_limit is None
        to_end = requeued and unlimited and self._semantics.unlimited_requeue_to_end
        self.unacked -= len(entries)
        for entry in entries:
            entry.redelivered = True
            entry.acquired += 1
            if counted:
                entry.returns += 1
            if self.deleted:
                self._host.account(-entry.message.size)
                continue
            if counted and self._over_delivery_limit(entry):
                self._bury(entry, "delivery_limit")
                continue
            if to_end:
                self._position += 1
                entry.position = self._position
                self.ready.append(entry)
            else:
                if options.quorum:
                    self._return_position += 1
                    entry.position = self._return_position
                self.ready.put_back(entry)
            self.ready_bytes += len(entry.message.body)
        if self.deleted:
            return
        self._drop_overflow()
        self.run()
        if self._has_deadlines:
            self._watch_deadlines()

    # Messages out

    def run(self) -> None:
        """Deliver as much as the consumers can take."""
        while self.ready:
            if self._has_deadlines and self._drop_expired():
                continue
            consumer = self.consumers.next_free()
            if consumer is None:
                return
            self._deliver(consumer, self._take())

    def get(self, *, no_ack: bool) -> Entry | None:
        """Take the next message for a client that asks, or return None when there is none."""
        self.touch()
        while self._has_deadlines and self._drop_expired():
            pass
        if not self.ready:
            return None
        entry = self._take()
        self._out(entry, no_ack=no_ack)
        return entry

    def settled(self, entry: Entry) -> None:
        """An entry was acknowledged."""
        self.unacked -= 1
        self._host.account(-entry.message.size)

    def rejected(self, entries: list[Entry]) -> None:
        """Entries were rejected, not to come back."""
        self.unacked -= len(entries)
        for entry in entries:
            if self.deleted:
                self._host.account(-entry.message.size)
            else:
                self._bury(entry, "rejected")

    def purge(self) -> int:
        """Drop every message that is ready, and return their number."""
        count = len(self.ready)
        while self.ready:
            self._host.account(-self._take().message.size)
        return count

    # Consumers

    def add_consumer(self, consumer: Recipient) -> None:
        """Add a consumer, and do not deliver to it yet: `run` does."""
        self.consumers.add(consumer)
        self.touch()

    def remove_consumer(self, consumer: Recipient) -> None:
        """Remove a consumer, and the queue itself with its last one if it is declared so."""
        self.consumers.remove(consumer)
        self.touch()
        if self.auto_delete and not self.consumers:
            self._host.delete_queue(self)
        elif self.options.single_active_consumer:
            self.run()

    def close(self) -> None:
        """It is deleted: nothing is to be done later."""
        self.deleted = True
        self._schedule.cancel(self._deadline_check)
        self._schedule.cancel(self._use_check)

    def touch(self) -> None:
        """Note a use, which an unused queue's expiry is counted from."""
        self._last_used = self._schedule.now()

    def counts(self, entry: Entry) -> dict[str, FieldValue]:
        """Return the headers by which a quorum queue tells how often an entry came back."""
        semantics = self._semantics
        if not entry.acquired and not semantics.counts_from_zero:
            return {}
        counts: dict[str, FieldValue] = {}
        if entry.returns or semantics.counts_from_zero:
            counts["x-delivery-count"] = Long(entry.returns)
        if semantics.counts_acquisitions:
            counts["x-acquired-count"] = Long(entry.acquired)
        return counts

    # Within

    def _take(self) -> Entry:
        entry = self.ready.take()
        self.ready_bytes -= len(entry.message.body)
        if self._has_deadlines:
            self._watch_deadlines()
        return entry

    def _deliver(self, consumer: Recipient, entry: Entry) -> None:
        self._out(entry, no_ack=consumer.no_ack)
        consumer.deliver(entry)

    def _out(self, entry: Entry, *, no_ack: bool) -> None:
        if no_ack:
            self._host.account(-entry.message.size)
        else:
            self.unacked += 1

    def _would_overflow(self, message: Message) -> bool:
        options = self.options
        if options.max_length is not None and len(self.ready) + 1 > options.max_length:
            return True
        return (
            options.max_bytes is not None
            and self.ready_bytes + len(message.body) > options.max_bytes
        )

    def _drop_overflow(self) -> None:
        options = self.options
        if options.reject_overflow or (options.max_length is None and options.max_bytes is None):
            return
        while self.ready and (
            (options.max_length is not None and len(self.ready) > options.max_length)
            or (options.max_bytes is not None and self.ready_bytes > options.max_bytes)
        ):
            self._bury(self._take(), "maxlen")

    def _over_delivery_limit(self, entry: Entry) -> bool:
        limit = self.options.delivery_limit
        return limit is not None and entry.returns > limit

    def _bury(self, entry: Entry, reason: str) -> None:
        self._host.account(-entry.message.size)
        self._host.dead_letter(self, entry.message, reason)

    def _set_deadline(self, entry: Entry) -> None:
        lives = [entry.message.expiration, self.options.message_ttl]
        entry.deadline = self._schedule.now() + min(life for life in lives if life is not None)
        self._has_deadlines = True

    def _drop_expired(self) -> bool:
        """Drop a message that is first of its priority and has expired; tell whether one was."""
        now = self._schedule.now()
        for entry in self.ready.firsts():
            if entry.deadline is not None and entry.deadline <= now:
                self.ready.take_first(entry)
                self.ready_bytes -= len(entry.message.body)
                self._bury(entry, "expired")
                self._watch_deadlines()
                return True
        return False

    def _watch_deadlines(self) -> None:
        """See to it that expired messages are looked for in time.

        As in RabbitMQ, a message goes when it is first: one that expires behind another one waits.
        """
        deadlines = [entry.deadline for entry in self.ready.firsts() if entry.deadline is not None]
        if not deadlines:
            return
        due = min(deadlines)
        if self._next_check is None or due < self._next_check:
            self._next_check = due
            self._schedule.cancel(self._deadline_check)
            self._deadline_check = self._schedule.call_at(due, self._check_deadlines)

    def _check_deadlines(self) -> None:
        self._next_check = None
        while self._drop_expired():
            pass
        self._watch_deadlines()

    def _watch_use(self) -> None:
        """Delete the queue when it was unused for as long as it is declared to live then."""
        expires = self.options.expires
        if expires is None:
            return
        now = self._schedule.now()
        if self.consumers:
            self._last_used = now
        due = self._last_used + expires
        if due <= now:
            self._host.delete_queue(self)
        else:
            self._use_check = self._schedule.call_at(due, self._watch_use)


def _ready_messages(options: QueueOptions, semantics: Semantics) -> ReadyMessages:
    if options.max_priority:
        highest = options.max_priority
        return ReadyMessages(lambda message: min(message.priority or 0, highest))
    if not options.quorum or semantics.quorum_priorities is Priorities.NONE:
        return ReadyMessages()
    if semantics.quorum_priorities is Priorities.TWO_TO_ONE:
        return ReadyMessages(_is_high, weight=2, returns_first=True)
    return ReadyMessages(_strict_priority, returns_first=True)


def _is_high(message: Message) -> int:
    priority = message.priority
    return 1 if priority is not None and priority > _USUAL else 0


def _strict_priority(message: Message) -> int:
    priority = message.priority
    return _USUAL if priority is None else min(priority, _HIGHEST)
