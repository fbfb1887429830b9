"""What is measured: counters, gauges and histograms."""

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias, TypedDict, Unpack

from .numbers import check_number, choice_of, kind_of

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Unit: TypeAlias = Literal["", "seconds", "bytes"]

NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})

BOUNDS: Final = tuple(
    [float(f"{digit}e{exponent}") for exponent in range(-5, 2) for digit in (1, 2, 5)] + [100.0]
)
"""The upper bounds of a histogram's buckets, by default: from 10 µs to 100 s, three a decade."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LABEL = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
# What exporters say themselves about a metric.
_TAKEN = frozenset({"component", "kind", "le", "quantile"})


class InstrumentOptions(TypedDict, total=False):
    """What an instrument may be given by name; Histogram says what each means."""

    help: str
    unit: Unit
    labels: Mapping[str, str]
    subsystem: str


class Histogram:
    """How often a value was how large: a count for each of a few ranges, and the sum of all.

    To record one is to add to three numbers, and costs a fifth of a microsecond.

    Args:
        name: what it is called by exporters, in snake_case.
        bounds: the greatest value of each range, ascending; greater ones have a range of their own.
        help: what it says, in a sentence.
        unit: what the values are in; of a histogram, seconds by default.
        labels: tells it from others of its name; few values each, since exporters keep them all.
        subsystem: which part of Gestalt it belongs to; none for those of an application.

    Attributes:
        count: how many values were recorded.
        sum: of all of them.
        counts: how many of them are in each range; one more than there are `bounds`.

    Raises:
        ValueError: the name or a label cannot be one, or the bounds do not ascend.
    """

    __slots__ = ("bounds", "counts", "description", "sum")

    def __init__(
        self,
        name: str = "latency",
        *,
        bounds: Iterable[float] = BOUNDS,
        **options: Unpack[InstrumentOptions],
    ) -> None:
        if bounds is not BOUNDS:
            bounds = tuple(check_number("a bound", each) for each in bounds)
            ascending = all(a < b for a, b in pairwise(bounds))
            if not bounds or not ascending or not all(map(math.isfinite, bounds)):
                raise ValueError("bounds must be finite numbers, at least one, and ascend")
        options.setdefault("unit", "seconds")
        self.description: Description = describe(name, "histogram", options)
        self.bounds: tuple[float, ...] = bounds
        self.counts: list[int] = [0] * (len(bounds) + 1)
        self.sum: float = 0.0

    def record(self, value: float, times: int = 1) -> None:
        """Count a value, or so many that are alike.

        Raises:
            ValueError: it is negative, infinite or not a number.
        """
        if not 0.0 <= value < math.inf:
            raise ValueError(f"a histogram takes finite numbers from 0 on, got {value}")
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    @property
    def count(self) -> int:
        return sum(self.counts)

    def percentile(self, p: float) -> float:
        """About which value `p` percent of all do not exceed; not a number where there are none.

        It is interpolated within a range; values beyond the last bound count as that bound.

        Args:
            p: from 0 to 100.

        Raises:
            ValueError: it is not.
        """
        if not 0 <= p <= 100:
            raise ValueError(f"p must be from 0 to 100, got {p}")
        counts = list(self.counts)
        left = sum(counts) * p / 100
        if not sum(counts):
            return math.nan
        lower = 0.0
        for upper, count in zip(self.bounds, counts, strict=False):
            if count and left <= count:
                return lower + (upper - lower) * left / count
            left -= count
            lower = upper
        return lower

    def add(self, other: "Histogram") -> None:
        """Count what another one has counted.

        Raises:
            ValueError: it has other bounds.
        """
        if other.bounds != self.bounds:
            raise ValueError("histograms with different bounds cannot be added")
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    def metric(self) -> "Metric":
        """What exporters are given; its value is the histogram itself, which goes on."""
        return self.description.of(self)


class Metric(NamedTuple):
    """A number that something counts or measures, as it is now.

    Args:
        name: in snake_case, without a prefix: "received".
        kind: whether it only grows, goes up and down, or tells how values are distributed.
        value: the number, or the Histogram.
        unit: what it is in.
        help: what it says, in a sentence.
        labels: tells it from others of its name.
        subsystem: which part of Gestalt it belongs to, "stream", which exporters put before its
            name; none for those of an application.
    """

    name: str
    kind: Kind
    value: float | Histogram
    unit: Unit = ""
    help: str = ""
    labels: Mapping[str, str] = NO_LABELS
    subsystem: str = ""


class Description(NamedTuple):
    """What a metric says, whatever its value; see Metric."""

    name: str
    kind: Kind
    help: str
    unit: Unit = ""
    labels: Mapping[str, str] = NO_LABELS
    subsystem: str = ""

    def of(self, value: float | Histogram) -> Metric:
        """The metric that has this value."""
        return Metric(
            self.name, self.kind, value, self.unit, self.help, self.labels, self.subsystem
        )

    def __call__(
        self, subsystem: str, value: float | Histogram, labels: Mapping[str, str] = NO_LABELS
    ) -> Metric:
        """The metric of this value, of one part of Gestalt."""
        return Metric(self.name, self.kind, value, self.unit, self.help, labels, subsystem)


class Counter:
    """A number that only grows; its parameters are those of Histogram.

    Attributes:
        value: how much it has counted.
    """

    __slots__ = ("description", "value")

    def __init__(self, name: str, **options: Unpack[InstrumentOptions]) -> None:
        self.description: Description = describe(name, "counter", options)
        self.value: float = 0

    def add(self, amount: float = 1) -> None:
        """Count `amount` more.

        Raises:
            ValueError: it is negative, infinite or not a number.
        """
        if not 0 <= amount < math.inf:
            raise ValueError(f"a counter only grows, by finite numbers, got {amount}")
        self.value += amount

    def metric(self) -> Metric:
        """What exporters are given."""
        return self.description.of(self.value)


class Gauge:
    """A number that goes up and down; its parameters are those of Histogram.

    Args:
        function: gives the number whenever it is asked for, in the thread that asks; without it,
            the number is what `set` and `add` have made of it.
    """

    __slots__ = ("_function", "_value", "description")

    def __init__(
        self,
        name: str,
        *,
        function: Callable[[], float] | None = None,
        **options: Unpack[InstrumentOptions],
    ) -> None:
        if function is not None and not callable(function):
            raise TypeError(f"function must be one without arguments, got {kind_of(function)}")
        self.description: Description = describe(name, "gauge", options)
        self._function = function
        self._value: float = 0

    @property
    def value(self) -> float:
        """The number as it is now."""
        return self._value if self._function is None else self._function()

    def set(self, value: float) -> None:
        """Make the number this one."""
        self._value = value

    def add(self, amount: float) -> None:
        """Make the number greater by `amount`, or less where that is negative."""
        self._value += amount

    def metric(self) -> Metric:
        """What exporters are given."""
        return self.description.of(self.value)


def describe(name: str, kind: Kind, options: InstrumentOptions) -> Description:
    """Check what an application says of a metric.

    Raises:
        ValueError: the name, the unit or a label cannot be one.
        TypeError: a label's value is no string.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a metric's name is in snake_case, such as orders_taken, got {choice_of(name)}"
        )
    unit = options.get("unit", "")
    if unit not in ("", "seconds", "bytes"):
        raise ValueError(f'a unit is "", "seconds" or "bytes", got {choice_of(unit)}')
    labels = options.get("labels", NO_LABELS)
    for label, value in labels.items():
        if not _LABEL.fullmatch(label):
            raise ValueError(f"a label is a name of letters, digits and _, got {choice_of(label)}")
        if label in _TAKEN:
            raise ValueError(f"exporters have a label {label!r} of their own: take another")
        if not isinstance(value, str):
            raise TypeError(f"the label {label!r} must have a str, got {kind_of(value)}")
    if labels:
        labels = MappingProxyType(dict(labels))
    help_text = options.get("help", "")
    return Description(name, kind, help_text, unit, labels, options.get("subsystem", ""))
