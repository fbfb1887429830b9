"""The floors: what `--check` holds every run against. They stand in benchmarks/floors.toml."""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.summary import Case, Spread

NUMBERS = ("rate", "ratio", "cpu", "cpu_ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """One promise.

    Args:
        benchmark: `suite/file`.
        contender: the row that it binds.
        number: `rate`, `ratio`, `cpu` (seconds per unit), `cpu_ratio`, or the name of an extra
            column.
        case: the case; every case when it is not given.
        against: the contender that a ratio refers to; the benchmark's reference when it is not
            given.
        at_least: the least value that is allowed.
        at_most: the greatest value that is allowed.
    """

    benchmark: str
    contender: str
    number: str
    case: str | None = None
    against: str | None = None
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.benchmark}, {self.contender}: give at_least or at_most")
        if self.against is not None and self.number not in ("ratio", "cpu_ratio"):
            raise ValueError(f"{self.benchmark}, {self.contender}: against goes with a ratio")

    def applies(self, case: Case) -> bool:
        """Whether this case is bound by it."""
        return case.benchmark == self.benchmark and self.case in (None, case.name)

    def failure(self, case: Case) -> str | None:
        """Return a sentence when the case breaks the promise.

        The harness's own numbers are judged by their median, since a busy machine can spoil a run.
        A contender's own numbers (lost messages, ticks off) are judged by the worst run.
        """
        where = f"{self.benchmark}{f' ({case.name})' if case.name else ''}, {self.contender}"
        spread = self._spread(case)
        if spread is None:
            return f"{where}: {self.number} was not measured"
        own = self.number not in NUMBERS
        if self.at_least is not None:
            value = spread.low if own else spread.median
            if value >= self.at_least:
                return None
            promise = f"at least {self.at_least:g}"
        else:
            assert self.at_most is not None
            value = spread.high if own else spread.median
            if value <= self.at_most:
                return None
            promise = f"at most {self.at_most:g}"
        rounds = len(case.rounds[self.contender])
        found = f"{value:.4g} ({spread.low:.4g} to {spread.high:.4g} in {rounds} rounds)"
        return f"{where}: {self.number} is {found}, {promise} is promised"

    def is_measured(self, case: Case) -> bool:
        """Whether the case has both contenders."""
        return {self.contender, self.against or case.reference} <= case.rounds.keys()

    def _spread(self, case: Case) -> Spread | None:
        if not self.is_measured(case):
            return None
        match self.number:
            case "rate":
                return case.rate(self.contender)
            case "cpu":
                return case.cpu(self.contender)
            case "ratio":
                return case.ratio(self.contender, self.against)
            case "cpu_ratio":
                return case.cpu_ratio(self.contender, self.against)
            case extra:
                return case.extra(self.contender, extra)


def load(path: Path) -> list[Floor]:
    """Read the `[[floor]]` tables of a file.

    Raises:
        ValueError: a table is not a floor.
    """
    with path.open("rb") as file:
        tables = tomllib.load(file).get("floor", [])
    try:
        return [Floor(**table) for table in tables]
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error


def check(cases: Sequence[Case], floors: Iterable[Floor]) -> list[str]:
    """Return a sentence for each promise that a case breaks."""
    return [
        failure
        for floor in floors
        for case in cases
        if floor.applies(case) and (failure := floor.failure(case)) is not None
    ]


def in_doubt(case: Case, floors: Iterable[Floor]) -> bool:
    """Whether more rounds may show that a promise is kept that these break.

    What one bad run breaks, as lost messages do, they cannot mend.
    """
    return any(
        floor.applies(case)
        and floor.number in NUMBERS
        and floor.is_measured(case)
        and floor.failure(case) is not None
        for floor in floors
    )
