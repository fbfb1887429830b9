"""What a responder tells of itself."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from gestalt.codecs import Codec, MessageTypes
from gestalt.core import vocabulary as words
from gestalt.core.metrics import Histogram, Metric


@dataclass(slots=True)
class ResponderStats:
    """What became of a responder's requests.

    Attributes:
        replied: their handler returned, or its stream came to its end.
        failed: their handler raised.
        declined: it raised an error that belongs to the service, or a `Discard`.
        refused: they could not be decoded, or had no handler.
        expired: their deadline passed before their handler was called, or before it was done.
        cancelled: their caller gave up.
        abandoned: another responder had them before and did not finish; or this one was stopped.
    """

    replied: int = 0
    failed: int = 0
    refused: int = 0
    expired: int = 0
    cancelled: int = 0
    abandoned: int = 0
    declined: int = 0


_REASONS = {name: {"reason": name} for name in ("refused", "expired", "cancelled", "abandoned")}


def responder_metrics(
    stats: ResponderStats, received: int, waiting: int, running: int, durations: Histogram
) -> Iterator[Metric]:
    """What became of a responder's requests, in the words of all components.

    Args:
        stats: the counters.
        received: how many came.
        waiting: how many are not begun.
        running: how many are worked on.
        durations: how long asynchronous handlers took.
    """
    yield words.RECEIVED("responder", received)
    yield words.HANDLED("responder", stats.replied)
    yield words.FAILED("responder", stats.failed)
    yield words.DISCARDED("responder", stats.declined)
    for name, labels in _REASONS.items():
        yield words.DROPPED("responder", getattr(stats, name), labels)
    yield words.BACKLOG("responder", waiting)
    yield words.IN_FLIGHT("responder", running)
    yield words.DURATION("responder", durations)


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """One instance of a service.

    Args:
        service: the name of the service.
        instance: tells this responder from all others.
        version: of the service, as its author counts.
        description: what it is for.
        handlers: what it handles: message types, or the name of its handler.
        started: when it started, in seconds since the epoch.
        running: how many requests it works on now.
        stats: what became of its requests.
    """

    service: str
    instance: str
    version: str
    description: str
    handlers: list[str]
    started: float
    running: int
    stats: ResponderStats = field(default_factory=ResponderStats)


@cache
def info_codec() -> Codec:
    """Everybody's info has this form, whatever codec their requests take."""
    types = MessageTypes()
    types.add(1, ServiceInfo)
    return Codec("json", types=types, max_size=64 * 1024)
