"""Calls by the calendar: a cron expression in a time zone, by the wall clock."""

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any, TypedDict

from .calls import OnError, Overlap, ScheduledCalls, TimerOptions
from .clock import Clock
from .details import TimerRow, details
from .errors import GestaltError
from .numbers import kind_of

STEP = 30.0
"""How long it waits before it looks at the wall clock again, in seconds."""

CORRECTION = 3 * 3600.0
"""A wall clock that goes back by more than this, in seconds, was wrong before."""

MOST_MISSED = 1000
"""How many runs are counted as missed at a time."""


class ExtraNotInstalled(GestaltError, ImportError):
    """What was asked for needs a library that is not installed; the error says how to get it."""


class CronOptions(TimerOptions, TypedDict, total=False):
    """What a timer by the calendar may be given by name; CronTimer says what each means."""

    times: int | None
    overlap: Overlap
    now: Callable[[], float]


class CronTimer(ScheduledCalls, at_once=True):
    """Calls a function by the calendar; made by `Timer.cron`.

        Timer.cron("*/5 8-18 * * MON-FRI", report, zone="Europe/Paris")

    It follows the wall clock, looking at it at least every 30 s, so that it is right after the
    machine was asleep or the clock was set. Runs that came due meanwhile are made up for by one
    call, and the others counted in `stats.missed`. A clock that goes back does not repeat what ran:
    it goes on when the time is reached again, or at once where the clock goes back by more than
    three hours, since it was wrong then.

    Where clocks change in the zone, it does as Debian's cron. A run at a time that is left out in
    spring is made when the clock has gone forward; one at a time that comes twice in autumn is made
    the first time. Expressions whose minute or hour begins with `*` are made whenever they match.

    Args:
        expression: minute, hour, day of month, month and day of week, as in a crontab: numbers,
            names, `*`, ranges, lists and steps; `L` for the last day, `MON#1` for the first Monday.
        func: a plain or an async function without arguments.
        zone: the time zone: a name of the IANA database, or a tzinfo.
        times: how many calls to make, for ever by default.
        jitter: each call is made up to this many seconds after it is due, at random.
        overlap: what happens to a run that comes due while the last call lasts, as for Timer.
        on_error: what an exception of `func` does, as for Timer.
        clock: what it waits by, the running event loop by default.
        now: the wall clock, in seconds since 1970; for tests.
        name: how the timer is called in messages; the name of `func` by default.
        stop_timeout: how long stopping waits for a running call, in seconds.

    Raises:
        ValueError: the expression or the zone cannot be read, or the expression never comes due.
        ExtraNotInstalled: the library that reads expressions is missing.
        TypeError: as for Timer, or the expression or the zone is of another type.
    """

    def __init__(
        self,
        expression: str,
        func: Callable[[], Any],
        *,
        zone: str | tzinfo = "UTC",
        times: int | None = None,
        jitter: float = 0.0,
        overlap: Overlap = "skip",
        on_error: OnError = "stop",
        clock: Clock | None = None,
        now: Callable[[], float] = time.time,
        name: str | None = None,
        stop_timeout: float = 10.0,
    ) -> None:
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
        self.expression = expression
        self.zone: tzinfo = _zone(zone)
        self._now = now
        self._dates = _reader(expression)
        # The next run, when the call for it is made, and up to when all were made; in seconds
        # since 1970.
        self._due = self._planned = math.inf
        self._done_until = 0.0
        self._paused = False
        if next(self._runs(now()), None) is None:
            raise ValueError(f"the cron expression {expression!r} never comes due")

    @property
    def next_run(self) -> datetime | None:
        """When the next run is due, in the timer's zone; None while it waits for none."""
        if self._scheduled is None or self._due == math.inf:
            return None
        return datetime.fromtimestamp(self._due, self.zone)

    def pause(self) -> None:
        """Let no run come due until `resume`. A running call goes on.

        Raises:
            StateError: the timer is not running.
            WrongThread: it runs in another thread.
        """
        self._check_running("paused")
        self._paused = True
        self._unschedule()

    def resume(self) -> None:
        """Go on with the next run; those of the pause are left out.

        Raises:
            StateError: the timer is not running.
            WrongThread: it runs in another thread.
        """
        self._check_running("resumed")
        if self._paused:
            self._paused = False
            self._plan(self._now())
            self._schedule()

    @details
    def _cron_row(self) -> Iterable[TimerRow]:
        next_run = self.next_run
        yield TimerRow(
            self.name,
            schedule=f"{self.expression} {self.zone}",
            due=None if next_run is None else next_run.timestamp() - self._now(),
            active=self._running is not None,
            note="paused" if self._paused else "",
        )

    async def _open(self) -> None:
        await super()._open()
        self._paused = False
        self._plan(self._now())
        self._schedule()

    def _plan(self, after: float) -> None:
        """Wait for the first run after a time."""
        self._done_until = after
        self._due = next(self._runs(after), math.inf)
        self._planned = self._due + random.random() * self._jitter

    def _runs(self, after: float) -> Iterator[float]:
        for date in self._dates(datetime.fromtimestamp(after, self.zone)):
            # Where a time comes twice, the first one may be over.
            if (due := date.timestamp()) > after:
                yield due
                after = due

    def _schedule(self) -> None:
        if self._paused or self._calls_left() == 0:
            return
        wait = min(max(self._planned - self._now(), 0.0), STEP)
        self._scheduled = self._clock.call_at(self._clock.time() + wait, self._look)

    def _look(self) -> None:
        """See what time it is."""
        self._scheduled = None
        now = self._now()
        if now < self._done_until - CORRECTION:
            self._plan(now)
        if now < self._planned:
            self._schedule()
            return
        due = self._due
        self.stats.missed += self._pass_overdue(now) - 1
        self._serve(now - due)

    def _skip_overdue(self) -> None:
        if self._calls_left():
            self.stats.missed += self._pass_overdue(self._now())

    def _pass_overdue(self, now: float) -> int:
        """Wait for the first run after now, and tell how many came due before."""
        passed = 0
        if self._due <= now:
            passed = 1
            for due in self._runs(self._due):  # pragma: no branch - one that came due does again
                if due > now or passed > MOST_MISSED:
                    break
                passed += 1
            self._plan(now)
        return passed


def _zone(zone: object) -> tzinfo:
    if isinstance(zone, tzinfo):
        return zone
    if not isinstance(zone, str):
        raise TypeError(f"zone is a name of the IANA database or a tzinfo, got {kind_of(zone)}")
    if zone == "UTC":
        return UTC
    # Here: only those who have such a timer need it.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        text = f"zone {zone!r} is not in the IANA database, where names are such as 'Europe/Paris'"
        if not available_timezones():
            text = (
                f"zone {zone!r} cannot be found: the system has no database of time zones; "
                'pip install "gestalt-core[cron]" brings one'
            )
        raise ValueError(text) from error


def _reader(expression: object) -> Callable[[datetime], Iterator[datetime]]:
    """What gives the dates of an expression, after another date."""
    if not isinstance(expression, str):
        raise TypeError(f"a cron expression is a str, got {kind_of(expression)}")
    if len(expression.split()) != 5:
        raise ValueError(
            f"the cron expression {expression!r} cannot be read: it has five fields, minute, hour, "
            "day of month, month and day of week"
        )
    try:
        from cronsim import CronSim
    except ImportError as error:
        raise ExtraNotInstalled(
            'timers by the calendar need cronsim: pip install "gestalt-core[cron]"'
        ) from error

    def dates(after: datetime) -> Iterator[datetime]:
        return iter(CronSim(expression, after))

    try:
        dates(datetime.now(UTC))
    except Exception as error:
        # Whatever is wrong with it, the parser is where it shows.
        why = str(error) or type(error).__name__
        raise ValueError(f"the cron expression {expression!r} cannot be read: {why}") from error
    return dates
