"""The command line: which benchmarks, how much of them, and where the numbers go."""

import argparse
import asyncio
import importlib
import math
import os
import pkgutil
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from benchmarks.harness import floors, page, report, results
from benchmarks.harness.model import Benchmark, Contender, Options, Unavailable
from benchmarks.harness.process import GRACE
from benchmarks.harness.rounds import Effort, cases
from benchmarks.harness.summary import Case
from benchmarks.harness.surroundings import SetupError, Surroundings

HERE = Path(__file__).parents[1]
INTERRUPTED = 128 + signal.SIGINT
SUITES = sorted(path.name for path in HERE.iterdir() if path.is_dir() and path.name != "harness")
SUITES = [suite for suite in SUITES if any((HERE / suite).glob("*.py"))]
ALL = "all"


def parser() -> argparse.ArgumentParser:
    """Describe the command."""
    parser = argparse.ArgumentParser(
        prog="hatch run bench:SUITE",
        description="Measure Gestalt beside its peers. Contenders take turns, each in processes of "
        "its own; the table has medians, and ratios to the reference of the same round.",
    )
    parser.add_argument("suite", choices=[ALL, *SUITES], help="whose benchmarks")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="only these benchmarks (of all: SUITE/NAME)"
    )
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "--quick",
        action="store_true",
        help="three short rounds, for a first impression; of all, one very short one",
    )
    amount.add_argument(
        "--smoke",
        action="store_true",
        help="one very short round of each first case: proves that it runs, measures nothing",
    )
    parser.add_argument("--rounds", type=count, metavar="N", help="measure each contender N times")
    parser.add_argument(
        "--seconds", type=duration, metavar="S", help="the length of one measurement"
    )
    parser.add_argument(
        "--grace",
        type=duration,
        default=GRACE,
        metavar="S",
        help="end a contender that takes S seconds more than three times what it was asked for, "
        "and go on without it (%(default)g)",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TEXT",
        help="only contenders whose name contains TEXT, and the reference; may be repeated",
    )
    parser.add_argument("--json", type=writable, metavar="FILE", help="write all numbers to FILE")
    parser.add_argument(
        "--page",
        type=folder,
        metavar="FOLDER",
        help="make a page of tables and plots in FOLDER, and write results.json there",
    )
    parser.add_argument("--check", action="store_true", help="fail below the floors in floors.toml")
    parser.add_argument("--list", action="store_true", help="list what there is to measure")
    return parser


def count(text: str) -> int:
    """How often: a whole number above 0."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"a count is a whole number above 0, not {text!r}")
    return int(text)


def duration(text: str) -> float:
    """How long: a number of seconds above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"a duration is a number above 0, not {text!r}")
    return seconds


def writable(text: str) -> Path:
    """A file that can be written: what was measured for long is not to be lost in the end."""
    path = Path(text)
    try:
        with path.open("a"):
            pass
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be written: {error.strerror}") from None
    return path


def folder(text: str) -> Path:
    """A folder that is there, or can be made."""
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be made: {error.strerror}") from None
    writable(str(path / page.PAGE))
    return path


def load(suite: str, names: Sequence[str] = ()) -> dict[str, Benchmark]:
    """Return the benchmarks of a suite, or of all of them, by `suite/file`.

    Args:
        suite: the folder's name, or "all".
        names: those of files; with their suite where it is all.

    Raises:
        LookupError: there is none of a given name.
    """
    found = {}
    for each in SUITES if suite == ALL else [suite]:
        for module in pkgutil.iter_modules([str(HERE / each)]):
            content = importlib.import_module(f"benchmarks.{each}.{module.name}")
            if isinstance(benchmark := getattr(content, "BENCHMARK", None), Benchmark):
                found[f"{each}/{module.name}"] = benchmark
    named = {name if suite == ALL else f"{suite}/{name}": name for name in names}
    if unknown := [name for key, name in named.items() if key not in found]:
        known = ", ".join(found if suite == ALL else [key.partition("/")[2] for key in found])
        raise LookupError(f"no benchmark is named {', '.join(unknown)}; there are {known}")
    return {key: benchmark for key, benchmark in found.items() if not named or key in named}


def effort(arguments: argparse.Namespace) -> Effort:
    """Return how much the command line asks for."""
    rounds, seconds, warmup = 5, None, 0.3
    if arguments.quick and arguments.suite == ALL:
        rounds, seconds, warmup = 1, 0.2, 0.05
    elif arguments.quick:
        rounds, warmup = 3, 0.1
    elif arguments.smoke:
        rounds, seconds, warmup = 1, 0.1, 0.0
    return Effort(
        rounds=arguments.rounds or rounds,
        seconds=arguments.seconds or seconds,
        warmup=warmup,
        quick=arguments.quick,
        first_case=arguments.smoke,
        grace=arguments.grace,
    )


def progress(text: str) -> None:
    """Show on a terminal what runs."""
    if not sys.stderr.isatty():
        return
    if os.environ.get("TERM") == "dumb":
        if text:
            print(text, file=sys.stderr, flush=True)
        return
    # A line that is broken could not be taken back.
    shown = text[: shutil.get_terminal_size().columns - 1]
    print(f"\r\033[K{shown}", end="", file=sys.stderr, flush=True)


class Measurement:
    """What the command line names, measured one after the other.

    Attributes:
        cases: what was measured.
        missing: why whole benchmarks were not, in a line each.
        failures: a sentence for each benchmark and contender that could not be.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.cases: list[Case] = []
        self.missing: dict[str, str] = {}
        self.failures: list[str] = []
        self._effort = effort(arguments)
        self._only: list[str] = arguments.only
        self._benchmarks = load(arguments.suite, arguments.names)
        if self._only and not any(
            self._is_chosen(contender)
            for benchmark in self._benchmarks.values()
            for contender in benchmark.contenders
        ):
            raise LookupError(f"no contender has {' or '.join(self._only)} in its name")

    async def run(self) -> None:
        """Measure, and print each table when it is there."""
        surroundings = Surroundings()
        try:
            for name, benchmark in self._benchmarks.items():
                try:
                    given = surroundings.around(benchmark)
                except (Unavailable, SetupError) as error:
                    self.missing[name] = str(error).strip().splitlines()[-1]
                    self.failures.append(f"{name} was not measured: {error}")
                else:
                    await self._measure(name, benchmark, given)
        finally:
            try:
                surroundings.close()
            except SetupError as error:
                self.failures.append(str(error))

    async def _measure(self, name: str, benchmark: Benchmark, given: Options) -> None:
        measured = cases(
            name, benchmark, self._effort, given, chosen=self._is_chosen, progress=progress
        )
        async with aclosing(measured):
            async for case in measured:
                progress("")
                print(report.markdown(case), flush=True)
                self.cases.append(case)
                where = f"{name}{f' ({case.name})' if case.name else ''}"
                self.failures += [f"{where}: {error}" for error in case.failed.values()]

    def _is_chosen(self, contender: Contender) -> bool:
        return not self._only or any(text in contender.name for text in self._only)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = parser().parse_args(argv)
    try:
        measurement = Measurement(arguments)
    except LookupError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    try:
        return listed(arguments) if arguments.list else carry_out(measurement, arguments)
    except BrokenPipeError:
        # Whoever read the tables has seen enough; what is left in the buffer goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def listed(arguments: argparse.Namespace) -> int:
    """Print what there is to measure."""
    for name, benchmark in load(arguments.suite, arguments.names).items():
        print(f"{name}: {', '.join(c.name for c in benchmark.contenders)}")
    sys.stdout.flush()
    return 0


def carry_out(measurement: Measurement, arguments: argparse.Namespace) -> int:
    """Measure, and judge what came of it."""
    status = 0
    try:
        asyncio.run(measurement.run())
    except KeyboardInterrupt:
        progress("")
        print("benchmarks: interrupted", file=sys.stderr)
        status = INTERRUPTED
    failures = measurement.failures
    measured = results.here(measurement.cases, measurement.missing)
    if arguments.json:
        results.write(arguments.json, measured)
    if arguments.page:
        results.write(arguments.page / "results.json", measured)
        page.write(arguments.page, measured)
        print(f"The page is {arguments.page / page.PAGE}.")
    if arguments.check and not status:
        failures += floors.check(measurement.cases, floors.load(HERE / "floors.toml"))
    progress("")
    for failure in failures:
        print(f"benchmarks: {failure}", file=sys.stderr)
    return status or (1 if failures else 0)
