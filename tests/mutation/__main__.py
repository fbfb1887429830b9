"""Changes one thing after another in a file, and tells which changes its tests do not notice.

    ./dev run mutation:run core/backoff.py --tests tests/core/test_backoff.py
    ./dev run mutation:run net/framings/mti.py --tests tests/net/framings --lines 60-90

Other options go to pytest, as -k does. The file is changed in a copy. Changes that make no
difference stand in tests/mutation/alike.toml, each with its reason. The status is 1 if a change was
not noticed, and 2 if the tests fail without any.
"""

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from .alike import is_alike
from .mutants import Mutant, mutants_of
from .trial import Outcome, import_beforehand, prepare, run

ROOT = Path(__file__).parents[2]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mutation:run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", help="the file to change, below src/gestalt: core/backoff.py")
    parser.add_argument("--tests", nargs="+", required=True, help="what pytest is to run")
    parser.add_argument("--lines", help="change these only, such as 60-90", metavar="FIRST-LAST")
    parser.add_argument(
        "--minutes", type=float, default=60, help="for all of it (default: %(default)s)"
    )
    options, for_pytest = parser.parse_known_args()
    distribution = options.file.partition("/")[0]
    options.source = ROOT / f"packages/gestalt-{distribution}/src"
    if not (options.source / "gestalt" / options.file).is_file():
        parser.error(f"{options.file} is no file below src/gestalt of a distribution")
    if missing := [name for name in options.tests if not (ROOT / name.partition("::")[0]).exists()]:
        parser.error(f"there is no {', '.join(missing)}")
    options.tests += for_pytest
    try:
        first, _, last = (options.lines or "1-").partition("-")
        options.lines = range(int(first), int(last or sys.maxsize) + 1)
    except ValueError:
        parser.error(f"--lines takes two numbers, as in 60-90, got {options.lines}")
    return options


def main(folder: Path, options: argparse.Namespace) -> int:
    """Try every change in a folder of its own, and return the status."""
    shutil.copytree(options.source, folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    target, log, imported = folder / "src/gestalt" / options.file, folder / "log", folder / "names"
    mutants = [each for each in mutants_of(target.read_text()) if each.line in options.lines]
    tried = [each for each in mutants if not is_alike(options.file, each.was, each.becomes)]
    prepare(folder / "src", ROOT)
    for _ in range(2):  # the second time as quickly as all the others
        trial = run(options.tests, log, seconds=600, cpu_seconds=600, imported=imported)
        if trial.outcome is not Outcome.PASSED:
            print(log.read_text())
            print("the tests fail without any change")
            return 2
        import_beforehand(imported.read_text().splitlines())
    # Machines are busy, and it is the endless that is to be found.
    seconds, cpu_seconds = 20 + 10 * trial.seconds, 5 + int(5 * trial.cpu_seconds)
    print(
        f"{options.file}: {len(tried)} changes to try, and {len(mutants) - len(tried)} that make "
        f"no difference; the tests take {trial.seconds:.1f} s",
        flush=True,
    )
    begun = monotonic()
    counts = dict.fromkeys(Outcome, 0)
    for number, mutant in enumerate(tried):
        if monotonic() - begun > options.minutes * 60:
            tell("")
            print(f"{options.minutes:g} minutes are over: {len(tried) - number} were not tried")
            break
        tell(f"{number + 1} of {len(tried)}, line {mutant.line}")
        target.write_text(mutant.source)
        outcome = run(options.tests, log, seconds=seconds, cpu_seconds=cpu_seconds).outcome
        counts[outcome] += 1
        if outcome is Outcome.PASSED:
            tell("")
            print(described(options.file, mutant), flush=True)
    tell("")
    print(
        f"{sum(counts.values())} changes in {monotonic() - begun:.0f} s: "
        f"{counts[Outcome.FAILED]} made a test fail, {counts[Outcome.ENDLESS]} made one endless, "
        f"{counts[Outcome.PASSED]} were not noticed"
    )
    return int(counts[Outcome.PASSED] > 0)


def described(file: str, mutant: Mutant) -> str:
    """A change that was not noticed, for people."""
    old = [f"  - {line}" for line in mutant.was.splitlines()]
    new = [f"  + {line}" for line in mutant.becomes.splitlines()]
    return "\n".join(["", f"not noticed: {file}:{mutant.line}", *old, *new, ""])


def tell(progress: str) -> None:
    """Show how far it is, where somebody looks on."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{progress}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    given = arguments()
    with TemporaryDirectory() as made:
        sys.exit(main(Path(made), given))
