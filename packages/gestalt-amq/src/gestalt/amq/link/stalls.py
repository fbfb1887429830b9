"""Notices that the event loop did not run, which costs heartbeats and looks like a bad network."""

import asyncio
from collections import deque

# What scheduling and garbage collection take is no stall, in seconds.
TOLERANCE = 0.1


class StallDetector:
    """Remembers for how long the event loop did not run, and when.

    Args:
        interval: how often it looks, in seconds.
        window: for how long it remembers, in seconds.
    """

    def __init__(self, interval: float, window: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._interval = interval
        self._window = window
        # When each stall ended, and how long it was.
        self._stalls: deque[tuple[float, float]] = deque()
        self._due = self._loop.time() + interval
        self._timer = self._loop.call_at(self._due, self._beat)

    def stalled(self) -> float:
        """For how many seconds the loop did not run lately, also in a stall that ends just now."""
        now = self._loop.time()
        while self._stalls and self._stalls[0][0] < now - self._window:
            self._stalls.popleft()  # pragma: no cover - a stall that is long over
        late = now - self._due
        return sum(length for _, length in self._stalls) + (late if late > TOLERANCE else 0.0)

    @property
    def fresh(self) -> bool:
        """Whether a stall ends just now, so that what came meanwhile is still to be read."""
        now = self._loop.time()
        ended = self._stalls[-1][0] if self._stalls else 0.0
        return now - self._due > TOLERANCE or now - ended < TOLERANCE

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _beat(self) -> None:
        now = self._loop.time()
        late = now - self._due
        if late > TOLERANCE:
            self._stalls.append((now, late))
            self.stalled()
        self._due = now + self._interval
        self._timer = self._loop.call_at(self._due, self._beat)
