"""Numbers over all runs of one case: medians, spread, and ratios to a contender of the same run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.harness.launch import ContenderError
from benchmarks.harness.model import Contender
from benchmarks.harness.process import Sample

Rounds = Mapping[str, Sequence[Sample]]
"""The samples of each contender, by name; the n-th ones of all belong to the same round."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and the least and the greatest value around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Summarize at least one value."""
        ordered = sorted(values)
        return cls(median(ordered), ordered[0], ordered[-1])

    @property
    def percent(self) -> float:
        """Half of the whole range, in percent of the median."""
        return 50 * (self.high - self.low) / abs(self.median) if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of a contender, measured or not.

    Attributes:
        name: the contender's.
        work: what it does for each unit.
        guarantees: what a user may rely on.
        package: the distribution whose version stands beside the name.
        loop: the event loop that it runs on.
        bare: whether it is what the work takes at least, and no library.
    """

    name: str
    work: str
    guarantees: str
    package: str | None = None
    loop: str = "asyncio"
    bare: bool = False

    @classmethod
    def of(cls, contender: Contender) -> "Row":
        """The row of a contender."""
        return cls(
            contender.name,
            contender.work,
            contender.guarantees,
            contender.package,
            contender.loop,
            contender.bare,
        )

    @property
    def is_ours(self) -> bool:
        """Whether it is Gestalt: the names of such contenders begin with that of a package."""
        return self.name.startswith("gestalt.")


@dataclass(frozen=True, slots=True)
class Case:
    """All that was measured in one case of one benchmark.

    Attributes:
        benchmark: `suite/file`.
        name: the case's; empty where there is one only.
        rows: the contenders, in their order.
        rounds: the samples of those that were measured.
        unavailable: why others were not, in a sentence.
        failed: what went wrong with the rest.
        seconds: how long each measured call was to last.
        quick: whether that was a quick run.
        versions: of what was around it, such as a broker.
        unit, title, reference, note, plot, compares_cpu: those of the benchmark.
    """

    benchmark: str
    name: str
    unit: str
    title: str
    reference: str
    rows: Sequence[Row]
    rounds: Rounds
    unavailable: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, ContenderError] = field(default_factory=dict)
    note: str = ""
    plot: str = "rate"
    compares_cpu: bool = True
    seconds: float = 0.0
    quick: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)

    def rate(self, contender: str) -> "Spread":
        """Units per second."""
        return Spread.of(sample.rate for sample in self.rounds[contender])

    def cpu(self, contender: str) -> "Spread":
        """CPU seconds per unit, of all the contender's processes."""
        return Spread.of(sample.cpu_each for sample in self.rounds[contender])

    def ratio(self, contender: str, against: str | None = None) -> "Spread":
        """How many times the rate of another contender, round by round."""
        other = self.rounds[against or self.reference]
        pairs = zip(self.rounds[contender], other, strict=True)
        return Spread.of(mine.rate / theirs.rate for mine, theirs in pairs)

    def cpu_ratio(self, contender: str, against: str | None = None) -> "Spread":
        """How many times the CPU time per unit of another contender, round by round."""
        other = self.rounds[against or self.reference]
        pairs = zip(self.rounds[contender], other, strict=True)
        return Spread.of(mine.cpu_each / theirs.cpu_each for mine, theirs in pairs)

    def extra(self, contender: str, name: str) -> Spread | None:
        """A number of the contender's own, or None when it does not give it."""
        values = [s.extra[name] for s in self.rounds[contender] if name in s.extra]
        return Spread.of(values) if values else None

    @property
    def extras(self) -> list[str]:
        """The names of all contenders' own numbers, in order of appearance."""
        samples = (sample for samples in self.rounds.values() for sample in samples)
        return list(dict.fromkeys(name for sample in samples for name in sample.extra))

    def compared(self) -> bool:
        """Whether the reference was measured, so that ratios exist."""
        return self.reference in self.rounds

    def number(self, contender: str, name: str) -> Spread | None:
        """The rate, the CPU time or an extra number of a contender, or None without it."""
        match name:
            case "rate":
                return self.rate(contender)
            case "cpu":
                return self.cpu(contender)
            case extra:
                return self.extra(contender, extra)

    @property
    def heading(self) -> str:
        """The benchmark's title, and the case's name where it has one."""
        return f"{self.title}, {self.name}" if self.name else self.title
