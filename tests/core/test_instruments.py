"""Counters, gauges and histograms."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.core.metrics import BOUNDS, Counter, Gauge, Histogram


def test_a_value_is_counted_in_the_first_range_whose_bound_it_does_not_exceed() -> None:
    histogram = Histogram(bounds=[1, 2, 5])
    for value in (0, 1, 1.5, 2, 5, 5.1, 1e9):
        histogram.record(value)
    assert histogram.counts == [2, 2, 1, 2]
    assert histogram.count == 7
    assert histogram.sum == sum((0, 1, 1.5, 2, 5, 5.1, 1e9))


def test_the_bounds_go_from_ten_microseconds_to_a_hundred_seconds() -> None:
    assert BOUNDS[:4] == (1e-5, 2e-5, 5e-5, 1e-4)
    assert BOUNDS[-3:] == (20.0, 50.0, 100.0)
    assert len(BOUNDS) == 22


@given(st.lists(st.floats(0, 99), min_size=1), st.floats(0, 100))
def test_a_percentile_lies_in_the_range_of_the_value_at_that_place(
    values: list[float], p: float
) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    exact = sorted(values)[max(0, math.ceil(p / 100 * len(values)) - 1)]
    place = next(i for i, bound in enumerate(BOUNDS) if exact <= bound)
    lower = BOUNDS[place - 1] if place else 0.0
    # Where the place falls between two values, either range is right.
    after = sorted(values)[min(len(values) - 1, math.ceil(p / 100 * len(values)))]
    upper = BOUNDS[next(i for i, bound in enumerate(BOUNDS) if after <= bound)]
    assert lower - 1e-12 <= histogram.percentile(p) <= upper + 1e-12


def test_percentiles_are_interpolated() -> None:
    histogram = Histogram(bounds=[1, 2])
    for _ in range(10):
        histogram.record(1.5)
    assert histogram.percentile(50) == pytest.approx(1.5)
    assert histogram.percentile(100) == 2
    histogram.record(1000)
    assert histogram.percentile(100) == 2
    assert math.isnan(Histogram().percentile(50))
    with pytest.raises(ValueError, match="p must be from 0 to 100, got 101"):
        histogram.percentile(101)


def test_histograms_of_the_same_bounds_are_added() -> None:
    one, two = Histogram(bounds=[1]), Histogram(bounds=[1])
    one.record(0.5)
    two.record(3)
    one.add(two)
    assert (one.counts, one.sum, two.counts) == ([1, 1], 3.5, [0, 1])
    with pytest.raises(ValueError, match="different bounds"):
        one.add(Histogram())


@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_what_is_no_number_from_0_on_is_not_counted(value: float) -> None:
    histogram, counter = Histogram(), Counter("orders")
    with pytest.raises(ValueError, match="finite numbers"):
        histogram.record(value)
    with pytest.raises(ValueError, match="finite numbers"):
        counter.add(value)
    assert (histogram.count, histogram.sum, counter.value) == (0, 0, 0)


def test_a_gauge_is_set_or_asks_a_function() -> None:
    gauge = Gauge("level")
    gauge.set(3)
    gauge.add(-1.5)
    assert gauge.value == 1.5
    level = [7]
    gauge = Gauge("level", function=lambda: level[0])
    level[0] = 8
    assert gauge.metric().value == 8


def test_a_metric_has_all_that_its_instrument_was_given() -> None:
    labels = {"venue": "ASX"}
    counter = Counter("orders_taken", help="Orders taken.", unit="bytes", labels=labels)
    counter.add(2)
    labels["venue"] = "changed afterwards"
    metric = counter.metric()
    assert (metric.name, metric.kind, metric.value) == ("orders_taken", "counter", 2)
    assert (metric.unit, metric.help, metric.subsystem) == ("bytes", "Orders taken.", "")
    assert metric.labels == {"venue": "ASX"}
    assert Histogram().metric().unit == "seconds"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Orders", {}, "snake_case"),
        ("", {}, "snake_case"),
        ('x{a="b"}', {}, "snake_case"),
        ("a__b", {}, "snake_case"),
        ("a\n", {}, "snake_case"),
        ("orders", {"unit": "ms"}, "a unit is"),
        ("orders", {"labels": {"le": "1"}}, "take another"),
        ("orders", {"labels": {"component": "1"}}, "take another"),
        ("orders", {"labels": {"a-b": "1"}}, "letters, digits and _"),
        ("orders", {"labels": {"__name__": "1"}}, "letters, digits and _"),
    ],
)
def test_names_that_exporters_cannot_show_are_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    for kind in (Counter, Gauge, Histogram):
        with pytest.raises(ValueError, match=message):
            kind(name, **options)


def test_arguments_of_the_wrong_type_are_told_by_their_type() -> None:
    with pytest.raises(TypeError, match="must have a str, got an object of type int"):
        Counter("orders", labels={"venue": 7})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="without arguments, got an object of type int"):
        Gauge("orders", function=7)  # type: ignore[arg-type]
    for bounds in ([], [1, 1], [2, 1], [1, math.inf]):
        with pytest.raises(ValueError, match="bounds must be finite numbers"):
            Histogram(bounds=bounds)
