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
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from benchmarks.harness import floors, page, report, results
from benchmarks.harness.model import Benchmark, Contender, Options, Unavailable
from benchmarks.harness.process import GRACE
from benchmarks.harness.results import Results
from benchmarks.harness.rounds import Effort, cases
from benchmarks.harness.summary import Case
from benchmarks.harness.surroundings import SetupError, Surroundings

HERE = Path(__file__).parents[1]
FLOORS = HERE / "floors.toml"
INTERRUPTED = 128 + signal.SIGINT
NOT_ALL = 3
"""The status where --within has left something for another time."""
RESULTS = "results.json"
"""What --page writes beside the page."""
SOME = 5
"""How many of those that are left are named."""
QUICK_GRACE = 15.0
"""The grace of a quick run of everything, in seconds."""
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
        metavar="S",
        help="end a contender that takes S seconds more than three times what it was asked for, "
        f"and go on without it ({GRACE:g}; of all quickly, {QUICK_GRACE:g})",
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
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep what is in the file of --json (or --page), and measure what is not, or less so",
    )
    parser.add_argument(
        "--within",
        type=duration,
        metavar="S",
        help="begin no case after S seconds but the first: the same command with --resume goes on; "
        f"the status is {NOT_ALL} while anything is left",
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
    rounds, seconds, warmup, grace = 5, None, 0.3, GRACE
    if arguments.quick and arguments.suite == ALL:
        rounds, seconds, warmup, grace = 1, 0.2, 0.05, QUICK_GRACE
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
        grace=arguments.grace or grace,
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
        missing: why whole benchmarks were not, in a line each.
        failures: a sentence for each benchmark and contender that could not be.
        left: what there was no time for, in order.

    Args:
        arguments: those of the command line.
        done: what was measured before, and is not measured again.
        keep: is told after each case.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        done: Sequence[Case] = (),
        keep: Callable[["Measurement"], object] = lambda measured: None,
    ) -> None:
        self.left: dict[str, None] = {}
        self.missing: dict[str, str] = {}
        self.failures: list[str] = []
        self._effort = effort(arguments)
        self._only: list[str] = arguments.only
        self._keep = keep
        self._floors = floors.load(FLOORS) if arguments.check else []
        self._cases = {(case.benchmark, case.name): case for case in done}
        self._end = time.monotonic() + (arguments.within or math.inf)
        self._has_measured = False
        self._benchmarks = load(arguments.suite, arguments.names)
        if self._only and not any(
            self._is_chosen(contender)
            for benchmark in self._benchmarks.values()
            for contender in benchmark.contenders
        ):
            raise LookupError(f"no contender has {' or '.join(self._only)} in its name")

    @property
    def cases(self) -> list[Case]:
        """What was measured, now or before."""
        return [*self._cases.values()]

    async def run(self) -> None:
        """Measure, and print each table when it is there."""
        surroundings = Surroundings()
        try:
            for name, benchmark in self._benchmarks.items():
                named = self._effort.cases(benchmark)
                # All of them are asked, so that each that is left is noted.
                asked = [self._is_wanted(name, benchmark, case) for case in named]
                if not any(asked):
                    continue
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
            name,
            benchmark,
            self._effort,
            given,
            chosen=self._is_chosen,
            wanted=lambda case: self._is_wanted(name, benchmark, case),
            in_doubt=lambda case: floors.in_doubt(case, self._floors),
            progress=progress,
        )
        async with aclosing(measured):
            async for case in measured:
                progress("")
                print(report.markdown(case), flush=True)
                self._cases[name, case.name] = case
                self._has_measured = True
                self._keep(self)

    def _is_wanted(self, name: str, benchmark: Benchmark, case: str) -> bool:
        chosen = {
            contender.name for contender in benchmark.contenders if self._is_chosen(contender)
        }
        done = self._cases.get((name, case))
        if (
            done is not None
            and self._effort.is_met(benchmark, done)
            and chosen <= {row.name for row in done.rows}
        ):
            return False
        # However short the time is, each part gets on by one case.
        if time.monotonic() < self._end or not self._has_measured:
            return True
        self.left[place(name, case)] = None
        return False

    def _is_chosen(self, contender: Contender) -> bool:
        return not self._only or any(text in contender.name for text in self._only)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = parser().parse_args(argv)
    try:
        before = resumed(arguments) if arguments.resume else None
        measurement = Measurement(
            arguments,
            done=before.cases if before else (),
            keep=lambda measurement: keep(arguments, measurement, before),
        )
    except (LookupError, ValueError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    try:
        return listed(arguments) if arguments.list else carry_out(measurement, arguments, before)
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


def file(arguments: argparse.Namespace) -> Path | None:
    """Where the numbers are kept."""
    if arguments.json:
        return Path(arguments.json)
    return arguments.page / RESULTS if arguments.page else None


def resumed(arguments: argparse.Namespace) -> Results | None:
    """What was measured before.

    Raises:
        ValueError: there is no file that could tell, or it holds something else, or what was
            measured on another machine.
    """
    if (path := file(arguments)) is None:
        raise ValueError("--resume goes with --json or --page, which name what there is")
    if not path.exists() or not path.stat().st_size:
        return None
    found = results.read(path)
    # It raises where they cannot be compared.
    results.merge([results.here([], {}), found])
    return found


def keep(
    arguments: argparse.Namespace, measurement: Measurement, before: Results | None
) -> Results:
    """Write what is known by now, so that whatever ends this costs no more than one case."""
    measured = results.here(measurement.cases, measurement.missing)
    if before is not None:
        measured = results.merge([before, measured])
    if arguments.json:
        results.write(arguments.json, measured)
    if arguments.page:
        results.write(arguments.page / RESULTS, measured)
    return measured


def place(benchmark: str, case: str) -> str:
    """How a case is called in a sentence."""
    return f"{benchmark} ({case})" if case else benchmark


def carry_out(
    measurement: Measurement, arguments: argparse.Namespace, before: Results | None
) -> int:
    """Measure, and judge what came of it."""
    status = 0
    try:
        asyncio.run(measurement.run())
    except KeyboardInterrupt:
        progress("")
        print("benchmarks: interrupted", file=sys.stderr)
        status = INTERRUPTED
    failures = measurement.failures
    failures += [
        f"{place(case.benchmark, case.name)}: {error}"
        for case in measurement.cases
        for error in case.failed.values()
    ]
    measured = keep(arguments, measurement, before)
    if arguments.page:
        page.write(arguments.page, measured)
        print(f"The page is {arguments.page / page.PAGE}.")
    if arguments.check and not status:
        failures += floors.check(measurement.cases, floors.load(FLOORS))
    progress("")
    for failure in failures:
        print(f"benchmarks: {failure}", file=sys.stderr)
    if left := measurement.left:
        names = ", ".join(list(left)[:SOME]) + (", ..." if len(left) > SOME else "")
        print(f"benchmarks: {len(left)} left, go on with --resume: {names}", file=sys.stderr)
        status = status or NOT_ALL
    return status or (1 if failures else 0)
