"""Where a peer is better than Gestalt, as the figures have it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.harness.summary import Case, Row, Spread

MATTERS = 1.005
"""The least factor that two decimals show."""


@dataclass(frozen=True, slots=True)
class Better:
    """One contender that surpasses one of Gestalt's in a case.

    Attributes:
        times: how many times better it is in each number in which it is, by the number's name;
            round by round where rounds can be paired.
    """

    case: Case
    ours: Row
    other: Row
    times: Mapping[str, Spread]


def numbers(case: Case) -> Sequence[str]:
    """The numbers by which a case compares: with the rate goes the CPU time, as a rule."""
    if case.plot == "rate":
        return ("rate", "cpu") if case.compares_cpu else ("rate",)
    return (case.plot,) if case.plot else ()


def better(cases: Iterable[Case]) -> Iterator[Better]:
    """Give each pair in which the other is better; different event loops are not compared."""
    for case in cases:
        measured = [row for row in case.rows if row.name in case.rounds]
        for ours in (row for row in measured if row.is_ours):
            for other in measured:
                if other.is_ours or other.loop != ours.loop:
                    continue
                times = {number: surpassed(case, ours, other, number) for number in numbers(case)}
                found = {key: it for key, it in times.items() if it and it.median > MATTERS}
                if found:
                    yield Better(case, ours, other, found)


def surpassed(case: Case, ours: Row, other: Row, number: str) -> Spread | None:
    """How many times better than ours another is, or None where it does not give the number."""
    if number == "rate":
        return case.ratio(other.name, ours.name)
    if number == "cpu":
        return case.cpu_ratio(ours.name, other.name)
    mine, theirs = case.extra(ours.name, number), case.extra(other.name, number)
    if mine is None or theirs is None or min(mine.low, theirs.low) <= 0:
        return None
    return Spread(mine.median / theirs.median, mine.low / theirs.high, mine.high / theirs.low)
