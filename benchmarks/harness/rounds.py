"""One benchmark, measured: every contender in turn, again and again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from benchmarks.harness.model import Benchmark, Contender, Unavailable
from benchmarks.harness.process import Sample, measure
from benchmarks.harness.summary import Case


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Args:
        rounds: how often each contender is measured.
        seconds: the length of a measured call; the benchmark's own when it is None.
        warmup: the length of the call before it.
        quick: whether the benchmark's quick length applies.
        first_case: whether the other cases are left out.
    """

    rounds: int = 5
    seconds: float | None = None
    warmup: float = 0.3
    quick: bool = False
    first_case: bool = False

    def length(self, benchmark: Benchmark) -> float:
        """The length of a measured call, in seconds."""
        if self.seconds is not None:
            return self.seconds
        return benchmark.quick_seconds if self.quick else benchmark.seconds


def order(contenders: Sequence[Contender], number: int) -> list[Contender]:
    """Return the order of a round: each one begins with another contender."""
    shift = number % len(contenders)
    return [*contenders[shift:], *contenders[:shift]]


async def cases(
    name: str,
    benchmark: Benchmark,
    effort: Effort,
    *,
    chosen: Callable[[Contender], bool] = lambda contender: True,
    progress: Callable[[str], None] = lambda text: None,
) -> AsyncIterator[Case]:
    """Measure a benchmark and give each of its cases when it is done.

    Args:
        name: `suite/file`.
        benchmark: what to measure.
        effort: how much of it.
        chosen: picks contenders; the reference always takes part.
        progress: is told what runs.

    Raises:
        ContenderError: a contender failed, hung, or gave no result.
    """
    contenders = [c for c in benchmark.contenders if c.name == benchmark.reference or chosen(c)]
    with benchmark.setup() as given:
        for case, options in benchmark.cases.items():
            rounds: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
            unavailable: dict[str, str] = {}
            for number in range(effort.rounds):
                for contender in order(contenders, number):
                    if contender.name in unavailable:
                        continue
                    progress(f"{name} {case} {number + 1}/{effort.rounds}: {contender.name}")
                    try:
                        measured = await measure(
                            contender,
                            {**options, **given},
                            seconds=effort.length(benchmark),
                            warmup=effort.warmup,
                            pin=benchmark.pin,
                        )
                    except Unavailable as error:
                        unavailable[contender.name] = str(error)
                    else:
                        rounds[contender.name].append(measured)
            yield Case(
                benchmark=name,
                name=case,
                unit=benchmark.unit,
                title=benchmark.title,
                reference=benchmark.reference,
                contenders=contenders,
                rounds={key: value for key, value in rounds.items() if key not in unavailable},
                unavailable=unavailable,
                note=benchmark.note,
            )
            if effort.first_case:
                return
