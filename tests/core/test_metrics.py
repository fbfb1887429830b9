"""What components count, and how it is read."""

import gc
import logging
from collections.abc import Iterable
from typing import Any

import pytest

from gestalt.core import Component, Group, ManualClock, Timer
from gestalt.core.metrics import (
    Counter,
    Gauge,
    Histogram,
    Metric,
    measure,
    measures,
    register,
    unregister,
)


class Part(Component):
    async def _open(self) -> None:
        pass

    async def _close(self) -> None:
        pass


class Store(Part):
    articles = 3

    @measures
    def _numbers(self) -> Iterable[Metric]:
        yield Metric("articles", "gauge", self.articles)


def numbers(component: Component | None) -> dict[str, float | Histogram]:
    return {each.name: each.value for each in measure(component)}


def unmeasured() -> Any:
    return numbers(None)["unmeasured"]


async def test_every_component_tells_whether_it_runs_and_what_it_reported() -> None:
    part = Part()
    assert numbers(part) == {"running": 0, "reported": 0}
    async with part:
        part._report_error(OSError("survived"), "survived")
        assert numbers(part) == {"running": 1, "reported": 1}
    assert numbers(part) == {"running": 0, "reported": 1}


async def test_a_timer_tells_what_its_stats_tell_and_how_late_it_was() -> None:
    clock = ManualClock()
    async with Timer.every(1.0, lambda: None, clock=clock) as timer:
        clock.advance(3)
        found = numbers(timer)
        assert (found["fired"], found["missed"], found["overlapped"]) == (3, 0, 0)
        assert (found["backlog"], found["in_flight"]) == (0, 0)
        assert found["max_lateness"] == timer.stats.max_lateness
        assert isinstance(found["lateness"], Histogram)
        assert found["lateness"].count == 3
    assert {each.subsystem for each in measure(timer)} == {"component", "timer"}


async def test_a_timer_that_never_fired_has_an_empty_histogram() -> None:
    lateness = numbers(Timer.every(1.0, print))["lateness"]
    assert isinstance(lateness, Histogram)
    assert lateness.count == 0


async def test_a_group_tells_how_many_of_its_parts_run() -> None:
    one, two = Part(), Part()
    async with Group(one, two) as group:
        assert numbers(group)["parts"] == 2
    assert numbers(group)["parts"] == 0


def test_a_subclass_adds_metrics_whatever_its_methods_are_called() -> None:
    class Bigger(Store):
        @measures
        def _numbers(self) -> Iterable[Metric]:
            return [Metric("shelves", "gauge", 2)]

    class Renamed(Store):
        _numbers = None  # type: ignore[assignment]

    assert list(numbers(Bigger())) == ["running", "reported", "articles", "shelves"]
    assert list(numbers(Renamed())) == ["running", "reported", "articles"]


def test_an_error_in_one_method_is_logged_and_counted_and_the_others_are_given(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Store):
        @measures
        def _broken(self) -> Iterable[Metric]:
            yield Metric("before", "counter", 1)
            raise OSError("no such shelf")

        @measures
        def _wrong(self) -> Iterable[Metric]:
            return [7]  # type: ignore[list-item]

        @measures
        def _worthless(self) -> Iterable[Metric]:
            return [Metric("words", "gauge", "seven")]  # type: ignore[arg-type]

        @measures
        def _after(self) -> Iterable[Metric]:
            return [Metric("after", "counter", 1)]

        def __repr__(self) -> str:
            raise AssertionError("a repr that raises")

    before = unmeasured()
    assert list(numbers(Broken())) == ["running", "reported", "articles", "before", "after"]
    assert unmeasured() == before + 3
    assert "a component of type Broken: its metrics cannot be read" in caplog.text
    assert "no such shelf" in caplog.text


def test_a_gauge_whose_function_raises_is_logged_and_counted_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store()
    gauge = register(Gauge("temperature", function=lambda: 1 / 0), store)
    level = register(Gauge("level", function=lambda: 7), store)
    before = unmeasured()
    assert list(numbers(store)) == ["running", "reported", "articles", "level"]
    assert unmeasured() == before + 1
    assert caplog.records[0].levelno == logging.ERROR
    assert "its metric temperature cannot be read" in caplog.text
    unregister(gauge, store)
    unregister(level, store)
    unregister(level, store)
    assert list(numbers(store)) == ["running", "reported", "articles"]


def test_an_application_registers_its_own_with_a_component_or_the_process() -> None:
    store, other = Store(), Store()
    taken = register(Counter("orders_taken"), store)
    taken.add(2)
    assert numbers(store)["orders_taken"] == 2
    assert "orders_taken" not in numbers(other)
    waiting = register(Histogram("waiting"))
    try:
        assert numbers(None)["waiting"] is waiting
    finally:
        unregister(waiting)
    assert "waiting" not in numbers(None)


def test_those_of_one_name_differ_in_their_labels_and_in_nothing_else() -> None:
    store = Store()
    register(Counter("orders", labels={"venue": "a"}), store)
    register(Counter("orders", labels={"venue": "b"}), store)
    with pytest.raises(ValueError, match="there is a metric 'orders' already, a counter"):
        register(Counter("orders", labels={"venue": "b"}), store)
    with pytest.raises(ValueError, match="there is a metric 'orders' already, a counter"):
        register(Gauge("orders", labels={"venue": "c"}), store)
    register(Counter("orders", labels={"venue": "b"}), Store())


def test_a_component_is_not_kept_alive_by_its_metrics() -> None:
    store = Store()
    counter = register(Counter("orders"), store)
    gone = id(store)
    del store
    gc.collect()
    assert not [each for each in gc.get_objects() if id(each) == gone and type(each) is Store]
    assert counter.value == 0


def test_wrong_arguments_are_told_by_their_type() -> None:
    with pytest.raises(TypeError, match="a histogram is needed, got an object of type str"):
        register("orders")  # type: ignore[type-var]
    with pytest.raises(TypeError, match="belong to a component, got an object of type str"):
        register(Counter("orders"), "store")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a component has metrics, got an object of type str"):
        measure("store")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="@measures is for plain methods"):

        @measures
        async def _numbers(self: object) -> Iterable[Metric]:
            return []


def test_a_timer_that_fires_once_has_no_metrics_of_its_own() -> None:
    assert list(numbers(Timer.after(1.0, print))) == ["running", "reported"]
