"""The page that Prometheus scrapes, made by prometheus-client."""

import asyncio
import logging
import weakref
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from gestalt.core import ExtraNotInstalled
from gestalt.core.metrics import Histogram

from .reading import Family, Labels, leave_out, read, read_in_turns

logger = logging.getLogger("gestalt.runner")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of the page."""

PATIENCE = 5.0
"""How long another thread waits for the event loop, in seconds."""

_installed: "weakref.WeakKeyDictionary[Any, Collector]" = weakref.WeakKeyDictionary()


def render_prometheus(*, registry: Any = None) -> bytes:
    """The metrics of all components, and of the application, in Prometheus' text format.

    It reads all of them at once; `prometheus_page` gives way to others meanwhile.

    Args:
        registry: what prometheus-client has of its own; its default registry by default.

    Raises:
        ExtraNotInstalled: prometheus-client is missing.
    """
    client = prometheus_client()
    return _render(client, registry or client.REGISTRY, None)


async def prometheus_page(*, registry: Any = None) -> bytes:
    """The same as `render_prometheus`, without holding the event loop for more than some ms.

    Raises:
        ExtraNotInstalled: prometheus-client is missing.
    """
    client = prometheus_client()
    return _render(client, registry or client.REGISTRY, await read_in_turns())


def install_collector(*, registry: Any = None) -> None:
    """Have prometheus-client itself show what components count, wherever it shows its registry.

    Call it in the event loop of the components. The collector may be asked in any thread, and asks
    the event loop then; where that does not answer in 5 s, it tells of it and shows nothing.

    Args:
        registry: its default registry by default.

    Raises:
        ExtraNotInstalled: prometheus-client is missing.
        RuntimeError: no event loop runs in this thread.
    """
    registry = registry or prometheus_client().REGISTRY
    loop = asyncio.get_running_loop()
    collector = _installed.get(registry)
    if collector is None:
        collector = _installed[registry] = Collector()
        registry.register(collector)
    collector.loop = loop


class Collector:
    """What prometheus-client asks for metrics.

    Attributes:
        loop: the event loop of the components.
        prepared: what was read already, for the next answer.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.prepared: list[Family] | None = None

    def describe(self) -> list[Any]:
        """Nothing: what there is changes, and is not to be read when this is registered."""
        return []

    def collect(self) -> Iterator[Any]:
        """The metrics, as prometheus-client has them."""
        yield from _convert(prometheus_client(), self._read())

    def _read(self) -> list[Family]:
        loop = self.loop
        if self.prepared is not None:
            return self.prepared
        if _running_loop() is not None or loop is None or not loop.is_running():
            return read()
        reading = asyncio.run_coroutine_threadsafe(read_in_turns(), loop)
        try:
            return reading.result(PATIENCE)
        except TimeoutError:
            reading.cancel()
            logger.warning("the event loop gave no metrics for %s s: none are shown", PATIENCE)
            return []


class _Page:
    """A registry with what components count behind it."""

    def __init__(self, client: Any, registry: Any, families: list[Family]) -> None:
        self._client = client
        self._registry = registry
        self._families = families

    def collect(self) -> Iterator[Any]:
        taken = set()
        for metric in self._registry.collect():
            taken.add(metric.name)
            yield metric
        for metric in _convert(self._client, self._families):
            if metric.name in taken:
                leave_out(f"the metric {metric.name} is not shown: prometheus-client has one")
            else:
                yield metric


def _render(client: Any, registry: Any, families: list[Family] | None) -> bytes:
    collector = _installed.get(registry)
    if collector is not None:
        collector.prepared = families
        try:
            return bytes(client.generate_latest(registry))
        finally:
            collector.prepared = None
    page = _Page(client, registry, read() if families is None else families)
    return bytes(client.generate_latest(page))


def _convert(client: Any, families: Iterable[Family]) -> Iterator[Any]:
    core = client.core
    kinds = {
        "counter": core.CounterMetricFamily,
        "gauge": core.GaugeMetricFamily,
        "histogram": core.HistogramMetricFamily,
    }
    for family in families:
        names = _label_names(family.samples)
        metric = kinds[family.kind](family.name, family.help, labels=names, unit=family.unit)
        for labels, value in family.samples.items():
            known = dict(labels)
            values = [known.get(name, "") for name in names]
            if isinstance(value, Histogram):
                bounds = [*map(client.utils.floatToGoString, value.bounds), "+Inf"]
                buckets = list(zip(bounds, accumulate(value.counts), strict=True))
                metric.add_metric(values, buckets, value.sum)
            else:
                metric.add_metric(values, value)
        yield metric


def _label_names(samples: Iterable[Labels]) -> list[str]:
    names: dict[str, None] = {}
    for labels in samples:
        names.update((name, None) for name, _ in labels)
    return list(names)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def prometheus_client() -> Any:
    """The library, with those of its modules that are used here; or ExtraNotInstalled."""
    try:
        import prometheus_client
        import prometheus_client.core
        import prometheus_client.utils
    except ImportError as error:
        raise ExtraNotInstalled(
            "metrics for Prometheus need prometheus-client: pip install 'gestalt-runner[metrics]'"
        ) from error
    return prometheus_client
