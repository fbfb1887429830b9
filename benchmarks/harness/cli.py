"""The command line: which benchmarks, how much of them, and where the numbers go."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import floors, report
from benchmarks.harness.model import Benchmark, Unavailable
from benchmarks.harness.process import ContenderError
from benchmarks.harness.rounds import Effort, cases
from benchmarks.harness.summary import Case

HERE = Path(__file__).parents[1]
SUITES = sorted(path.name for path in HERE.iterdir() if path.is_dir() and path.name != "harness")
SUITES = [suite for suite in SUITES if any((HERE / suite).glob("*.py"))]


def parser() -> argparse.ArgumentParser:
    """Describe the command."""
    parser = argparse.ArgumentParser(
        prog="hatch run bench:SUITE",
        description="Measure Gestalt beside its peers. Contenders take turns, each in processes of "
        "its own; the table has medians, and ratios to the reference of the same round.",
    )
    parser.add_argument("suite", choices=SUITES, help="whose benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these benchmarks")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "--quick", action="store_true", help="three short rounds, for a first impression"
    )
    amount.add_argument(
        "--smoke",
        action="store_true",
        help="one very short round of each first case: proves that it runs, measures nothing",
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="measure each contender N times")
    parser.add_argument("--seconds", type=float, metavar="S", help="the length of one measurement")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TEXT",
        help="only contenders whose name contains TEXT, and the reference; may be repeated",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to FILE")
    parser.add_argument("--check", action="store_true", help="fail below the floors in floors.toml")
    parser.add_argument("--list", action="store_true", help="list what there is to measure")
    return parser


def load(suite: str, names: Sequence[str] = ()) -> dict[str, Benchmark]:
    """Return the benchmarks of a suite, by `suite/file`.

    Raises:
        LookupError: there is none of a given name.
    """
    found = {}
    for module in pkgutil.iter_modules([str(HERE / suite)]):
        content = importlib.import_module(f"benchmarks.{suite}.{module.name}")
        if isinstance(benchmark := getattr(content, "BENCHMARK", None), Benchmark):
            found[module.name] = benchmark
    if unknown := set(names) - found.keys():
        known = ", ".join(found)
        raise LookupError(f"no benchmark is named {', '.join(unknown)}; there are {known}")
    return {f"{suite}/{name}": found[name] for name in found if not names or name in names}


def effort(arguments: argparse.Namespace) -> Effort:
    """Return how much the command line asks for."""
    rounds, seconds, warmup = 5, None, 0.3
    if arguments.quick:
        rounds, warmup = 3, 0.1
    elif arguments.smoke:
        rounds, seconds, warmup = 1, 0.1, 0.0
    return Effort(
        rounds=arguments.rounds or rounds,
        seconds=arguments.seconds or seconds,
        warmup=warmup,
        quick=arguments.quick,
        first_case=arguments.smoke,
    )


def progress(text: str) -> None:
    """Show on a terminal what runs."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


async def measure(arguments: argparse.Namespace) -> tuple[list[Case], list[str]]:
    """Measure all that the command line names and print each table when it is there.

    Returns:
        the cases, and a sentence for each benchmark that cannot be measured here.
    """
    measured, lacking = [], []
    for name, benchmark in load(arguments.suite, arguments.names).items():
        try:
            async for case in cases(
                name,
                benchmark,
                effort(arguments),
                chosen=lambda c: not arguments.only or any(t in c.name for t in arguments.only),
                progress=progress,
            ):
                progress("")
                print(report.markdown(case), flush=True)
                measured.append(case)
        except Unavailable as error:
            lacking.append(f"{name} was not measured: {error}")
    return measured, lacking


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = parser().parse_args(argv)
    try:
        if arguments.list:
            for name, benchmark in load(arguments.suite, arguments.names).items():
                print(f"{name}: {', '.join(c.name for c in benchmark.contenders)}")
            return 0
        measured, failures = asyncio.run(measure(arguments))
    except (ContenderError, LookupError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        report.write(arguments.json, measured)
    if arguments.check:
        failures += floors.check(measured, floors.load(HERE / "floors.toml"))
    for failure in failures:
        print(f"benchmarks: {failure}", file=sys.stderr)
    return 1 if failures else 0
