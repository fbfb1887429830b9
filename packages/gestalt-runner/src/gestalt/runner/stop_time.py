"""How the time of a stop is divided, such that nothing in it goes without."""

from collections.abc import Callable

from .defaults import GRACE

# What closes after its drain was cut, and what comes after it, has this part of the time, up to so
# many seconds: otherwise drains that use up everything would leave them the grace alone.
CLOSING_SHARE = 0.2
CLOSING_MOST = 5.0


class StopTime:
    """One deadline for the whole stop, and a little time beyond it.

    At first there is the time to drain in. What is left then is for closing: whoever is waited for
    may use up half of what the others left of it, so that the sum is bounded.

    Args:
        clock: tells the time in seconds.
        seconds: how long the stop may take.
    """

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._drained = self._deadline = self._end = 0.0

    def begin(self) -> None:
        """The stop begins."""
        self._deadline = self._clock() + self._seconds
        self._drained = self._deadline - min(self._seconds * CLOSING_SHARE, CLOSING_MOST)
        self.begin_grace()

    def begin_grace(self) -> None:
        """Another kind of work begins, which has a time beyond the deadline of its own."""
        self._end = max(self._deadline, self._clock()) + GRACE

    def draining(self) -> float:
        """How long something may drain from now on, in seconds."""
        return max(self._drained - self._clock(), 0.0)

    def patience(self, share: float = 0.5) -> float:
        """How long to wait for the end of something, in seconds.

        Args:
            share: what part of the time for closing it may use up.
        """
        now = self._clock()
        return self.draining() + max(self._end - max(now, self._drained), 0.0) * share
