"""Numbers over all runs of one case: medians, spread, and ratios to a contender of the same run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

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
class Case:
    """All that was measured in one case of one benchmark."""

    benchmark: str
    name: str
    unit: str
    title: str
    reference: str
    contenders: Sequence[Contender]
    rounds: Rounds
    unavailable: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, ContenderError] = field(default_factory=dict)
    note: str = ""

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

    def json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        rows = {}
        for name, samples in self.rounds.items():
            numbers = {"rate": self.rate(name), "cpu": self.cpu(name)}
            if self.compared():
                numbers |= {"ratio": self.ratio(name), "cpu_ratio": self.cpu_ratio(name)}
            for extra in self.extras:
                if (spread := self.extra(name, extra)) is not None:
                    numbers[extra] = spread
            row: dict[str, Any] = {key: asdict(spread) for key, spread in numbers.items()}
            row["version"] = samples[0].version
            row["runs"] = [
                {"count": s.count, "seconds": s.seconds, "cpu": s.cpu, "extra": s.extra}
                for s in samples
            ]
            rows[name] = row
        return {
            "benchmark": self.benchmark,
            "case": self.name,
            "unit": self.unit,
            "reference": self.reference,
            "contenders": rows,
            "unavailable": dict(self.unavailable),
            "failed": {name: str(error) for name, error in self.failed.items()},
        }
