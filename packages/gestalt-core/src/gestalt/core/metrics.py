"""What components count, and what an application counts besides; see docs/runner/metrics.md."""

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from . import vocabulary
from .calling import RAISED
from .component import Component
from .identity import IdentityMap
from .instruments import (
    BOUNDS,
    Counter,
    Description,
    Gauge,
    Histogram,
    Kind,
    Metric,
    Unit,
)
from .life import State
from .marks import Mark
from .numbers import kind_of
from .reporting import Reports

__all__ = [
    "BOUNDS",
    "Counter",
    "Description",
    "Gauge",
    "Histogram",
    "Kind",
    "Metric",
    "Unit",
    "measure",
    "measures",
    "register",
    "unregister",
]

Instrument = Counter | Gauge | Histogram

F = TypeVar("F", bound=Callable[[Any], Iterable[Metric]])
I = TypeVar("I", Counter, Gauge, Histogram)  # noqa: E741 - an instrument

_mark = Mark("measures")
_of_components: IdentityMap[Component, list[Instrument]] = IdentityMap()
_of_process: list[Instrument] = []
_reports = Reports(logging.getLogger("gestalt.core"))


def measures(method: F) -> F:
    """Have `measure` call the decorated method of a component, for metrics of its own.

        class Warehouse(Component):
            @measures
            def _stock(self) -> Iterable[Metric]:
                yield Metric("articles", "gauge", len(self.articles), help="Articles in stock.")

    It is called in the event loop, and must not wait. The method of a subclass takes the place of
    none of its base classes, whatever it is called: both are asked.

    Raises:
        TypeError: it is no plain function.
    """
    if inspect.iscoroutinefunction(method):
        raise TypeError(f"@measures is for plain methods, got {kind_of(method)}")
    _mark.put(method)
    return method


def register(instrument: I, component: Component | None = None) -> I:
    """Have exporters show a counter, a gauge or a histogram of the application.

        orders = register(Counter("orders_taken", help="Orders that were taken."))
        orders.add()

    Args:
        instrument: what counts.
        component: what it is counted of, which is not kept alive by it; by default, the process.

    Returns:
        The instrument.

    Raises:
        ValueError: there is one of this name, with the same labels or of another kind.
        TypeError: it is no instrument, or the component is none.
    """
    if not isinstance(instrument, Counter | Gauge | Histogram):
        raise TypeError(f"a counter, a gauge or a histogram is needed, got {kind_of(instrument)}")
    present = _instruments(component)
    new = instrument.description
    for known in (each.description for each in present):
        if known.name == new.name and (known.labels == new.labels or known.kind != new.kind):
            raise ValueError(f"there is a metric {new.name!r} already, a {known.kind}")
    if component is not None and not present:
        _of_components.set(component, present)
    present.append(instrument)
    return instrument


def unregister(instrument: Instrument, component: Component | None = None) -> None:
    """Have exporters not show it any more; nothing happens where they do not.

    Args:
        instrument: what was registered.
        component: with what.
    """
    present = _instruments(component)
    present[:] = [each for each in present if each is not instrument]


def measure(component: Component | None = None) -> list[Metric]:
    """Read all metrics of a component, or those that belong to the process alone.

    It is called in the component's event loop. It never raises: where a method or a function that
    gives a metric does, that is logged and counted as `unmeasured` of the process, and the others
    are given. Of methods, those of base classes come first.

    Raises:
        TypeError: it is no component.
    """
    if component is None:
        found = list(_read_all(_of_process, "the process"))
        return [vocabulary.UNMEASURED("process", _reports.count), *found]
    if not isinstance(component, Component):
        raise TypeError(f"a component has metrics, got {kind_of(component)}")
    found = [
        vocabulary.RUNNING("component", int(component.state is State.RUNNING)),
        vocabulary.REPORTED("component", component.reported),
    ]
    for method in _mark.methods_of(type(component)):
        try:
            # As many as it gives before it raises.
            for metric in method(component):
                found.append(_checked(metric))
        except RAISED as error:
            _reports.log(f"{_title(component)}: its metrics cannot be read", error)
    found.extend(_read_all(_of_components.get(component) or (), component))
    return found


def _instruments(component: Component | None) -> list[Instrument]:
    if component is None:
        return _of_process
    if not isinstance(component, Component):
        raise TypeError(f"metrics belong to a component, got {kind_of(component)}")
    return _of_components.get(component) or []


def _read_all(instruments: Iterable[Instrument], owner: object) -> Iterator[Metric]:
    for instrument in instruments:
        try:
            yield _checked(instrument.metric())
        except RAISED as error:
            name = instrument.description.name
            _reports.log(f"{_title(owner)}: its metric {name} cannot be read", error)


def _checked(metric: object) -> Metric:
    if not isinstance(metric, Metric):
        raise TypeError(f"a metric is needed, got {kind_of(metric)}")
    wanted = Histogram if metric.kind == "histogram" else (int, float)
    if not isinstance(metric.value, wanted):
        raise TypeError(f"the {metric.kind} {metric.name} has {kind_of(metric.value)} as its value")
    return metric


def _title(owner: object) -> str:
    """What an owner is called in a line of the log, even where its own repr raises."""
    return owner if isinstance(owner, str) else f"a component of type {type(owner).__name__}"
