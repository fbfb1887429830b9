"""Streams: they keep messages, and hand them to any number of readers, each at its own place.

https://www.rabbitmq.com/docs/streams
"""

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from gestalt.amq.wire import FieldValue

from .arguments import QueueOptions
from .exchange import Binding
from .limits import Outstanding
from .message import Entry, Message
from .policies import Policy, effective, merged
from .stream_log import DEFAULT_SEGMENT_SIZE, StreamLog
from .stream_record import Record, Recorder
from .stream_start import Start, Where
from .versions import Semantics

# What a delivery costs until it is acknowledged, roughly, in bytes.
DELIVERY_COST = 250


class Reader(Protocol):
    """What a stream asks of each of its consumers."""

    tag: str

    def can_take(self) -> bool: ...
    def block(self) -> None: ...
    def send(self, record: Record, offset: int, /) -> None: ...
    def removed(self) -> None: ...
    def cancelled(self) -> None: ...


class Surroundings(Protocol):
    """What a stream asks of the virtual host that it is in."""

    semantics: Semantics
    outstanding: Outstanding

    def time(self) -> float: ...
    def account(self, size: int) -> None: ...


class _Place:
    """How far a reader has come, and what it wants to read."""

    __slots__ = ("offset", "values")

    def __init__(self, offset: int, values: frozenset[str | None] | None) -> None:
        self.offset = offset
        self.values = values


class Readers:
    """The readers of a stream, and whose turn it is.

    Each is in one of four states: it has its turn, it is idle at the end of the stream, it begins
    behind the end, or it is blocked until it can take more.
    """

    def __init__(self) -> None:
        self._places: dict[Reader, _Place] = {}
        self._turns: dict[Reader, None] = {}
        self._idle: dict[Reader, None] = {}
        self._later: list[tuple[int, int, Reader]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Reader]:
        return iter(_by_name(self._places))

    def add(self, reader: Reader, place: _Place, end: int) -> None:
        """Add a reader to a stream with this end."""
        self._places[reader] = place
        if place.offset > end:
            heappush(self._later, (place.offset, next(self._order), reader))
        else:
            self.unblock(reader)

    def remove(self, reader: Reader) -> None:
        """Remove a reader."""
        del self._places[reader]
        self._turns.pop(reader, None)
        self._idle.pop(reader, None)
        if len(self._later) > 2 * len(self._places) + 100:
            self._later = sorted(item for item in self._later if item[2] in self._places)
        reader.removed()

    def unblock(self, reader: Reader) -> None:
        """Let a reader take its turn again."""
        self._turns[reader] = None

    def block(self, reader: Reader) -> None:
        """A reader that had its turn can take no more."""
        reader.block()

    def rest(self, reader: Reader) -> None:
        """A reader that had its turn has read everything."""
        self._idle[reader] = None

    def turns(self) -> list[tuple[Reader, _Place]]:
        """Return those whose turn it is."""
        turns, self._turns = self._turns, {}
        return self._sorted(turns)

    def wake(self, offset: int) -> list[tuple[Reader, _Place]]:
        """Return those that were idle until the stream came to an offset, the last name first."""
        while self._later and self._later[0][0] <= offset:
            reader = heappop(self._later)[2]
            if reader in self._places:
                self._idle[reader] = None
        if not self._idle:
            return []
        idle, self._idle = self._idle, {}
        return self._sorted(idle)[::-1]

    def _sorted(self, readers: dict[Reader, None]) -> list[tuple[Reader, _Place]]:
        return [(reader, self._places[reader]) for reader in _by_name(readers)]


def _by_name(readers: Iterable[Reader]) -> list[Reader]:
    """As RabbitMQ orders the readers of one channel."""
    return sorted(readers, key=lambda reader: reader.tag)


class Stream:
    """A stream.

    Args:
        host: the virtual host.
        name: the name.
        arguments: the arguments that it was declared with.
        options: what they say.

    Attributes:
        log: what it keeps.
        options: what holds, a policy and the version considered.
        unacked: how many deliveries its readers have not acknowledged.
    """

    kind = "stream"
    # A stream is always declared so.
    durable = True
    auto_delete = False
    owner = None

    def __init__(
        self,
        host: Surroundings,
        name: str,
        *,
        arguments: Mapping[str, FieldValue],
        options: QueueOptions,
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.declared = options
        self.policy: Policy | None = None
        self.operator_policy: Policy | None = None
        self.options = effective(options, {}, host.semantics)
        self.log = StreamLog()
        self.unacked = 0
        self.consumers = Readers()
        self.incoming: dict[Binding, None] = {}
        self.deleted = False
        semantics = self._semantics = host.semantics
        self._recorder = Recorder(
            containers=semantics.message_containers, filters=semantics.stream_filters
        )
        self._host = host

    def apply(self, policy: Policy | None, operator: Policy | None = None) -> None:
        """Let a policy and an operator policy hold from now on, or none."""
        if policy == self.policy and operator == self.operator_policy:
            return
        self.policy, self.operator_policy = policy, operator
        definition = merged(policy, operator, self._semantics)
        self.options = effective(self.declared, definition, self._semantics)
        self._retain()

    @property
    def count(self) -> int:
        """How many messages it keeps."""
        return len(self.log)

    # Messages in

    def accept(self, message: Message) -> bool:
        """Append a message. Raises AmqpError when a stream cannot keep it."""
        record, value = self._recorder.record(message)
        log = self.log
        before = log.cost
        limit = self.options.segment_bytes
        is_full = log.append(
            record,
            value,
            int(self._host.time() * 1000),
            limit=DEFAULT_SEGMENT_SIZE if limit is None else limit,
        )
        self._host.account(log.cost - before)
        for reader, place in self.consumers.wake(log.end - 1):
            # Of what came before, there is nothing left for them.
            if place.values is None or value in place.values:
                self._serve(reader, place)
            else:
                self.consumers.rest(reader)
        if is_full:
            self._retain()
        return True

    def put_back(
        self, entries: list[Entry], *, counted: bool = True, requeued: bool = False
    ) -> None:
        """Deliveries come back: that acknowledges them, since the log keeps every message."""
        del counted, requeued
        self._settle(len(entries))

    # Messages out

    def add_reader(
        self, reader: Reader, start: Start, values: frozenset[str | None] | None
    ) -> None:
        """Add a reader, and do not deliver to it yet: `run` does.

        Args:
            reader: the reader.
            start: where it begins.
            values: the filter values of what it wants; None for everything.
        """
        log = self.log
        match start.where:
            case Where.FIRST:
                offset = log.first
            case Where.LAST:
                offset = max(log.end - 1, log.first)
            case Where.NEXT:
                offset = log.end
            case Where.TIME:
                offset = log.at_time(start.number)
            case Where.OFFSET:  # pragma: no branch - for type checkers
                offset = start.number
        self.consumers.add(reader, _Place(offset, values), log.end)

    def remove_consumer(self, reader: Reader) -> None:
        """Remove a reader."""
        self.consumers.remove(reader)

    def run(self) -> None:
        """Deliver as much as the readers can take."""
        for reader, place in self.consumers.turns():
            self._serve(reader, place)

    def settled(self, entry: Entry) -> None:
        """A delivery was acknowledged."""
        del entry
        self._settle(1)

    def rejected(self, entries: list[Entry]) -> None:
        """Deliveries were rejected: that acknowledges them."""
        self._settle(len(entries))

    def purge(self) -> int:
        """Drop every message, and return their number."""
        number = len(self.log)
        self._host.account(-self.log.cost)
        self.log.clear()
        return number

    def close(self) -> None:
        """It is deleted."""
        self.deleted = True
        self._host.outstanding.forget(self)

    def touch(self) -> None:
        """A use counts for nothing: a stream does not expire."""

    def _serve(self, reader: Reader, place: _Place) -> None:
        log = self.log
        while (offset := log.following(place.offset, place.values)) is not None:
            if not reader.can_take():
                self.consumers.block(reader)
                return
            if not self._host.outstanding.take(self):
                self.consumers.unblock(reader)
                return
            place.offset = offset + 1
            self.unacked += 1
            self._host.account(DELIVERY_COST)
            reader.send(log[offset], offset)
        self.consumers.rest(reader)

    def _settle(self, number: int) -> None:
        self.unacked -= number
        self._host.account(-number * DELIVERY_COST)
        self._host.outstanding.release(number)

    def _retain(self) -> None:
        options = self.options
        age = options.max_age
        before = self.log.cost
        now = int(self._host.time() * 1000)
        self.log.retain(max_bytes=options.max_bytes, oldest=None if age is None else now - age)
        self._host.account(self.log.cost - before)
