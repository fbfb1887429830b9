"""Metrics for OpenTelemetry, read by its own SDK."""

import asyncio
import builtins
from collections.abc import Iterable
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from gestalt.core import Component, ExtraNotInstalled, ManualClock, Timer
from gestalt.core.metrics import Counter, Gauge, Metric, measures, register, unregister
from gestalt.runner.exporters.opentelemetry import OpenTelemetryMetrics
from tests.support.waiting import until


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader: InMemoryMetricReader) -> Iterable[MeterProvider]:
    provider = MeterProvider(metric_readers=[reader])
    yield provider
    provider.shutdown()


def points(reader: InMemoryMetricReader) -> dict[str, dict[frozenset[Any], float]]:
    """The values of all metrics, by their names and attributes."""
    data = reader.get_metrics_data()
    found: dict[str, dict[frozenset[Any], float]] = {}
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                found[metric.name] = {
                    frozenset((point.attributes or {}).items()): point.value
                    for point in metric.data.data_points
                }
    return found


async def test_metrics_are_observed_in_another_thread(
    reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    clock = ManualClock()
    async with Timer.every(1.0, lambda: None, clock=clock, name="tick"):
        clock.advance(3)
        async with OpenTelemetryMetrics(provider):
            found = await asyncio.to_thread(points, reader)
    of = frozenset({("component", "tick"), ("kind", "Timer")})
    assert found["gestalt.timer.fired"][of] == 3
    assert found["gestalt.component.running"][of] == 1
    assert found["gestalt.timer.lateness.count"][of] == 3
    assert found["gestalt.timer.lateness.bucket"][of | {("le", "+Inf")}] == 3
    assert found["gestalt.timer.lateness.bucket"][of | {("le", "1e-05")}] == 3
    assert points(reader).get("gestalt.timer.fired", {}) == {}


async def test_what_is_registered_later_appears_and_follows_what_it_measures(
    reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    async with OpenTelemetryMetrics(provider, interval=0.01):
        assert "orders_taken" not in points(reader)
        counter = register(Counter("orders_taken", labels={"venue": "ASX"}))
        gauge = register(Gauge("level", unit="bytes"))
        counter.add(2)
        gauge.set(-7)
        await until(lambda: "level" in points(reader))
        found = points(reader)
        assert found["orders_taken"] == {frozenset({("venue", "ASX")}): 2}
        assert found["level"] == {frozenset(): -7}
        gauge.set(5)
        await until(lambda: points(reader)["level"] == {frozenset(): 5})
        unregister(counter)
        unregister(gauge)


async def test_names_follow_the_conventions_where_one_fits(
    reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    class Publishing(Component):
        async def _open(self) -> None:
            pass

        async def _close(self) -> None:
            pass

        @measures
        def _numbers(self) -> Iterable[Metric]:
            yield Metric("published", "counter", 5, subsystem="publisher")

    async with Publishing(), OpenTelemetryMetrics(provider):
        (value,) = points(reader)["messaging.client.sent.messages"].values()
        assert value == 5


@pytest.mark.parametrize("interval", [0, -1, float("inf"), float("nan")])
def test_an_interval_is_positive_and_finite(interval: float) -> None:
    with pytest.raises(ValueError, match="interval must be positive and finite"):
        OpenTelemetryMetrics(interval=interval)


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ExtraNotInstalled, match=r"pip install 'gestalt-runner\[otel\]'"):
        OpenTelemetryMetrics()
