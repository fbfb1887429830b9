"""When a channel is taken for one that hangs, by a clock of the test's own."""

import pytest

from gestalt.amq.link import watch as measured
from gestalt.amq.link.watch import MOST_PATIENCE, Progress, Watch


class Clock:
    """What silence is measured by."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(measured, "monotonic", clock)
    return clock


def test_it_takes_silence_for_the_whole_patience_and_a_deadline(clock: Clock) -> None:
    watch = Watch(10.0)
    watch.look(Progress(0, waiting=True), ran_out=False)
    clock.now += 10
    watch.look(Progress(0, waiting=True), ran_out=False)
    assert not watch.hangs.is_set()
    watch.look(Progress(0, waiting=True), ran_out=True)
    assert watch.hangs.is_set()
    assert watch.replace() == 10


def test_who_is_cancelled_counts_where_the_silence_had_lasted_for_a_patience(clock: Clock) -> None:
    watch = Watch(10.0)
    for _ in range(2):
        watch.look(Progress(0, waiting=True), ran_out=False)
        clock.now += 5
    # It was 10 s at this look, and at the one before only 5.
    watch.look(Progress(0, waiting=True), ran_out=False, cancelled=True)
    clock.now += 3600
    watch.look(Progress(0, waiting=True), ran_out=False)
    assert not watch.hangs.is_set()
    clock.now += 5
    watch.look(Progress(0, waiting=True), ran_out=False, cancelled=True)
    assert watch.hangs.is_set()


def test_who_is_cancelled_after_an_answer_does_not_count(clock: Clock) -> None:
    watch = Watch(10.0)
    watch.look(Progress(0, waiting=True), ran_out=False)
    clock.now += 20
    watch.look(Progress(0, waiting=True), ran_out=False)
    watch.look(Progress(1, waiting=True), ran_out=False, cancelled=True)
    clock.now += 20
    watch.look(Progress(1, waiting=True), ran_out=False)
    assert not watch.hangs.is_set()


def test_any_answer_ends_the_silence(clock: Clock) -> None:
    watch = Watch(10.0)
    watch.look(Progress(0, waiting=True), ran_out=True)
    clock.now += 9
    watch.look(Progress(1, waiting=True), ran_out=False)
    clock.now += 9
    assert not watch.silence(Progress(1, waiting=True))
    watch.look(Progress(1, waiting=True), ran_out=True)
    clock.now += 1
    assert watch.silence(Progress(1, waiting=True)) == 10
    assert not watch.silence(Progress(2, waiting=True))
    watch.look(Progress(1, waiting=False), ran_out=False)
    assert not watch.silence(Progress(1, waiting=True))
    clock.now += 3600
    watch.look(Progress(1, waiting=True), ran_out=True)
    assert not watch.hangs.is_set()


def test_where_the_next_channel_is_silent_too_it_has_longer_up_to_a_limit(clock: Clock) -> None:
    watch = Watch(10.0)
    for times in (1, 2, 4, 8, 16, 32, MOST_PATIENCE):
        # It is looked before anything is sent by it.
        watch.look(Progress(0, waiting=False), ran_out=False)
        watch.look(Progress(0, waiting=True), ran_out=True)
        clock.now += 10 * times - 0.01
        watch.look(Progress(0, waiting=True), ran_out=True)
        assert not watch.hangs.is_set()
        clock.now += 0.01
        watch.look(Progress(0, waiting=True), ran_out=False)
        assert watch.hangs.is_set()
        watch.replace()
        watch.begin()
    watch.look(Progress(1, waiting=True), ran_out=False)
    clock.now += 10
    watch.look(Progress(1, waiting=True), ran_out=True)
    assert watch.hangs.is_set()
    assert watch.replaced == 7


def test_what_was_answered_on_the_former_channel_ends_no_silence_of_the_next(clock: Clock) -> None:
    watch = Watch(10.0)
    watch.look(Progress(57, waiting=True), ran_out=True)
    clock.now += 10
    watch.look(Progress(57, waiting=True), ran_out=True)
    assert watch.hangs.is_set()
    watch.replace()
    watch.begin(57)
    watch.look(Progress(57, waiting=True), ran_out=True)
    assert watch.silence(Progress(57, waiting=True)) == 10
    clock.now += 19
    watch.look(Progress(57, waiting=True), ran_out=True)
    assert not watch.hangs.is_set()
    clock.now += 1
    watch.look(Progress(57, waiting=True), ran_out=True)
    assert watch.hangs.is_set()


def test_no_silence_is_too_long_for_0(clock: Clock) -> None:
    watch = Watch(0)
    watch.look(Progress(0, waiting=True), ran_out=True)
    clock.now += 1e9
    watch.look(Progress(0, waiting=True), ran_out=True)
    assert not watch.hangs.is_set()
    assert not watch.silence(Progress(0, waiting=True))
