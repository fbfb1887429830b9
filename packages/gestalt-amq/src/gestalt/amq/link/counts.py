"""What became of messages that were sent and await an answer."""

import asyncio
from time import monotonic
from typing import Any

from gestalt.core.metrics import Histogram


class SendCounts:
    """Counts what was sent to one exchange or service, by all that send to it.

    Attributes:
        sent: how many were sent.
        answered: how many were answered as they are to be.
        errors: how many were not, by the name of the error; "cancelled" where nobody waited.
        latency: from sending to the answer: of one at a time, since looking at the clock twice for
            each of thousands in flight would cost more than the rest of the counting.
    """

    __slots__ = ("_sample", "_since", "answered", "errors", "latency", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self.answered = 0
        self.errors: dict[str, int] = {}
        self.latency = Histogram()
        self._sample: asyncio.Future[Any] | None = None
        self._since = 0.0

    @property
    def pending(self) -> int:
        """How many await their answers."""
        return self.sent - self.answered - sum(self.errors.values())

    def begin(self, pending: asyncio.Future[Any]) -> None:
        """One was sent."""
        self.sent += 1
        if self._sample is None:
            self._sample = pending
            self._since = monotonic()

    def end(self, pending: asyncio.Future[Any]) -> None:
        """One is answered, or given up."""
        if pending is self._sample:
            self._sample = None
            self.latency.record(monotonic() - self._since)
        if pending.cancelled():
            self._failed("cancelled", 1)
        elif (error := pending.exception()) is not None:
            self._failed(type(error).__name__, 1)
        else:
            self.answered += 1

    def renew(self) -> None:
        """Begin anew: what is pending is of an earlier start, and gets no answer."""
        self._sample = None
        if self.pending:  # pragma: no cover - a stop ends all of them first
            self._failed("LinkLost", self.pending)

    def _failed(self, name: str, count: int) -> None:
        self.errors[name] = self.errors.get(name, 0) + count
