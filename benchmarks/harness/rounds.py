"""One benchmark, measured: every contender in turn, again and again."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from benchmarks.harness.launch import ContenderError
from benchmarks.harness.model import Benchmark, Contender, Options, Unavailable
from benchmarks.harness.process import GRACE, Sample, measure
from benchmarks.harness.summary import Case, Row

AGAIN = 5
"""How many times as many rounds there are at most, where what they give is in doubt."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Args:
        rounds: how often each contender is measured.
        seconds: the length of a measured call; the benchmark's own when it is None.
        warmup: the length of the call before it.
        quick: whether the benchmark's quick length applies.
        first_case: whether the other cases are left out.
        grace: how long a call may take beyond three times its length, in seconds.
    """

    rounds: int = 5
    seconds: float | None = None
    warmup: float = 0.3
    quick: bool = False
    first_case: bool = False
    grace: float = GRACE

    def length(self, benchmark: Benchmark) -> float:
        """The length of a measured call, in seconds."""
        if self.seconds is not None:
            return self.seconds
        return benchmark.quick_seconds if self.quick else benchmark.seconds

    def cases(self, benchmark: Benchmark) -> list[str]:
        """The names of the cases that are measured."""
        return list(benchmark.cases)[: 1 if self.first_case else None]

    def is_met(self, benchmark: Benchmark, case: Case) -> bool:
        """Whether a case was measured as fully before."""
        return (
            case.seconds >= self.length(benchmark)
            and (self.is_quick or not case.quick)
            and all(len(samples) >= self.rounds for samples in case.rounds.values())
        )

    @property
    def is_quick(self) -> bool:
        """Whether this is less than the whole."""
        return self.quick or self.first_case


def order(contenders: Sequence[Contender], number: int) -> list[Contender]:
    """Return the order of a round: each one begins with another contender."""
    shift = number % len(contenders)
    return [*contenders[shift:], *contenders[:shift]]


async def cases(
    name: str,
    benchmark: Benchmark,
    effort: Effort,
    given: Options,
    *,
    chosen: Callable[[Contender], bool] = lambda contender: True,
    wanted: Callable[[str], bool] = lambda case: True,
    in_doubt: Callable[[Case], bool] = lambda case: False,
    progress: Callable[[str], None] = lambda text: None,
) -> AsyncGenerator[Case, None]:
    """Measure a benchmark and give each of its cases when it is done.

    Args:
        name: `suite/file`.
        benchmark: what to measure.
        effort: how much of it.
        given: what its setup has yielded.
        chosen: picks contenders; the reference always takes part.
        wanted: picks cases, each when it is its turn.
        in_doubt: whether as many rounds are to be measured again, of all contenders.
        progress: is told what runs.

    A contender that fails, hangs or gives no result costs its own row of the case. One that hung is
    not called in later cases: it would take as long to give up each time.
    """
    hung: dict[str, ContenderError] = {}
    contenders = [c for c in benchmark.contenders if c.name == benchmark.reference or chosen(c)]
    for case in effort.cases(benchmark):
        if not wanted(case):
            continue
        options = benchmark.cases[case]
        rounds: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
        unavailable: dict[str, str] = {}
        failed: dict[str, ContenderError] = dict(hung)
        for name_of_hung in hung:
            del rounds[name_of_hung]
        found = Case(
            benchmark=name,
            name=case,
            unit=benchmark.unit,
            title=benchmark.title,
            reference=benchmark.reference,
            rows=[Row.of(contender) for contender in contenders],
            rounds=rounds,
            unavailable=unavailable,
            failed=failed,
            note=benchmark.note,
            plot=benchmark.plot,
            compares_cpu=benchmark.compares_cpu,
            seconds=effort.length(benchmark),
            quick=effort.is_quick,
            versions=given.get("versions", {}),
        )
        for number in range(AGAIN * effort.rounds):
            if number and number % effort.rounds == 0 and not in_doubt(found):
                break
            for contender in order(contenders, number):
                if contender.name in unavailable or contender.name in failed:
                    continue
                progress(f"{name} {case} {number + 1}/{effort.rounds}: {contender.name}")
                try:
                    measured = await measure(
                        contender,
                        {**options, **given},
                        seconds=effort.length(benchmark),
                        warmup=effort.warmup if benchmark.warms_up else 0.0,
                        pin=benchmark.pin,
                        grace=effort.grace,
                    )
                except Unavailable as error:
                    unavailable[contender.name] = str(error)
                    del rounds[contender.name]
                except ContenderError as error:
                    failed[contender.name] = error
                    del rounds[contender.name]
                    if error.hung:
                        hung[contender.name] = ContenderError(
                            f"{contender.name} hung in {case or 'the first case'}", hung=True
                        )
                else:
                    rounds[contender.name].append(measured)
        yield found
