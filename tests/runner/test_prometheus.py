"""The page for Prometheus, read by prometheus-client's own parser."""

import asyncio
import builtins
import math
import sys
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from gestalt.core import Component, ExtraNotInstalled, Group, ManualClock, Timer
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
from gestalt.runner.exporters import (
    CONTENT_TYPE,
    install_collector,
    prometheus_page,
    render_prometheus,
    watch_lag,
)
from gestalt.runner.exporters import lag as lag_module
from tests.support.missing import without
from tests.support.waiting import until

try:
    import prometheus_client
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    prometheus_client = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def _needs_the_library(request: pytest.FixtureRequest) -> None:
    if prometheus_client is None:
        without(request.config, "prometheus-client is not installed")


class Part(Component):
    async def _open(self) -> None:
        pass

    async def _close(self) -> None:
        pass


class Store(Part):
    @measures
    def _numbers(self) -> Iterable[Metric]:
        yield Metric("articles", "gauge", 3, help='Articles, by "kind"\nand \\ place.')


def scrape(page: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples of a page; each is there once."""
    found = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def value(page: bytes, name: str, **labels: str) -> float:
    return scrape(page)[name, frozenset(labels.items())]


async def test_a_page_has_what_components_and_the_application_count() -> None:
    store = Store(name="north")
    orders = register(Counter("orders_taken", help="Orders.", labels={"venue": "ASX"}), store)
    orders.add(2)
    async with store:
        page = render_prometheus()
    of = {"component": "north", "kind": "Store"}
    assert value(page, "articles", **of) == 3
    assert value(page, "orders_taken_total", venue="ASX", **of) == 2
    assert value(page, "gestalt_component_running", **of) == 1
    assert b"# TYPE orders_taken_total counter\n" in page
    assert not [key for key in scrape(render_prometheus()) if ("component", "north") in key[1]]


async def test_a_histogram_has_cumulated_buckets_a_sum_and_a_count() -> None:
    clock = ManualClock()
    async with Timer.every(1.0, lambda: None, clock=clock, name="tick"):
        clock.advance(5)
        page = render_prometheus()
    of = {"component": "tick", "kind": "Timer"}
    assert value(page, "gestalt_timer_fired_total", **of) == 5
    assert value(page, "gestalt_timer_lateness_seconds_bucket", le="1e-05", **of) == 5
    assert value(page, "gestalt_timer_lateness_seconds_bucket", le="+Inf", **of) == 5
    assert value(page, "gestalt_timer_lateness_seconds_count", **of) == 5
    assert value(page, "gestalt_timer_lateness_seconds_sum", **of) == 0


async def test_values_are_spread_over_the_buckets_that_they_belong_to() -> None:
    waiting = register(Histogram("waiting", bounds=[0.1, 1.0]))
    try:
        for seconds in (0.05, 0.1, 0.5, 7.0):
            waiting.record(seconds)
        page = render_prometheus()
    finally:
        unregister(waiting)
    buckets = [value(page, "waiting_seconds_bucket", le=le) for le in ("0.1", "1.0", "+Inf")]
    assert buckets == [2, 3, 4]
    assert value(page, "waiting_seconds_sum") == pytest.approx(7.65)


@pytest.mark.parametrize(
    "name",
    [
        'a"b',
        "a\\",
        "a\nb",
        "a\\n",
        '{le="1"}',
        "",
        "Zürich \u2028 \U0001f600",
        "\ud800",
        "\x00\r",
        'x"} 1',
    ],
)
async def test_hostile_names_of_components_come_through_as_they_are(name: str) -> None:
    part = Part()
    part.name = name
    async with part, Part(name="after"):
        page = render_prometheus()
    shown = name.encode("utf-8", "backslashreplace").decode()
    # The parser drops a carriage return where a line ends, and within a label's value keeps it.
    labels = {"kind": "Part", "component": shown}
    assert value(page, "gestalt_component_running", **labels) == 1
    assert value(page, "gestalt_component_running", kind="Part", component="after") == 1


async def test_components_of_one_name_are_added_up() -> None:
    clock = ManualClock()
    one = Timer.every(1.0, lambda: None, clock=clock, name="same")
    two = Timer.every(2.0, lambda: None, clock=clock, name="same")
    async with Group(one, two):
        one.stats.max_lateness, two.stats.max_lateness = 0.5, 0.25
        clock.advance(4)
        page = render_prometheus()
    of = {"component": "same", "kind": "Timer"}
    assert value(page, "gestalt_timer_fired_total", **of) == 6
    assert value(page, "gestalt_component_running", **of) == 2
    assert value(page, "gestalt_timer_max_lateness_seconds", **of) == 0.5
    assert value(page, "gestalt_timer_lateness_seconds_count", **of) == 6


async def test_what_cannot_be_shown_is_left_out_told_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Wrong(Part):
        @measures
        def _numbers(self) -> Iterable[Metric]:
            yield Metric("articles", "counter", 3)
            yield Metric("name with spaces", "gauge", 3)
            yield Metric("labelled_badly", "gauge", 3, labels={"a-b": "1"})
            yield Metric("good", "gauge", math.inf, labels={"a": 7})  # type: ignore[dict-item]
            yield Metric("sizes", "histogram", Histogram(bounds=[1]))
            yield Metric("sizes", "histogram", Histogram(bounds=[2]))

    async with Store(), Wrong():
        render_prometheus()
        before = value(render_prometheus(), "gestalt_process_left_out_total")
        page = render_prometheus()
    found = scrape(page)
    assert ("articles", frozenset({("component", "Store"), ("kind", "Store")})) in found
    assert value(page, "good", a="7", component="Wrong", kind="Wrong") == math.inf
    assert value(page, "gestalt_process_left_out_total") >= before + 1
    for text in (
        "the counter articles",
        "'name with spaces'",
        "'labelled_badly'",
        "the histogram sizes",
    ):
        assert text in caplog.text


async def test_what_prometheus_client_has_itself_is_on_the_page_once() -> None:
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("orders_taken", "Orders.", registry=registry).inc(7)
    ours = register(Counter("orders_taken"))
    try:
        page = render_prometheus(registry=registry)
    finally:
        unregister(ours)
    assert value(page, "orders_taken_total") == 7
    assert page.count(b"# TYPE orders_taken_total") == 1


async def test_the_default_registry_is_on_the_page_too() -> None:
    assert b"python_info{" in render_prometheus()
    assert b"python_info{" in await prometheus_page()


async def test_a_collector_shows_the_same_wherever_the_registry_is_shown() -> None:
    registry = prometheus_client.CollectorRegistry()
    install_collector(registry=registry)
    install_collector(registry=registry)
    async with Part(name="shown"):
        here = prometheus_client.generate_latest(registry)
        there = await asyncio.to_thread(prometheus_client.generate_latest, registry)
        pages = [here, there, render_prometheus(registry=registry)]
        pages.append(await prometheus_page(registry=registry))
    for page in pages:
        assert value(page, "gestalt_component_running", component="shown", kind="Part") == 1


async def test_a_collector_waits_for_a_blocked_loop_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gestalt.runner.exporters.prometheus.PATIENCE", 0.05)
    registry = prometheus_client.CollectorRegistry()
    install_collector(registry=registry)
    pages: list[bytes] = []
    thread = threading.Thread(
        target=lambda: pages.append(prometheus_client.generate_latest(registry))
    )
    thread.start()
    thread.join()  # the event loop is blocked meanwhile
    assert pages == [b""]
    assert "the event loop gave no metrics for 0.05 s" in caplog.text


async def test_a_reading_of_many_components_gives_way_to_others() -> None:
    clock = ManualClock()
    timers = [Timer.every(1.0, print, clock=clock, name="same") for _ in range(2000)]
    for timer in timers:
        await timer.start()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    page = await prometheus_page()
    counting.cancel()
    assert turns > 2
    assert value(page, "gestalt_component_running", component="same", kind="Timer") == 2000
    for timer in timers:
        await timer.stop()


async def test_the_lag_of_the_event_loop_is_looked_at_once_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lag_module, "INTERVAL", 0.01)
    lag = watch_lag()
    before = lag.count
    assert watch_lag() is lag
    await until(lambda: lag.count > before)
    blocked = lag.sum
    await asyncio.sleep(0)
    threading.Event().wait(0.1)  # the event loop is blocked meanwhile
    await until(lambda: lag.sum > blocked + 0.05)
    assert [each.value for each in measure(None) if each.name == "loop_lag"] == [lag]
    monkeypatch.undo()
    assert value(render_prometheus(), "gestalt_process_loop_lag_seconds_count") >= 2


async def test_a_gauge_is_shown_as_it_is_now() -> None:
    level = [1.5]
    gauge = register(Gauge("level", function=lambda: level[0], unit="bytes"))
    try:
        assert value(render_prometheus(), "level_bytes") == 1.5
        level[0] = -2
        assert value(render_prometheus(), "level_bytes") == -2
    finally:
        unregister(gauge)


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("prometheus_client"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ExtraNotInstalled, match=r"pip install 'gestalt-runner\[metrics\]'"):
        render_prometheus()


def test_the_content_type_is_that_of_the_text_format() -> None:
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"
    assert "gestalt.runner.exporters" in sys.modules


async def test_what_cannot_be_shown_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    gauge = register(Gauge("python_info"))
    try:
        for _ in range(3):
            assert render_prometheus().count(b"# TYPE python_info") == 1
    finally:
        unregister(gauge)
    assert caplog.text.count("the metric python_info is not shown") == 1
