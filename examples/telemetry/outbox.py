"""What the agent has sampled and the collector has not acknowledged."""

import asyncio
from collections import deque
from collections.abc import Callable

from gestalt.net import NetError

from .messages import Sample

# At 40 samples a second, a collector may be away for four minutes before samples are lost.
SIZE = 10_000


class Outbox:
    """Samples in order; each stays until it is acknowledged, and is sent again after a reconnect.

    Args:
        send: sends one sample, or raises NetError when it cannot now.

    Attributes:
        added: samples put in.
        acknowledged: samples that the collector has.
        resent: samples sent once more, since their connection was lost.
        dropped: the oldest samples, given up when the outbox was full.
        empty: set while every sample is acknowledged.
    """

    def __init__(self, send: Callable[[Sample], None]) -> None:
        self.added = self.acknowledged = self.resent = self.dropped = 0
        self.empty = asyncio.Event()
        self.empty.set()
        self._send = send
        self._samples: deque[Sample] = deque()
        # How many of them, from the left, were sent on the present connection.
        self._sent = 0

    @property
    def lost(self) -> int:
        """Samples that did not arrive, as far as is known."""
        return self.dropped + len(self._samples)

    def add(self, sample: Sample) -> None:
        if len(self._samples) == SIZE:
            self._samples.popleft()
            self._sent = max(0, self._sent - 1)
            self.dropped += 1
        self._samples.append(sample)
        self.added += 1
        self.empty.clear()

    def flush(self) -> None:
        """Send what was not sent yet, in order, as far as the connection takes it now."""
        try:
            while self._sent < len(self._samples):
                self._send(self._samples[self._sent])
                self._sent += 1
        except NetError:
            return

    def resend(self) -> None:
        """Send everything again: there is a new connection."""
        self.resent += self._sent
        self._sent = 0
        self.flush()

    def acknowledge(self, sequence: int) -> None:
        """Let go of every sample up to this one."""
        while self._samples and self._samples[0].sequence <= sequence:
            self._samples.popleft()
            self._sent = max(0, self._sent - 1)
            self.acknowledged += 1
        if not self._samples:
            self.empty.set()
