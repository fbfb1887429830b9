"""Calls on a schedule: once, a number of times, or for ever."""

import math
import random
from collections.abc import Callable, Iterable
from datetime import tzinfo
from typing import Any, Self, Unpack

from .calls import OnError, Overlap, ScheduledCalls, TimerOptions
from .clock import Clock
from .cron import CronOptions, CronTimer
from .details import TimerRow, details
from .numbers import check_number, check_seconds

# Far below what an event loop can serve; the arithmetic of ticks holds down to here.
MIN_INTERVAL = 1e-6


class RepeatOptions(TimerOptions, total=False):
    """What a timer that repeats may be given besides."""

    times: int | None
    delay: float | None
    overlap: Overlap


class Timer(ScheduledCalls, at_once=True):
    """Calls a function at a fixed rate: `Timer.after(...)` once, `Timer.every(...)` repeatedly.

    `Timer.cron(...)` makes one that calls it by the calendar.

        async with Timer.every(1.0, sample, times=10) as timer:
            await timer.wait()

    Tick n is due at `start + delay + n * interval`, by absolute time, so that ticks never drift.
    Stopping waits for a running call, up to `stop_timeout`, then cancels it; the function itself
    may stop its timer.

    Args:
        interval: time between ticks, in seconds.
        func: a plain or an async function without arguments; functools.partial gives it some.
        times: how many calls to make, for ever by default. A tick that is skipped is no call.
        delay: time until the first tick, in seconds, one interval by default; 0 means at once.
        jitter: each call is made up to this many seconds after its tick, at random.
        overlap: what happens to a tick that comes due while the last call still runs: "skip" it,
            "queue" it until the call has ended, or "cancel" the call. A plain function cannot be
            cancelled: its ticks are skipped.
        on_error: what an exception of `func` does: "stop" fails the timer with it; "continue" logs
            and counts it, and goes on; a function is called with it, and the timer goes on. What
            that function raises is logged and counted.
        clock: where the time comes from, the running event loop by default.
        name: how the timer is called in messages; the name of `func` by default.
        stop_timeout: how long stopping waits for a running call, in seconds.

    Raises:
        ValueError: a number or a policy is out of its range; an interval is at least a microsecond.
        TypeError: `func` or `on_error` cannot be called as said above, or a time is neither an int
            nor a float.
    """

    def __init__(
        self,
        interval: float,
        func: Callable[[], Any],
        *,
        times: int | None = None,
        delay: float | None = None,
        jitter: float = 0.0,
        overlap: Overlap = "skip",
        on_error: OnError = "stop",
        clock: Clock | None = None,
        name: str | None = None,
        stop_timeout: float = 10.0,
    ) -> None:
        interval = check_number("interval", interval, unit="seconds")
        if not 0 < interval < math.inf:
            raise ValueError(f"interval must be positive and finite, got {interval:g}")
        if interval < MIN_INTERVAL:
            raise ValueError(f"interval must be at least {MIN_INTERVAL} s, got {interval:g}")
        delay = interval if delay is None else check_seconds("delay", delay, finite=True)
        super().__init__(
            func,
            times=times,
            jitter=jitter,
            overlap=overlap,
            on_error=on_error,
            clock=clock,
            name=name,
            stop_timeout=stop_timeout,
        )
        self._interval = interval
        self._delay = delay
        # Set by each start: tick n is due at _origin + n * _interval.
        self._origin: float
        self._next_tick: int
        self._scheduled_for: float
        self._paused_at: float | None = None

    @classmethod
    def after(cls, delay: float, func: Callable[[], Any], **options: Unpack[TimerOptions]) -> Self:
        """A timer that calls `func` once, `delay` seconds after its start (0 means at once)."""
        # None stands for one interval elsewhere, and a single shot has none.
        return cls(1.0, func, times=1, delay=check_seconds("delay", delay), **options)

    @classmethod
    def every(
        cls, interval: float, func: Callable[[], Any], **options: Unpack[RepeatOptions]
    ) -> Self:
        """A timer that calls `func` every `interval` seconds, `times` times or for ever."""
        return cls(interval, func, **options)

    @staticmethod
    def cron(
        expression: str,
        func: Callable[[], Any],
        *,
        zone: str | tzinfo = "UTC",
        **options: Unpack[CronOptions],
    ) -> CronTimer:
        """A timer that calls `func` by the calendar, as a crontab does: see CronTimer."""
        return CronTimer(expression, func, zone=zone, **options)

    def pause(self) -> None:
        """Hold the schedule: no tick comes due until `resume`. A running call goes on.

        Raises:
            StateError: the timer is not running.
            WrongThread: it runs in another thread.
        """
        self._check_running("paused")
        if self._paused_at is None:
            self._paused_at = self._clock.time()
            self._unschedule()

    def resume(self) -> None:
        """Go on with the schedule from where it was held, shifted by the length of the pause.

        Raises:
            StateError: the timer is not running.
            WrongThread: it runs in another thread.
        """
        self._check_running("resumed")
        if self._paused_at is not None:
            self._origin += self._clock.time() - self._paused_at
            self._paused_at = None
            self._schedule()

    def reset(self) -> None:
        """Start the interval anew: the next tick is due one whole interval from now.

        For `Timer.after` that is its delay. Calls made stay counted.

        Raises:
            StateError: the timer is not running.
            WrongThread: it runs in another thread.
        """
        self._check_running("reset")
        now = self._clock.time()
        self._origin = now + (self._delay if self._times == 1 else self._interval)
        self._next_tick = 0
        if self._paused_at is not None:
            self._paused_at = now
        else:
            self._unschedule()
            self._schedule()

    @details
    def _timer_row(self) -> Iterable[TimerRow]:
        once = self._times == 1
        yield TimerRow(
            self.name,
            schedule=f"after {self._delay:g} s" if once else f"every {self._interval:g} s",
            due=None if self._scheduled is None else self._scheduled_for - self._clock.time(),
            active=self._running is not None,
            note="paused" if self._paused_at is not None else "",
        )

    async def _open(self) -> None:
        await super()._open()
        self._origin = self._clock.time() + self._delay
        self._next_tick = 0
        self._paused_at = None
        self._schedule()

    def _schedule(self) -> None:
        """Schedule the next tick, if there is a call left to make and the timer is not paused."""
        if self._paused_at is not None or self._calls_left() == 0:
            return
        self._scheduled_for = self._origin + self._next_tick * self._interval
        if self._jitter:
            self._scheduled_for += random.random() * self._jitter
        self._scheduled = self._clock.call_at(self._scheduled_for, self._tick)

    def _tick(self) -> None:
        self._scheduled = None
        self._next_tick += 1
        self._serve(self._clock.time() - self._scheduled_for)

    def _skip_overdue(self) -> None:
        overdue = self._clock.time() - self._origin - self._next_tick * self._interval
        if overdue >= 0 and self._calls_left():
            skipped = int(overdue / self._interval) + 1
            self._next_tick += skipped
            self.stats.missed += skipped
