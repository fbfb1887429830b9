"""Where a peer is better than Gestalt, as the figures have it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.harness.summary import Case, Row, Spread

MATTERS = 1.005
"""The least factor that two decimals show."""


@dataclass(frozen=True, slots=True)
class Better:
    """One contender of Gestalt's that one peer surpasses, in one number of one case.

    Attributes:
        times: how many times better the peer is, round by round where rounds can be paired.
    """

    case: Case
    ours: str
    peer: str
    number: str
    times: Spread

    @property
    def always(self) -> bool:
        """Whether it was so in every round."""
        return self.times.low > 1


def numbers(case: Case) -> Sequence[str]:
    """The numbers by which a case compares: with the rate goes the CPU time."""
    if case.plot == "rate":
        return ("rate", "cpu")
    return (case.plot,) if case.plot else ()


def better(cases: Iterable[Case]) -> Iterator[Better]:
    """Give each pair in which the peer is better; contenders on different event loops are none."""
    for case in cases:
        measured = [row for row in case.rows if row.name in case.rounds]
        for ours in (row for row in measured if row.is_ours):
            for number in numbers(case):
                for peer in measured:
                    if peer.is_ours or peer.loop != ours.loop:
                        continue
                    times = surpassed(case, ours, peer, number)
                    if times is not None and times.median > MATTERS:
                        yield Better(case, ours.name, peer.name, number, times)


def surpassed(case: Case, ours: Row, peer: Row, number: str) -> Spread | None:
    """How many times better than ours a peer is, or None where it does not give the number."""
    if number == "rate":
        return case.ratio(peer.name, ours.name)
    if number == "cpu":
        return case.cpu_ratio(ours.name, peer.name)
    mine, theirs = case.extra(ours.name, number), case.extra(peer.name, number)
    if mine is None or theirs is None or min(mine.low, theirs.low) <= 0:
        return None
    return Spread(mine.median / theirs.median, mine.low / theirs.high, mine.high / theirs.low)
