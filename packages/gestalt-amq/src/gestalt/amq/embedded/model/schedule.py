"""What the broker has to do later. The owner of the broker asks when, and calls when it is time."""

import heapq
from collections.abc import Callable
from itertools import count


class Schedule:
    """Calls by the time at which they are due.

    Args:
        clock: Returns the time in seconds; monotonic, of any origin.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.now = clock
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        # Calls that are due at once are made in the order in which they were scheduled.
        self._order = count()

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        """Schedules a call."""
        heapq.heappush(self._calls, (when, next(self._order), call))

    @property
    def next_due(self) -> float | None:
        """When the next call is due, or None when there is none."""
        return self._calls[0][0] if self._calls else None

    def run_due(self) -> None:
        """Makes every call that is due now, but none that these calls schedule for now in turn."""
        now = self.now()
        due = []
        while self._calls and self._calls[0][0] <= now:
            due.append(heapq.heappop(self._calls)[2])
        for call in due:
            call()
