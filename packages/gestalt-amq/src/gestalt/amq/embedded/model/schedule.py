"""What the broker has to do later. The owner of the broker asks when, and calls when it is time."""

import heapq
from collections.abc import Callable
from itertools import count


class Call:
    """A call that is to be made later.

    Attributes:
        function: what is to be called; None when it was called or cancelled.
    """

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], None]) -> None:
        self.function: Callable[[], None] | None = function


class Schedule:
    """Calls by the time at which they are due.

    Args:
        clock: returns the time in seconds; monotonic, of any origin.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.now = clock
        self._calls: list[tuple[float, int, Call]] = []
        # Calls that are due at once are made in the order in which they were scheduled.
        self._order = count()
        # How many of the calls are cancelled: at most half of them, but for a few.
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._calls)

    def call_at(self, when: float, function: Callable[[], None]) -> Call:
        """Schedule a call, and return what it is cancelled by."""
        call = Call(function)
        heapq.heappush(self._calls, (when, next(self._order), call))
        return call

    def cancel(self, call: Call | None) -> None:
        """Cancel a call, if there is one that was not made."""
        if call is None or call.function is None:
            return
        call.function = None
        self._cancelled += 1
        if 2 * self._cancelled > len(self._calls) + 100:
            self._calls = [item for item in self._calls if item[2].function is not None]
            heapq.heapify(self._calls)
            self._cancelled = 0

    @property
    def next_due(self) -> float | None:
        """When the next call is due, or None when there is none."""
        while self._calls and self._calls[0][2].function is None:
            heapq.heappop(self._calls)
            self._cancelled -= 1
        return self._calls[0][0] if self._calls else None

    def run_due(self) -> None:
        """Make every call that is due now, but none that these calls schedule for now in turn."""
        now = self.now()
        due = []
        while (when := self.next_due) is not None and when <= now:
            due.append(heapq.heappop(self._calls)[2])
        for call in due:
            function, call.function = call.function, None
            if function is not None:
                function()
