"""Timers by the calendar: in any zone, over every change of the clock, on machines that sleep."""

import asyncio
import logging
import sys
import time
import zoneinfo
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gestalt.core import CronTimer, ExtraNotInstalled, ManualClock, State, StateError, Timer
from tests.core.turning import settle

pytest.importorskip("cronsim")

HOUR = 3600.0


class Machine:
    """A machine whose clocks a test turns: one that never jumps, and the one on the wall."""

    def __init__(self, start: str, zone: str = "UTC") -> None:
        self.zone = ZoneInfo(zone)
        at = datetime.fromisoformat(start).replace(tzinfo=self.zone)
        self.clock = ManualClock(start=1000.0)
        self.offset = at.timestamp() - 1000.0
        self.calls: list[str] = []

    def now(self) -> float:
        return self.clock.time() + self.offset

    def call(self) -> None:
        at = datetime.fromtimestamp(self.now(), self.zone)
        self.calls.append(f"{at:%d %H:%M:%S %z}")

    def timer(self, expression: str, func: Any = None, **options: Any) -> CronTimer:
        options = {"zone": self.zone, "clock": self.clock, "now": self.now} | options
        return Timer.cron(expression, func or self.call, **options)

    def sleep(self, seconds: float) -> None:
        """Stand still while the time on the wall goes on, or set the clock on the wall."""
        self.offset += seconds


async def calls_of(machine: Machine, expression: str, hours: float, **options: Any) -> list[str]:
    async with machine.timer(expression, **options):
        machine.clock.advance(hours * HOUR)
    return machine.calls


async def test_a_function_is_called_at_the_times_of_its_expression() -> None:
    machine = Machine("2024-01-01T07:58")
    assert await calls_of(machine, "*/30 8-9 * * MON-FRI", 24) == [
        "01 08:00:00 +0000",
        "01 08:30:00 +0000",
        "01 09:00:00 +0000",
        "01 09:30:00 +0000",
    ]


async def test_the_zone_decides_and_its_name_or_itself_may_be_given() -> None:
    for zone in ("Asia/Tokyo", ZoneInfo("Asia/Tokyo"), timezone(timedelta(hours=9))):
        machine = Machine("2024-01-01T20:00")
        assert await calls_of(machine, "0 8 * * *", 24, zone=zone) == ["01 23:00:00 +0000"]
    machine = Machine("2024-01-01T20:00")
    assert await calls_of(machine, "0 8 * * *", 24, zone="UTC") == ["02 08:00:00 +0000"]


@pytest.mark.parametrize(
    ("zone", "start", "expression", "expected"),
    [
        # A time that is left out: when the clock has gone forward.
        ("Europe/Paris", "2024-03-31T00:00", "30 2 * * *", ["31 03:00:00 +0200"]),
        ("America/New_York", "2024-03-10T00:00", "30 2 * * *", ["10 03:00:00 -0400"]),
        ("Australia/Lord_Howe", "2024-10-06T00:00", "15 2 * * *", ["06 02:30:00 +1100"]),
        # One that comes twice: the first time.
        ("Europe/Paris", "2024-10-27T00:00", "30 2 * * *", ["27 02:30:00 +0200"]),
        ("America/New_York", "2024-11-03T00:00", "30 1 * * *", ["03 01:30:00 -0400"]),
        ("Australia/Lord_Howe", "2024-04-07T00:00", "45 1 * * *", ["07 01:45:00 +1100"]),
        # What is due every hour is due each hour, whatever the clock says.
        (
            "Europe/Paris",
            "2024-03-31T00:30",
            "0 * * * *",
            ["31 01:00:00 +0100", "31 03:00:00 +0200", "31 04:00:00 +0200", "31 05:00:00 +0200"],
        ),
        (
            "Europe/Paris",
            "2024-10-27T00:30",
            "0 * * * *",
            ["27 01:00:00 +0200", "27 02:00:00 +0200", "27 02:00:00 +0100", "27 03:00:00 +0100"],
        ),
        ("Europe/Paris", "2024-06-01T00:30", "0 2 * * *", ["01 02:00:00 +0200"]),
    ],
)
async def test_where_clocks_change_each_run_is_made_once(
    zone: str, start: str, expression: str, expected: list[str]
) -> None:
    machine = Machine(start, zone)
    assert await calls_of(machine, expression, 4) == expected


async def test_one_that_starts_within_the_repeated_hour_waits_for_the_next_day() -> None:
    machine = Machine("2024-10-27T00:00", "Europe/Paris")
    machine.clock.advance(3.25 * HOUR)  # the second 02:15
    assert await calls_of(machine, "30 2 * * *", 25) == ["28 02:30:00 +0100"]


# A machine that sleeps, and clocks that are set


async def test_runs_that_a_machine_slept_through_are_one_call_and_the_others_are_counted() -> None:
    machine = Machine("2024-01-01T07:59")
    async with machine.timer("*/10 * * * *") as timer:
        machine.clock.advance(120)
        machine.sleep(8 * HOUR)
        machine.clock.advance(31)  # it looks at the clock again after 30 s
        assert [call[:8] for call in machine.calls] == ["01 08:00", "01 16:01"]
        assert timer.stats.fired == 2
        assert timer.stats.missed == 47
        assert timer.stats.lateness == pytest.approx(8 * HOUR - 9 * 60 + 60, abs=60)
        assert timer.next_run == datetime(2024, 1, 1, 16, 10, tzinfo=UTC)


async def test_a_clock_that_is_set_forward_is_noticed_within_a_minute() -> None:
    machine = Machine("2024-01-01T07:00")
    async with machine.timer("0 8 * * *"):
        machine.clock.advance(10)
        machine.sleep(0.99 * HOUR)
        machine.clock.advance(60)
        assert machine.calls == ["01 08:00:00 +0000"]


async def test_a_clock_that_goes_back_a_little_repeats_nothing() -> None:
    machine = Machine("2024-01-01T07:59")
    async with machine.timer("*/10 * * * *") as timer:
        machine.clock.advance(62)
        machine.sleep(-HOUR)
        machine.clock.advance(HOUR + 300)
        assert [call[:8] for call in machine.calls] == ["01 08:00"]
        machine.clock.advance(301)
        assert [call[:8] for call in machine.calls] == ["01 08:00", "01 08:10"]
        assert timer.stats.missed == 0


async def test_a_clock_that_was_wrong_by_far_is_followed_at_once() -> None:
    machine = Machine("2034-01-01T07:59")
    async with machine.timer("0 * * * *") as timer:
        machine.clock.advance(60)
        machine.sleep(-10 * 366 * 24 * HOUR)
        machine.clock.advance(HOUR)
        assert len(machine.calls) == 2
        assert timer.next_run is not None
        assert timer.next_run.year < 2025


async def test_what_was_missed_for_years_does_not_hold_up_the_event_loop() -> None:
    machine = Machine("1970-01-02T00:00")
    async with machine.timer("* * * * *") as timer:
        machine.sleep(55 * 366 * 24 * HOUR)
        begun = time.monotonic()
        machine.clock.advance(60)
        assert time.monotonic() - begun < 1
        assert timer.stats.missed == 1000
        assert timer.stats.fired == 2


# As other timers


@pytest.mark.parametrize(("overlap", "ended", "missed"), [("skip", 1, 2), ("queue", 3, 0)])
async def test_a_run_that_comes_due_while_the_last_call_lasts_follows_overlap(
    overlap: str, ended: int, missed: int
) -> None:
    machine = Machine("2024-01-01T00:00")
    release = asyncio.Event()
    done: list[int] = []

    async def lasting() -> None:
        await release.wait()
        done.append(1)

    async with machine.timer("* * * * *", lasting, overlap=overlap) as timer:
        for _ in range(3):
            machine.clock.advance(60)
            await settle()
        assert timer.stats.overlapped == 2
        assert timer.stats.missed == missed
        release.set()
        await settle()
        assert len(done) == ended


async def test_a_plain_function_that_takes_long_is_called_once_for_what_came_due() -> None:
    machine = Machine("2024-01-01T00:00")

    def slow() -> None:
        machine.call()
        machine.sleep(150)

    async with machine.timer("* * * * *", slow, times=2) as timer:
        machine.clock.advance(120)
        await timer.wait()
    assert [call[3:8] for call in machine.calls] == ["00:01", "00:04"]
    assert timer.stats.missed >= 2


async def test_errors_follow_on_error(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise LookupError("no report")

    machine = Machine("2024-01-01T00:00")
    timer = machine.timer("* * * * *", fails)
    await timer.start()
    waiting = asyncio.create_task(timer.wait())
    await settle()
    machine.clock.advance(60)
    with pytest.raises(LookupError, match="no report"):
        await waiting
    async with machine.timer("* * * * *", fails, on_error="continue") as timer:
        machine.clock.advance(180)
        assert timer.stats.fired == timer.reported == 3
    assert caplog.record_tuples[0][:2] == ("gestalt.core", logging.ERROR)
    assert "<CronTimer 'fails' running>: a call failed" in caplog.text


async def test_it_ends_after_its_last_call_and_starts_again() -> None:
    machine = Machine("2024-01-01T00:00")
    timer = machine.timer("* * * * *", times=2)
    for _ in range(2):
        await timer.start()
        machine.clock.advance(300)
        await timer.wait()
        assert timer.state is State.STOPPED
        assert timer.stats.fired == 2
        assert timer.next_run is None


async def test_a_pause_leaves_out_what_comes_due_meanwhile() -> None:
    machine = Machine("2024-01-01T00:00")
    timer = machine.timer("0 * * * *")
    with pytest.raises(StateError, match="cannot be paused: it is new"):
        timer.pause()
    async with timer:
        timer.pause()
        assert timer.next_run is None
        machine.clock.advance(2.5 * HOUR)
        timer.resume()
        assert timer.next_run == datetime(2024, 1, 1, 3, tzinfo=UTC)
        timer.resume()  # it goes on already
        machine.clock.advance(HOUR)
    assert machine.calls == ["01 03:00:00 +0000"]
    assert timer.stats.missed == 0


async def test_a_function_may_pause_its_timer() -> None:
    machine = Machine("2024-01-01T00:00")

    def call() -> None:
        machine.call()
        timer.pause()

    timer = machine.timer("0 * * * *", call)
    async with timer:
        machine.clock.advance(2.5 * HOUR)
        timer.resume()
        machine.clock.advance(HOUR)
    assert machine.calls == ["01 01:00:00 +0000", "01 03:00:00 +0000"]


async def test_jitter_spreads_calls_after_they_are_due() -> None:
    machine = Machine("2024-01-01T00:00")
    async with machine.timer("* * * * *", jitter=20.0, times=50) as timer:
        machine.clock.advance(HOUR)
    assert timer.stats.fired == 50
    seconds = {int(call.split()[1][-2:]) for call in machine.calls}
    assert len(seconds) > 3
    assert max(seconds) <= 20


async def test_it_calls_by_the_real_clocks() -> None:
    called = asyncio.Event()
    # The wall clock is two seconds before the minute.
    ahead = 58.0 - time.time() % 60
    now = lambda: time.time() + ahead + 1.9  # noqa: E731 - a clock
    async with Timer.cron("* * * * *", called.set, now=now), asyncio.timeout(5):
        await called.wait()


# What is refused


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("61 * * * *", "Bad minute"),
        ("* 24 * * *", "Bad hour"),
        ("* * 0 * *", "Bad day-of-month"),
        ("* * * 13 *", "Bad month"),
        ("* * * * 8", "Bad day-of-week"),
        ("*/0 * * * *", "Bad minute"),
        ("* * * *", "it has five fields, minute, hour, day of month, month and day of week"),
        ("0 0 * * * *", "it has five fields"),
        ("@daily", "it has five fields"),
        ("", "it has five fields"),
        (f"{'9' * 5000} * * * *", "cannot be read"),
    ],
)
def test_an_expression_that_cannot_be_read_is_refused_by_name(expression: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        Timer.cron(expression, print)
    assert repr(expression) in str(caught.value)


def test_an_expression_that_never_comes_due_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'0 0 30 2 \*' can"):
        Timer.cron("0 0 30 2 *", print)
    with pytest.raises(ValueError, match="never comes due"):
        Timer.cron("0 0 */31 2 MON#5", print)


@pytest.mark.parametrize(
    "zone", ["Europe/Atlantis", "", "../Paris", "/etc/passwd", "Europe", "x\0"]
)
def test_a_zone_that_is_not_known_is_refused_by_name(zone: str) -> None:
    with pytest.raises(ValueError, match="is not in the IANA database") as caught:
        Timer.cron("* * * * *", print, zone=zone)
    assert repr(zone) in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        ((5, print), {}, "a cron expression is a str, got an object of type int"),
        (("* * * * *", 5), {}, "func must be a function"),
        (("* * * * *", print), {"zone": 5}, "zone is a name of the IANA database or a tzinfo, got"),
        (("* * * * *", print), {"times": 1.5}, "times must be an int"),
    ],
)
def test_what_is_of_another_type_is_refused(arguments: Any, options: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        Timer.cron(*arguments, **options)


def test_without_the_library_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(ExtraNotInstalled, match=r'pip install "gestalt-core\[cron\]"') as caught:
        Timer.cron("* * * * *", print)
    assert isinstance(caught.value, ImportError)


def test_without_time_zones_the_error_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(zoneinfo.reset_tzpath)
    zoneinfo.reset_tzpath([])
    for name in ("tzdata", *filter(lambda name: name.startswith("tzdata."), [*sys.modules])):
        monkeypatch.setitem(sys.modules, name, None)
    ZoneInfo.clear_cache()
    with pytest.raises(ValueError, match=r'no database of time zones; pip install "gestalt-core\['):
        Timer.cron("* * * * *", print, zone="Europe/Paris")
    assert Timer.cron("* * * * *", print).zone is UTC
