"""Where a timer gets its time from: the event loop, or a clock that a test turns by hand."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Protocol

from .numbers import check_seconds


class Cancellable(Protocol):
    """A scheduled call that can be called off, such as asyncio.TimerHandle."""

    def cancel(self) -> None:
        """Call it off. Once it was called, or called off, this does nothing."""


class Clock(Protocol):
    """What a timer needs of an event loop; every asyncio loop is one."""

    def time(self) -> float:
        """The time in seconds; it never goes back."""

    def call_at(self, when: float, callback: Callable[[], object], /) -> Cancellable:
        """Call `callback` as soon as `time()` has reached `when`."""


class ManualClock:
    """A clock for tests: it stands still until it is advanced.

    Args:
        start: the time to begin with, in seconds.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._order = count()
        self._calls: list[tuple[float, int, _Call]] = []

    def time(self) -> float:
        """The time in seconds."""
        return self._now

    def call_at(self, when: float, callback: Callable[[], object], /) -> Cancellable:
        """Call `callback` when the clock is advanced to `when` or beyond."""
        call = _Call(callback)
        heapq.heappush(self._calls, (when, next(self._order), call))
        return call

    def advance(self, seconds: float) -> None:
        """Go forward, making each call that comes due on the way, in order, at its time.

        Args:
            seconds: how far.

        Raises:
            ValueError: it is negative, infinite or not a number.
            TypeError: it is neither an int nor a float.
        """
        end = self._now + check_seconds("seconds", seconds, finite=True)
        while self._calls and self._calls[0][0] <= end:
            when, _, call = heapq.heappop(self._calls)
            self._now = max(self._now, when)
            call.run()
        # A callback may itself have advanced the clock.
        self._now = max(self._now, end)


class _Call:
    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self._callback = None

    def run(self) -> None:
        if self._callback is not None:
            self._callback()
