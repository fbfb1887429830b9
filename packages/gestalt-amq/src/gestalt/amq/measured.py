"""What a bus tells of those that publish and make requests on it, which are no components."""

import re
from collections.abc import Iterable, Iterator

from gestalt.core import vocabulary as words
from gestalt.core.metrics import Metric

from .link.channel_keeper import ChannelKeeper

# What has a word of its own.
UNROUTABLE = "Unroutable"
LATE = "DeadlineExceeded"

# What is told of before it has happened; anything else, from then on.
LOST = ("LinkLost", "OutcomeUnknown", "cancelled")
UNPUBLISHED = dict.fromkeys(("Rejected", "Refused", *LOST), 0)
UNCALLED = dict.fromkeys(("NoResponder", *LOST), 0)


def publisher_metrics(keepers: Iterable[ChannelKeeper]) -> Iterator[Metric]:
    """What became of messages, by their exchange."""
    for keeper in keepers:
        for exchange, counts in keeper.counts.items():
            labels = {"exchange": exchange}
            yield words.PUBLISHED("publisher", counts.sent, labels)
            yield words.CONFIRMED("publisher", counts.answered, labels)
            yield words.RETURNED("publisher", counts.errors.get(UNROUTABLE, 0), labels)
            yield from _failures("publisher", UNPUBLISHED | counts.errors, labels)
            yield words.UNCONFIRMED("publisher", counts.pending, labels)
            yield words.LATENCY("publisher", counts.latency, labels)
        yield words.BACKLOG("publisher", keeper.queued, {"channel": keeper.name})
        yield words.REPLACED("publisher", keeper.silence.watch.replaced, {"channel": keeper.name})


def requester_metrics(keeper: ChannelKeeper) -> Iterator[Metric]:
    """What became of requests, by their service."""
    for service, counts in keeper.counts.items():
        labels = {"service": service}
        yield words.CALLS("requester", counts.sent, labels)
        yield words.ANSWERED("requester", counts.answered, labels)
        yield words.TIMED_OUT("requester", counts.errors.get(LATE, 0), labels)
        yield from _failures("requester", UNCALLED | counts.errors, labels)
        yield words.IN_FLIGHT("requester", counts.pending, labels)
        yield words.LATENCY("requester", counts.latency, labels)
    yield words.BACKLOG("requester", keeper.queued)
    yield words.REPLACED("requester", keeper.silence.watch.replaced)


def _failures(subsystem: str, errors: dict[str, int], labels: dict[str, str]) -> Iterator[Metric]:
    for name, count in errors.items():
        if name not in (UNROUTABLE, LATE):
            reason = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
            yield words.FAILED(subsystem, count, {**labels, "reason": reason})
