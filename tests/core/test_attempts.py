"""What is logged of attempts to connect."""

import itertools
import logging

import pytest

from gestalt.core.attempts import FIRST_PAUSE, LONGEST_PAUSE, MOST_REASONS, Attempts


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(clock: Clock, caplog: pytest.LogCaptureFixture) -> Attempts:
    caplog.set_level(logging.INFO, "test")
    return Attempts(logging.getLogger("test"), clock)


def test_a_first_failure_and_the_end_are_told_and_how_long_it_took(
    attempts: Attempts, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        attempts.failed("a: b cannot be connected to: refused")
        clock.now += 1.5
    attempts.succeeded("a: connected to b")
    attempts.succeeded("a: connected to b")
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "a: b cannot be connected to: refused; it is tried again"),
        ("INFO", "a: connected to b, after 6 attempts in 7.5 s"),
    ]


def test_a_first_success_is_told_where_that_is_wanted_alone(
    attempts: Attempts, caplog: pytest.LogCaptureFixture
) -> None:
    attempts.succeeded("quiet")
    attempts.succeeded("up", always=True)
    assert caplog.messages == ["up"]


def test_what_repeats_for_a_day_is_told_ever_more_rarely(
    attempts: Attempts, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    times = []
    for second in range(0, 24 * 3600, 5):
        clock.now = float(second)
        before = len(caplog.records)
        attempts.failed("x")
        times += [second] * (len(caplog.records) - before)
    pauses = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert pauses[:5] == [FIRST_PAUSE, 20, 40, 80, 160]
    assert set(pauses[5:]) == {LONGEST_PAUSE}
    assert caplog.messages[1] == "x (3 attempts in 10.0 s by now)"


def test_new_reasons_are_told_at_once_and_not_without_end(
    attempts: Attempts, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        attempts.failed(f"reason {number % 2}")
    assert len(caplog.messages) == 2
    for number in range(100):
        attempts.failed(f"other reason {number}")
    assert len(caplog.messages) == MOST_REASONS


def test_an_outage_after_a_connection_begins_anew(
    attempts: Attempts, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    attempts.failed("x")
    attempts.succeeded("up")
    clock.now += 1000
    attempts.failed("x")
    clock.now += 2
    attempts.succeeded("up")
    assert caplog.messages[2:] == ["x; it is tried again", "up, after 2 attempts in 2.0 s"]
