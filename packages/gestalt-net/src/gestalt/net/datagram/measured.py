"""What a datagram endpoint tells of itself: what it counts, and what it exchanges."""

from collections.abc import Iterable
from typing import Any

from gestalt.core import Component, Handler
from gestalt.core import vocabulary as words
from gestalt.core.describing import describes
from gestalt.core.metrics import Metric, measures
from gestalt.net.address import Address
from gestalt.net.wire import Wire

from .backlog import Backlog
from .reader import DatagramReader
from .stats import REASONS, DatagramStats

_REASONS = {reason: {"reason": reason} for reason in REASONS}


class MeasuredEndpoint(Component):
    """A datagram endpoint, as far as it is measured and described.

    Attributes:
        wire: how messages are put into datagrams.
        stats: its counters.
    """

    wire: Wire
    stats: DatagramStats
    _bind_to: Address | None
    _peer: Address | None
    _on_message: Handler | None
    _on_messages: Handler | None
    _backlog: Backlog | None = None
    _reader: DatagramReader | None = None
    _handled = 0

    @measures
    def _datagram_metrics(self) -> Iterable[Metric]:
        stats = self.stats
        worker = None if self._reader is None else self._reader.worker
        waiting = len(self._backlog or ()) + (0 if worker is None else worker.waiting)
        in_flight = 0 if worker is None else worker.in_flight
        left = waiting + in_flight + stats.dropped + stats.failed + stats.discarded
        # A task that has handled one message and gives way to others counts as being at it.
        self._handled = max(self._handled, stats.received - left)
        yield words.RECEIVED("datagram", stats.received)
        yield words.RECEIVED_BYTES("datagram", stats.received_bytes)
        yield words.SENT("datagram", stats.sent)
        yield words.SENT_BYTES("datagram", stats.sent_bytes)
        yield words.HANDLED("datagram", self._handled)
        yield words.FAILED("datagram", stats.failed)
        yield words.DISCARDED("datagram", stats.discarded)
        for reason, labels in _REASONS.items():
            yield words.DROPPED("datagram", getattr(stats, reason), labels)
        yield words.BACKLOG("datagram", waiting)
        yield words.IN_FLIGHT("datagram", in_flight)
        yield words.UNREACHABLE("datagram", stats.unreachable)
        yield words.UNREPORTED("datagram", stats.unreported)

    @describes
    def _datagram_messages(self) -> Iterable[Any]:
        from gestalt.net.contracts import operations_of

        place = self._bind_to or self._peer
        handler = self._on_message or self._on_messages
        places = [] if place is None else [place]
        return operations_of(self, self.wire, handler, places, protocol="udp")
