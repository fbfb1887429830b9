"""What a client holds and has not acknowledged."""

from typing import NamedTuple, Protocol

from gestalt.amq.wire import Properties, content_header

from .consumer import Consumer
from .message import Entry, Message, with_counts
from .queue import Queue


class Source(Protocol):
    """What a delivery asks of the queue that it came from."""

    def settled(self, entry: Entry) -> None: ...
    def rejected(self, entries: list[Entry]) -> None: ...
    def put_back(
        self, entries: list[Entry], *, counted: bool = True, requeued: bool = False
    ) -> None: ...


class Delivery(NamedTuple):
    """What a client holds and has not acknowledged; no consumer when it came by basic.get."""

    queue: Source
    entry: Entry
    consumer: Consumer | None


# Whatever comes of a delivery from a stream, its message stays there.
OF_A_STREAM = Entry(Message("", ("",), content_header(Properties(), 0), b"", Properties()), 0, None)


def by_queue(deliveries: list[Delivery]) -> dict[Source, list[Entry]]:
    """Return the entries of each queue, in their order."""
    entries: dict[Source, list[Entry]] = {}
    for delivery in deliveries:
        entries.setdefault(delivery.queue, []).append(delivery.entry)
    return entries


def header_for(queue: Queue, entry: Entry) -> bytes:
    """Return the header of a delivery; quorum queues tell how often the message came back."""
    if queue.options.quorum and (counts := queue.counts(entry)):
        return with_counts(entry.message, counts)
    return entry.message.header
