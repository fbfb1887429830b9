"""What components count, for OpenTelemetry: observable instruments over what was read last."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any

from gestalt.core import Component, ExtraNotInstalled
from gestalt.core.metrics import Histogram

from .reading import Family, read_in_turns

UNITS = {"": "1", "seconds": "s", "bytes": "By"}
"""The units as UCUM has them."""

CONVENTIONS = {
    ("publisher", "published"): "messaging.client.sent.messages",
    ("subscription", "received"): "messaging.client.consumed.messages",
}
"""The names of the semantic conventions for messaging, where one fits (version 1.27)."""

Value = tuple[float, dict[str, str]]


class OpenTelemetryMetrics(Component):
    """Shows what components count by the instruments of OpenTelemetry, while it runs.

        run(Group(bus, server, OpenTelemetryMetrics()))

    It reads them in the event loop every `interval` seconds; what OpenTelemetry asks for in its own
    thread is what was read last. A histogram becomes three counters, `...count`, `...sum` and
    `...bucket` with the attribute `le`, since OpenTelemetry has no histogram to be observed.

    Args:
        provider: OpenTelemetry's meter provider; the global one by default.
        interval: how often everything is read, in seconds.
        name: how the component is called in messages.

    Raises:
        ExtraNotInstalled: OpenTelemetry is missing.
        ValueError: `interval` is not positive.
    """

    def __init__(
        self, provider: Any = None, *, interval: float = 10.0, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        if not 0 < interval < float("inf"):
            raise ValueError(f"interval must be positive and finite, got {interval}")
        try:
            from opentelemetry import metrics
        except ImportError as error:
            raise ExtraNotInstalled(
                "metrics for OpenTelemetry need opentelemetry-api: "
                "pip install 'gestalt-runner[otel]'"
            ) from error
        self._metrics = metrics
        self._meter = metrics.get_meter("gestalt", meter_provider=provider)
        self._interval = interval
        self._values: dict[str, list[Value]] = {}
        # Those that there are; none is ever taken away.
        self._instruments: set[str] = set()

    async def _open(self) -> None:
        await self._look()
        self._spawn(self._keep_looking(), name="reading")

    async def _close(self) -> None:
        self._values = {}

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._look()

    async def _look(self) -> None:
        values: dict[str, list[Value]] = {}
        kinds: dict[str, Family] = {}
        for family in await read_in_turns():
            for name, value in _values_of(family):
                values.setdefault(name, []).append(value)
                kinds.setdefault(name, family)
        # Replaced at once: another thread may be reading it.
        self._values = values
        for name in values.keys() - self._instruments:
            self._instruments.add(name)
            self._add(name, kinds[name])

    def _add(self, name: str, family: Family) -> None:
        counts = family.kind == "histogram" and not name.endswith(".sum")
        unit = "1" if counts else UNITS[family.unit]
        meter = self._meter
        gauge = family.kind == "gauge"
        make: Any = meter.create_observable_gauge if gauge else meter.create_observable_counter
        make(name, callbacks=[self._observer(name)], unit=unit, description=family.help)

    def _observer(self, name: str) -> Callable[[Any], Iterable[Any]]:
        observation = self._metrics.Observation

        def observe(_: Any) -> Iterable[Any]:
            return [observation(*value) for value in self._values.get(name, ())]

        return observe


def _values_of(family: Family) -> Iterator[tuple[str, Value]]:
    """What a family is to OpenTelemetry: names, each with a value and its attributes."""
    name = CONVENTIONS.get((family.subsystem, family.short))
    if name is None:
        name = f"gestalt.{family.subsystem}.{family.short}" if family.subsystem else family.short
    for labels, value in family.samples.items():
        attributes = dict(labels)
        if not isinstance(value, Histogram):
            yield name, (value, attributes)
            continue
        yield f"{name}.count", (value.count, attributes)
        yield f"{name}.sum", (value.sum, attributes)
        bounds = [*map(str, value.bounds), "+Inf"]
        for bound, count in zip(bounds, accumulate(value.counts), strict=True):
            yield f"{name}.bucket", (count, {**attributes, "le": bound})
