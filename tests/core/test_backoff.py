import random
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.core import Backoff


def bounds(backoff: Backoff, count: int) -> list[float]:
    delays = backoff.delays(random=lambda: 1.0)
    return [delays.next() for _ in range(count)]


def test_the_bound_grows_by_the_factor_up_to_the_maximum() -> None:
    backoff = Backoff(initial=1, maximum=10, factor=3)
    assert bounds(backoff, 5) == [1, 3, 9, 10, 10]


def test_delays_are_spread_over_the_whole_range() -> None:
    delays = Backoff(initial=1, maximum=1).delays(random=random.Random(7).random)
    drawn = [delays.next() for _ in range(2000)]
    assert 0 <= min(drawn) < 0.01
    assert 0.99 < max(drawn) < 1
    assert 0.45 < sum(drawn) / len(drawn) < 0.55


def test_a_thousand_failures_in_a_row_stay_at_the_maximum() -> None:
    assert bounds(Backoff(), 5000)[-1] == 30.0


def test_only_a_stable_period_starts_over() -> None:
    now = 1000.0
    delays = Backoff(initial=1, maximum=100, stable_after=5).delays(
        clock=lambda: now, random=lambda: 1.0
    )
    assert [delays.next(), delays.next()] == [1, 2]
    delays.connected()
    now += 4.75
    assert delays.next() == 4
    assert delays.attempts == 3
    for enough in (5.0, 7.0):
        delays.connected()
        now += enough
        assert delays.next() == 1
        assert delays.attempts == 1
    now += 100.0
    assert delays.next() == 2


def test_a_server_that_accepts_and_closes_at_once_is_not_stormed() -> None:
    now, connects = 0.0, 0
    delays = Backoff(initial=0.1).delays(clock=lambda: now, random=random.Random(1).random)
    while now < 2.0:
        connects += 1
        delays.connected()
        now += delays.next()
    assert connects < 15


@pytest.mark.parametrize(
    "options",
    [
        {"initial": 0},
        {"initial": float("nan")},
        {"initial": float("inf")},
        {"maximum": 0.01},
        {"maximum": float("inf")},
        {"factor": 0.5},
        {"factor": float("inf")},
        {"stable_after": -1},
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        Backoff(**options)


def test_the_first_delay_is_short_and_a_link_is_stable_after_five_seconds_by_default() -> None:
    now = 0.0
    delays = Backoff().delays(clock=lambda: now, random=lambda: 1.0)
    assert [delays.next(), delays.next()] == [0.1, 0.2]
    for up, next_delay in ((4.99, 0.4), (5.0, 0.1)):
        now = 0.0
        delays.connected()
        now = up
        assert delays.next() == next_delay


def test_what_its_numbers_mean_is_said_by_name() -> None:
    with pytest.raises(TypeError):
        Backoff(1.0, 30.0)  # type: ignore[misc]
    with pytest.raises(TypeError):
        Backoff().delays(lambda: 0.0)  # type: ignore[misc]


def test_it_is_an_immutable_value() -> None:
    backoff = Backoff()
    assert backoff == Backoff(initial=0.1, maximum=30.0, factor=2.0, stable_after=5.0)
    with pytest.raises(FrozenInstanceError):
        backoff.initial = 0.0  # type: ignore[misc]
    assert not hasattr(backoff, "__dict__")


@given(st.floats(0.001, 10), st.floats(10, 1000), st.floats(1, 10), st.lists(st.floats(0, 0.999)))
def test_every_delay_is_within_its_bound(
    initial: float, maximum: float, factor: float, draws: list[float]
) -> None:
    values = iter(draws)
    delays = Backoff(initial=initial, maximum=maximum, factor=factor).delays(
        random=lambda: next(values)
    )
    for n in range(len(draws)):
        assert 0 <= delays.next() <= min(maximum, initial * factor**n * (1 + 1e-9))
