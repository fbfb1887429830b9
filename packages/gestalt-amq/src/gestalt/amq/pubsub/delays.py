"""Delays, without I/O: a ladder of queues, and the way of a message down it.

Each level of the ladder is a queue that holds every message for the same time, 10 ms, 20 ms, and so
on, so that messages leave it in the order in which they came. A delay is a sum of such times: a
message waits in one level after the other, the longest first, and the broker itself moves it on.
Where it waits is told by its headers, so that its routing key stays what it was published with.

NServiceBus has such a ladder since its version 4 for RabbitMQ, by bits of the routing key.
"""

import datetime
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from gestalt.amq.errors import Unsendable, UnsendableType
from gestalt.amq.headers import EXCHANGE_HEADER
from gestalt.amq.plan import Plan, PlannedBinding, PlannedQueue
from gestalt.amq.topology import Exchange, parking_arguments
from gestalt.amq.wire import shown

LONGEST = datetime.timedelta(days=366).total_seconds()
"""The longest delay, in seconds."""
STEP = 0.01
"""Delays below a minute are multiples of it, in seconds."""
WHOLE_SECONDS = 60.0
"""Delays from here on are whole seconds."""

TimeLeft: TypeAlias = Callable[[], float]
"""Tells in how many seconds a message is due, from now."""

PREFIX = "gestalt.delay."
# Not "x-...": exchanges of headers do not compare those.
HEADER_PREFIX = "gestalt-delay-"
DESTINATION_HEADER = f"{HEADER_PREFIX}to"

# A name of AMQP's has at most 255 bytes; longer ones stand for themselves by a digest.
_LONGEST_NAME = 200
# RabbitMQ 3.10 takes a message for one that goes round in circles by what these say.
_TRAVEL = ("x-death", "x-first-death-", "x-last-death-")


class Level(NamedTuple):
    """A queue of the ladder.

    Args:
        number: its place, 0 for the lowest.
        milliseconds: how long messages wait in it.
    """

    number: int
    milliseconds: int

    @property
    def name(self) -> str:
        """The name of its queue, and of the exchange that leads to it."""
        return f"{PREFIX}{self.number:02}"

    @property
    def header(self) -> str:
        """The header of messages that are to wait here."""
        return f"{HEADER_PREFIX}{self.number:02}"


def _waits() -> list[int]:
    fractions = [10 * 2**bit for bit in range(7)]
    # 2**22 seconds, 48 days, are the longest power of two for which the broker's timers can be set.
    seconds = [1000 * 2**bit for bit in range(22)]
    return [*fractions, *seconds, *[1000 * 2**22] * 7]


LEVELS = tuple(Level(number, wait) for number, wait in enumerate(_waits()))
"""All levels, the lowest first."""

DUE = f"{PREFIX}due"
"""The exchange of messages that have waited."""
OUT = f"{PREFIX}out"
"""The exchange by which they leave for the exchange that they were published to."""
UNROUTABLE = f"{PREFIX}unroutable"
"""The exchange, and the queue, of messages whose exchange does not exist any more."""
SINK = f"{PREFIX}sink"
"""The queue where a message goes besides, so that one that no queue wants holds up no other."""


class Destination(NamedTuple):
    """Where delayed messages go when they are due.

    Each has a queue of its own for that, so that what one cannot take holds up no other.

    Args:
        exchange: the exchange that they are published to.
        queue: with the default exchange, the queue; None with all others.
    """

    exchange: Exchange
    queue: str | None = None

    @property
    def name(self) -> str:
        """How messages name it."""
        kind, name = (
            ("exchange", self.exchange.name) if self.queue is None else ("queue", self.queue)
        )
        if len(name.encode()) > _LONGEST_NAME:
            name = f"sha256-{hashlib.sha256(name.encode()).hexdigest()}"
        return f"{kind}.{name}"

    @property
    def plan(self) -> Plan:
        """What is declared for it, besides the ladder."""
        name = f"{PREFIX}{self.name}"
        due = _binding(DUE, name, {DESTINATION_HEADER: self.name})
        if self.queue is not None:
            # The default exchange cannot be bound; a queue that is missing is waited for.
            return Plan(queues=(_passing(name, 0, ""),), bindings=(due,))
        return Plan(
            (
                self.exchange,
                Exchange(name, "fanout", arguments={"alternate-exchange": UNROUTABLE}),
            ),
            (_passing(name, 0, OUT),),
            (
                PlannedBinding(name, self.exchange.name, to_exchange=True),
                _binding(OUT, name, {DESTINATION_HEADER: self.name}, to_exchange=True),
                due,
            ),
        )


def ladder() -> Plan:
    """What all delayed messages need, whatever their delays and their destinations are."""
    exchanges = [
        Exchange(UNROUTABLE, "fanout"),
        Exchange(DUE, "headers", arguments={"alternate-exchange": UNROUTABLE}),
        Exchange(OUT, "headers"),
    ]
    queues = [
        PlannedQueue(UNROUTABLE, parking_arguments()),
        PlannedQueue(SINK, {"x-queue-type": "quorum", "x-message-ttl": 0}),
    ]
    bindings = [PlannedBinding(UNROUTABLE, UNROUTABLE), _binding(OUT, SINK, {})]
    for level in LEVELS:
        below = _below(level)
        exchanges.append(Exchange(level.name, "headers", arguments={"alternate-exchange": below}))
        queues.append(_passing(level.name, level.milliseconds, below))
        bindings.append(_binding(level.name, level.name, {level.header: True}))
    return Plan(
        tuple(exchanges),
        tuple(queues),
        tuple(bindings),
        publishes=(DUE, *(level.name for level in LEVELS)),
    )


def path(seconds: float) -> tuple[Level, ...]:
    """The levels in which a message waits, one after the other, the highest first.

    Args:
        seconds: how long it is to wait; it waits no less.
    """
    if seconds < WHOLE_SECONDS:
        # Rounded first: 0.07 is a little more in binary than seven steps.
        left = math.ceil(round(seconds / STEP, 3)) * 10
    else:
        left = math.ceil(round(seconds, 3)) * 1000
    levels = []
    for level in reversed(LEVELS):
        if level.milliseconds <= left:
            levels.append(level)
            left -= level.milliseconds
    return tuple(levels)


def entry(levels: tuple[Level, ...]) -> str:
    """The exchange by which a message comes to the first of its levels."""
    return levels[0].name if levels else DUE


def travel_headers(
    headers: Mapping[str, Any], levels: tuple[Level, ...], destination: Destination
) -> dict[str, Any]:
    """The headers of a delayed message: its own, and those that lead it down the ladder.

    Those of an earlier journey are left out.

    Raises:
        Unsendable: it has a BCC, which the broker takes away at its first step.
    """
    if "BCC" in headers:
        raise Unsendable("a delayed message has no BCC: the broker forgets it while it waits")
    own = {
        name: value
        for name, value in headers.items()
        if not name.startswith((HEADER_PREFIX, *_TRAVEL))
    }
    for level in levels:
        own[level.header] = True
    own[DESTINATION_HEADER] = destination.name
    own[EXCHANGE_HEADER] = destination.exchange.name
    return own


def former_journey(headers: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The headers that have led a message down the ladder before."""
    return tuple(name for name in headers or () if name.startswith(HEADER_PREFIX))


def time_left(delay: object, at: object) -> TimeLeft:
    """Check when a message is to be delivered, and return what tells how long that is from now.

    Args:
        delay: in how many seconds, a number or a timedelta; None where `at` is given.
        at: at what time, a datetime with a time zone.

    Raises:
        UnsendableType: one is of a wrong type, or the time has no time zone.
        Unsendable: both are given; or it is negative, or more than `LONGEST` from now.
    """
    if delay is not None and at is not None:
        raise Unsendable(f"give delay or at, not both: got {shown(delay)} and {shown(at)}")
    if at is not None:
        # A tzinfo may know no offset.
        if not isinstance(at, datetime.datetime) or at.utcoffset() is None:
            raise UnsendableType(f"at is a datetime with a time zone, got {shown(at)}")
        due = at.timestamp()
        _check_length("at", due - time.time(), at)
        return lambda: due - time.time()
    seconds = delay.total_seconds() if isinstance(delay, datetime.timedelta) else delay
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise UnsendableType(
            f"delay is a number of seconds, or a datetime.timedelta, got {shown(delay)}"
        )
    if not seconds >= 0:
        raise Unsendable(f"delay is at least 0 seconds, got {shown(delay)}")
    _check_length("delay", seconds, delay)
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


def _check_length(name: str, seconds: float, value: object) -> None:
    if not seconds <= LONGEST:
        raise Unsendable(f"{name} is at most {LONGEST / 86400:g} days from now, got {shown(value)}")


def _below(level: Level) -> str:
    return LEVELS[level.number - 1].name if level.number else DUE


def _binding(
    source: str, destination: str, headers: Mapping[str, Any], *, to_exchange: bool = False
) -> PlannedBinding:
    """A binding of those messages that have certain headers."""
    arguments = {"x-match": "all", **headers}
    return PlannedBinding(source, destination, "", arguments, to_exchange=to_exchange)


def _passing(name: str, milliseconds: int, exchange: str) -> PlannedQueue:
    """A queue that holds messages for a time, then gives them to an exchange, losing none."""
    return PlannedQueue(
        name,
        {
            "x-queue-type": "quorum",
            "x-message-ttl": milliseconds,
            "x-dead-letter-exchange": exchange,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
