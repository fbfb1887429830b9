"""Calls on a schedule: once, a number of times, or for ever."""

import asyncio
import inspect
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias, TypedDict, Unpack

from .calling import RAISED, call_plain, is_awaitable, is_own_cancellation
from .clock import Cancellable, Clock
from .component import Component
from .errors import StateError
from .life import State
from .numbers import check_number, check_seconds, kind_of

# Far below what an event loop can serve; the arithmetic of ticks holds down to here.
MIN_INTERVAL = 1e-6

Overlap: TypeAlias = Literal["skip", "queue", "cancel"]
OnError: TypeAlias = Literal["stop", "continue"] | Callable[[BaseException], None]


class TimerOptions(TypedDict, total=False):
    """What any timer may be given by name; Timer says what each means."""

    jitter: float
    on_error: OnError
    clock: Clock | None
    name: str | None
    stop_timeout: float


class RepeatOptions(TimerOptions, total=False):
    """What a timer that repeats may be given besides."""

    times: int | None
    delay: float | None
    overlap: Overlap


@dataclass(slots=True)
class TimerStats:
    """What a timer has done since it was started.

    Attributes:
        fired: calls made.
        missed: ticks that came due and were skipped, since a call was running or the loop was busy.
        overlapped: ticks that came due while an async call was running, whatever became of them.
        lateness: how long after it came due the event loop served the last tick, in seconds.
        max_lateness: the greatest lateness of all ticks, in seconds.
    """

    fired: int = 0
    missed: int = 0
    overlapped: int = 0
    lateness: float = 0.0
    max_lateness: float = 0.0


class Timer(Component, at_once=True):
    """Calls a function at a fixed rate: `Timer.after(...)` once, `Timer.every(...)` repeatedly.

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
        if not callable(func):
            raise TypeError(f"func must be a function without arguments, got {kind_of(func)}")
        if on_error not in ("stop", "continue") and (not callable(on_error) or _is_async(on_error)):
            raise TypeError(
                f'on_error is "stop", "continue" or a plain function, got {_choice(on_error)}'
            )
        if overlap not in ("skip", "queue", "cancel"):
            raise ValueError(f'overlap must be "skip", "queue" or "cancel", got {_choice(overlap)}')
        interval = check_number("interval", interval, unit="seconds")
        if not 0 < interval < math.inf:
            raise ValueError(f"interval must be positive and finite, got {interval:g}")
        if interval < MIN_INTERVAL:
            raise ValueError(f"interval must be at least {MIN_INTERVAL} s, got {interval:g}")
        if times is not None and (isinstance(times, bool) or not isinstance(times, int)):
            raise TypeError(f"times must be an int, or None for ever, got {kind_of(times)}")
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, or None for ever, got {times}")
        delay = interval if delay is None else check_seconds("delay", delay, finite=True)
        jitter = check_seconds("jitter", jitter, finite=True)
        super().__init__(name=name or getattr(func, "__name__", None), stop_timeout=stop_timeout)
        self.stats = TimerStats()
        self._interval = interval
        self._func = func
        self._times = times
        self._delay = delay
        self._jitter = jitter
        self._overlap = overlap
        self._on_error = on_error
        self._injected_clock = clock
        self._clock: Clock
        # Tick n is due at _origin + n * _interval.
        self._origin = 0.0
        self._next_tick = 0
        self._scheduled: Cancellable | None = None
        self._scheduled_for = 0.0
        self._paused_at: float | None = None
        # The task in which calls of an async function run, one after another, and how many wait.
        self._running: asyncio.Task[None] | None = None
        self._queued = 0

    @classmethod
    def after(cls, delay: float, func: Callable[[], Any], **options: Unpack[TimerOptions]) -> Self:
        """A timer that calls `func` once, `delay` seconds after its start (0 means at once)."""
        # None stands for one interval elsewhere, and a single shot has none.
        return cls(1.0, func, times=1, delay=check_seconds("delay", delay, finite=True), **options)

    @classmethod
    def every(
        cls, interval: float, func: Callable[[], Any], **options: Unpack[RepeatOptions]
    ) -> Self:
        """A timer that calls `func` every `interval` seconds, `times` times or for ever."""
        return cls(interval, func, **options)

    async def wait(self) -> None:
        """Wait until the timer has made all its calls, or was stopped.

        Raises:
            StateError: it was never started.
            Exception: what `func` raised, when that stopped the timer.
        """
        await self.wait_stopped()

    def pause(self) -> None:
        """Hold the schedule: no tick comes due until `resume`. A running call goes on.

        Raises:
            StateError: the timer is not running.
        """
        self._check_running("paused")
        if self._paused_at is None:
            self._paused_at = self._clock.time()
            self._unschedule()

    def resume(self) -> None:
        """Go on with the schedule from where it was held, shifted by the length of the pause.

        Raises:
            StateError: the timer is not running.
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

    def _check_running(self, what: str) -> None:
        if self.state is not State.RUNNING:
            raise StateError(f"{self!r} cannot be {what}: it is {self.state.value}")

    async def _open(self) -> None:
        self.stats = TimerStats()
        self._clock = self._injected_clock or asyncio.get_running_loop()
        self._origin = self._clock.time() + self._delay
        self._next_tick = 0
        self._paused_at = None
        self._queued = 0
        self._schedule()

    async def _drain(self) -> None:
        self._unschedule()
        self._queued = 0
        if self._running is not None:
            await asyncio.wait([self._running])

    async def _close(self) -> None:
        self._unschedule()
        self._running = None

    def _schedule(self) -> None:
        """Schedule the next tick, if there is a call left to make and the timer is not paused."""
        if self._paused_at is not None or self._calls_left() == 0:
            return
        self._scheduled_for = self._origin + self._next_tick * self._interval
        if self._jitter:
            self._scheduled_for += random.random() * self._jitter
        self._scheduled = self._clock.call_at(self._scheduled_for, self._tick)

    def _unschedule(self) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None

    def _calls_left(self) -> float:
        if self._times is None:
            return math.inf
        return self._times - self.stats.fired - self._queued

    def _tick(self) -> None:
        self._scheduled = None
        self._next_tick += 1
        # A loop may call up to its clock's resolution early.
        self.stats.lateness = max(0.0, self._clock.time() - self._scheduled_for)
        self.stats.max_lateness = max(self.stats.max_lateness, self.stats.lateness)
        if self._running is not None:
            self._overlapping_tick(self._running)
        else:
            self._call()
            if self._overlap != "queue":
                self._skip_overdue_ticks()
        if self.state is State.RUNNING:
            self._schedule()

    def _overlapping_tick(self, running: asyncio.Task[None]) -> None:
        self.stats.overlapped += 1
        if self._overlap == "skip" or (self._overlap == "cancel" and self._queued):
            self.stats.missed += 1
        else:
            self._queued += 1
            if self._overlap == "cancel":
                running.cancel()

    def _skip_overdue_ticks(self) -> None:
        overdue = self._clock.time() - self._origin - self._next_tick * self._interval
        if overdue >= 0 and self._calls_left():
            skipped = int(overdue / self._interval) + 1
            self._next_tick += skipped
            self.stats.missed += skipped

    def _call(self) -> None:
        self.stats.fired += 1
        try:
            result = self._func()
        except RAISED as error:
            self._call_failed(error)
        else:
            if is_awaitable(result):
                self._running = self._spawn(self._finish(result), name="call")
                self._running.add_done_callback(self._call_ended)
                return
        self._stop_after_last_call()

    async def _finish(self, call: Awaitable[Any]) -> None:
        try:
            await call
        except RAISED as error:
            if is_own_cancellation(error):
                raise
            self._call_failed(error)

    def _call_ended(self, _: asyncio.Task[None]) -> None:
        self._running = None
        if self._queued and self.state is State.RUNNING:
            self._queued -= 1
            self._call()
        else:
            self._stop_after_last_call()

    def _call_failed(self, error: BaseException) -> None:
        if self._on_error == "stop":
            self._fail(error)
        elif self._on_error == "continue":
            self._report_error(error, f"{self!r}: a call failed")
        else:
            try:
                call_plain("on_error", self._on_error, error)
            except RAISED as second:
                self._report_error(second, f"{self!r}: on_error failed for {type(error).__name__}")

    def _stop_after_last_call(self) -> None:
        if self._times is not None and self.stats.fired >= self._times:
            self.request_stop()


def _choice(value: object) -> str:
    return repr(value) if isinstance(value, str) else kind_of(value)


def _is_async(function: Callable[..., object]) -> bool:
    call = type(function).__call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
