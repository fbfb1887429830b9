"""What all components count, added up by the names under which exporters show it."""

import asyncio
import contextlib
import logging
import re
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from gestalt.core import Component
from gestalt.core.census import components
from gestalt.core.metrics import Counter, Histogram, Kind, Metric, Unit, measure, register

from .lag import watch_lag

logger = logging.getLogger("gestalt.runner")

MOST_TOLD = 1000
"""Of how many metrics that cannot be shown the log tells."""

BUDGET = 0.002
"""For how long the event loop is held at a time, in seconds."""

Labels: TypeAlias = tuple[tuple[str, str], ...]

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
_told: set[str] = set()
_left_out: list[Counter] = []


@dataclass(slots=True)
class Family:
    """Everything that has one name.

    Attributes:
        name: as Prometheus has it, without `_total` and unit.
        kind: counter, gauge or histogram.
        unit: what the values are in.
        help: what it says.
        subsystem: which part of Gestalt it belongs to; none for those of the application.
        short: the name without that.
        samples: the values by their labels.
    """

    name: str
    kind: Kind
    unit: Unit
    help: str
    subsystem: str
    short: str
    samples: dict[Labels, float | Histogram] = field(default_factory=dict)


class Reading:
    """Adds up what is measured.

    Components of one name and class count as one, since their number has no bound: counters and
    gauges are added up, but of gauges in seconds, and of those called `max_...`, the greatest is
    taken.
    """

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def add(self, component: Component | None) -> None:
        """Measure a component, or the process itself."""
        of: Labels = ()
        if component is not None:
            of = (("component", _text(component.name)), ("kind", type(component).__name__))
        for metric in measure(component):
            labels = of
            if metric.labels:
                own = ((str(key), _text(value)) for key, value in metric.labels.items())
                labels = (*of, *sorted(own))
            self._put(metric, labels)

    def families(self) -> list[Family]:
        """What was added so far, in the order of names."""
        return [self._families[name] for name in sorted(self._families)]

    def _put(self, metric: Metric, labels: Labels) -> None:
        prefix = f"gestalt_{metric.subsystem}_" if metric.subsystem else ""
        name = prefix + metric.name
        if not (_valid(name) and all(_valid(label) for label, _ in labels)):
            leave_out(f"the metric {metric.name[:99]!r} cannot be shown: it or a label is no name")
            return
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = Family(
                name, metric.kind, metric.unit, metric.help, metric.subsystem, metric.name
            )
        elif (family.kind, family.unit) != (metric.kind, metric.unit):
            leave_out(f"the {metric.kind} {name} cannot be shown: another one is a {family.kind}")
            return
        self._merge(family, labels, metric.value)

    def _merge(self, family: Family, labels: Labels, value: float | Histogram) -> None:
        present = family.samples.get(labels)
        if isinstance(value, Histogram):
            # A copy: the histogram goes on.
            total = Histogram(bounds=value.bounds)
            total.add(value)
            if isinstance(present, Histogram):
                if present.bounds != value.bounds:
                    leave_out(f"the histogram {family.name} cannot be added up: bounds differ")
                    return
                total.add(present)
            family.samples[labels] = total
        elif not isinstance(present, float):
            family.samples[labels] = float(value)
        elif family.kind == "gauge" and (family.unit == "seconds" or "max_" in family.name):
            family.samples[labels] = max(present, value)
        else:
            family.samples[labels] = present + value


def read() -> list[Family]:
    """Read all metrics of the process; in the event loop of its components, which it holds."""
    with contextlib.suppress(RuntimeError):
        watch_lag()
    reading = Reading()
    for component in [None, *components()]:
        reading.add(component)
    return reading.families()


async def read_in_turns() -> list[Family]:
    """Read all metrics of the process, and give way to others every 2 ms."""
    watch_lag()
    reading = Reading()
    until = time.monotonic() + BUDGET
    for component in [None, *components()]:
        reading.add(component)
        if time.monotonic() >= until:
            await asyncio.sleep(0)
            until = time.monotonic() + BUDGET
    return reading.families()


@lru_cache(maxsize=4096)
def _valid(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and "__" not in name


def _text(value: object) -> str:
    """A label's value, such that it can be written."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def leave_out(message: str) -> None:
    """Tell of a metric that is not shown, once, and count it each time."""
    if not _left_out:
        text = "Metrics that exporters could not show."
        _left_out.append(register(Counter("left_out", help=text, subsystem="process")))
    _left_out[0].add()
    if message not in _told and len(_told) < MOST_TOLD:
        _told.add(message)
        logger.warning("%s", message)
