"""Calls of a function that come due: what overlaps, what raises, and how many there are."""

import asyncio
import inspect
import math
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict

from . import vocabulary as words
from .calling import ENDS, call_plain, is_awaitable, is_end, is_own_cancellation
from .clock import Cancellable, Clock
from .component import Component
from .errors import StateError
from .instruments import Histogram
from .life import State
from .metrics import Metric, measures
from .numbers import check_seconds, choice_of, kind_of
from .threads import check_thread

Overlap: TypeAlias = Literal["skip", "queue", "cancel"]
OnError: TypeAlias = Literal["stop", "continue"] | Callable[[BaseException], None]


class TimerOptions(TypedDict, total=False):
    """What any timer may be given by name; Timer says what each means."""

    jitter: float
    on_error: OnError
    clock: Clock | None
    name: str | None
    stop_timeout: float


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


class ScheduledCalls(Component, at_once=True):
    """What calls a function at its ticks; Timer says what the parameters mean.

    A subclass says when a tick is due, by `_schedule`, and calls `_serve` then.
    """

    def __init__(
        self,
        func: Callable[[], Any],
        *,
        times: int | None,
        jitter: float,
        overlap: Overlap,
        on_error: OnError,
        clock: Clock | None,
        name: str | None,
        stop_timeout: float,
    ) -> None:
        if not callable(func):
            raise TypeError(f"func must be a function without arguments, got {kind_of(func)}")
        if on_error not in ("stop", "continue") and (not callable(on_error) or _is_async(on_error)):
            raise TypeError(
                f'on_error is "stop", "continue" or a plain function, got {choice_of(on_error)}'
            )
        if overlap not in ("skip", "queue", "cancel"):
            raise ValueError(
                f'overlap must be "skip", "queue" or "cancel", got {choice_of(overlap)}'
            )
        if times is not None and (isinstance(times, bool) or not isinstance(times, int)):
            raise TypeError(f"times must be an int, or None for ever, got {kind_of(times)}")
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, or None for ever, got {times}")
        super().__init__(name=name or getattr(func, "__name__", None), stop_timeout=stop_timeout)
        self.stats: TimerStats = TimerStats()
        self._func = func
        self._times = times
        self._jitter = check_seconds("jitter", jitter, finite=True)
        self._overlap = overlap
        self._on_error = on_error
        self._injected_clock = clock
        self._clock: Clock
        self._loop: asyncio.AbstractEventLoop
        # In which each call begins: that of the start.
        self._context: Context
        self._scheduled: Cancellable | None = None
        # The task in which calls of an async function run, one after another, and how many wait.
        self._running: asyncio.Task[None] | None = None
        self._queued = 0
        # How late its ticks were served; most of many timers never have one.
        self._latenesses: Histogram | None = None

    async def wait(self) -> None:
        """Wait until the timer has made all its calls, or was stopped.

        Raises:
            StateError: it was never started.
            Exception: what `func` raised, when that stopped the timer.
        """
        await self.wait_stopped()

    @abstractmethod
    def _schedule(self) -> None:
        """Schedule the next tick, if there is a call left to make and the timer is not paused."""

    @abstractmethod
    def _skip_overdue(self) -> None:
        """Leave out ticks that came due while a plain function ran, and count them."""

    def _check_running(self, what: str) -> None:
        if self.state is State.RUNNING:
            check_thread(self._loop, self)
        else:
            raise StateError(f"{self!r} cannot be {what}: it is {self.state.value}")

    async def _open(self) -> None:
        self.stats = TimerStats()
        self._loop = asyncio.get_running_loop()
        self._clock = self._injected_clock or self._loop
        self._context = copy_context()
        self._queued = 0

    async def _drain(self) -> None:
        self._unschedule()
        self._queued = 0
        if self._running is not None:
            await asyncio.wait([self._running])

    async def _close(self) -> None:
        self._unschedule()
        self._running = None

    def _unschedule(self) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None

    def _serve(self, lateness: float) -> None:
        """Make the call of a tick, so many seconds after it was due, or what `overlap` says."""
        # A loop may call up to its clock's resolution early.
        lateness = self.stats.lateness = max(0.0, lateness)
        self.stats.max_lateness = max(self.stats.max_lateness, lateness)
        if self._latenesses is None:
            self._latenesses = Histogram()
        self._latenesses.record(lateness)
        if self._running is not None:
            self._overlapping_tick(self._running)
        else:
            self._call()
            if self._overlap != "queue":
                self._skip_overdue()
        if self.state is State.RUNNING:
            self._schedule()

    @measures
    def _timer_metrics(self) -> Iterable[Metric]:
        if self._times == 1:
            # There may be any number, and what they count ends with them.
            return
        stats = self.stats
        yield words.FIRED("timer", stats.fired)
        yield words.MISSED("timer", stats.missed)
        yield words.OVERLAPPED("timer", stats.overlapped)
        yield words.LATENESS("timer", self._latenesses or Histogram())
        yield words.MAX_LATENESS("timer", stats.max_lateness)
        yield words.BACKLOG("timer", self._queued)
        yield words.IN_FLIGHT("timer", int(self._running is not None))

    def _calls_left(self) -> float:
        if self._times is None:
            return math.inf
        return self._times - self.stats.fired - self._queued

    def _overlapping_tick(self, running: asyncio.Task[None]) -> None:
        self.stats.overlapped += 1
        if self._overlap == "skip" or (self._overlap == "cancel" and self._queued):
            self.stats.missed += 1
        else:
            self._queued += 1
            if self._overlap == "cancel":
                running.cancel()

    def _call(self) -> None:
        self.stats.fired += 1
        context = self._context.copy()
        try:
            result = context.run(self._func)
        except ENDS:
            raise
        except BaseException as error:
            self._call_failed(error)
        else:
            if is_awaitable(result):
                self._running = context.run(self._spawn, self._finish(result), name="call")
                self._running.add_done_callback(self._call_ended)
                return
        self._stop_after_last_call()

    async def _finish(self, call: Awaitable[Any]) -> None:
        try:
            await call
        except BaseException as error:
            if is_end(error):
                raise
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
            except ENDS:
                raise
            except BaseException as second:
                self._report_error(second, f"{self!r}: on_error failed for {type(error).__name__}")

    def _stop_after_last_call(self) -> None:
        if self._times is not None and self.stats.fired >= self._times:
            self.request_stop()


def _is_async(function: Callable[..., object]) -> bool:
    call = type(function).__call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
