"""Tells what the tests do not reach, branches included, of everything or of a part.

    ./dev run coverage:run                        everything, by all tests
    ./dev run coverage:run net/framings core      these, each by the tests of its folder
    ./dev run coverage:run core/timer.py --tests tests/core/test_timer.py

Other options go to pytest, as -k does. It is also in .hatch/coverage, as pages that show the code.
The status is that of the tests, and 1 where --least is not reached. By default, that is 100 where
all tests run: what they cannot reach says why, where it stands, by `# pragma: no cover - REASON`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import wrap
from typing import Any

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = ("core", "codecs", "net", "amq", "runner")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="coverage:run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "part", nargs="*", help="a folder or a file below src/gestalt: core, net/framings"
    )
    parser.add_argument("--tests", nargs="+", help="what pytest is to run")
    parser.add_argument(
        "--least", type=float, help="percent that have to be reached; 100 where all tests run"
    )
    options, for_pytest = parser.parse_known_args()
    options.parts = {part.strip("/"): source_of(part.strip("/")) for part in options.part}
    if unknown := [part for part, source in options.parts.items() if not source.exists()]:
        parser.error(f"there is no {', '.join(unknown)} below src/gestalt of a distribution")
    if options.least is None:
        options.least = 0 if options.parts or options.tests or for_pytest else 100
    if not options.tests:
        options.tests = sorted({tests_of(part) for part in options.parts}) or ["tests"]
    # The same examples each time: what is reached is compared.
    options.tests += ["--hypothesis-profile=ci", *for_pytest]
    return options


def source_of(part: str) -> Path:
    """Where a part of the namespace is."""
    distribution = part.partition("/")[0]
    return ROOT / f"packages/gestalt-{distribution}/src/gestalt" / part


def tests_of(part: str) -> str:
    """The folder whose tests are those of a part: of the same name, or nearest above it."""
    folder = Path("tests") / part
    while not (ROOT / folder).is_dir():
        folder = folder.parent
    return str(folder)


def main(options: argparse.Namespace) -> int:
    """Run the tests, say what they have not reached, and return the status."""
    sources = list(options.parts.values()) or [source_of(name) for name in DISTRIBUTIONS]
    folders = {str(path if path.is_dir() else path.parent) for path in sources}
    include = ",".join(f"{path}/*" if path.is_dir() else str(path) for path in sources)
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "COVERAGE_FILE": f"{folder}/data"}

        def coverage(*words: str) -> int:
            command = [sys.executable, "-m", "coverage", *words]
            return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode

        source = f"--source={','.join(sorted(folders))}"
        status = coverage("run", source, "-m", "pytest", *options.tests)
        coverage("combine", "-q")
        pages = ROOT / ".hatch/coverage"
        shutil.rmtree(pages, ignore_errors=True)
        if coverage("json", "-q", f"--include={include}", "-o", f"{folder}/report.json"):
            return status or 1
        coverage("html", "-q", f"--include={include}", "-d", str(pages))
        report = json.loads(Path(folder, "report.json").read_text())
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))
    print("\n" + "\n".join(described(report, width)))
    print(f"pages: {pages.relative_to(ROOT)}/index.html")
    return status or int(report["totals"]["percent_covered"] < options.least)


def described(report: dict[str, Any], width: int) -> Iterator[str]:
    """The lines, and the ways from line to line, that were not reached, for people.

    Args:
        report: as coverage makes it.
        width: how long what is printed may be, in characters.
    """
    whole = 0
    for path, file in sorted(report["files"].items()):
        lines = list(ranges(file["missing_lines"]))
        # A branch to a line that is missing, too, says nothing new.
        missing = set(file["missing_lines"])
        branches = [
            f"{begin} to {end if end > 0 else 'end'}"
            for begin, end in file["missing_branches"]
            if begin not in missing and end not in missing
        ]
        if not lines and not branches:
            whole += 1
            continue
        name = path.rpartition("/src/gestalt/")[2]
        yield f"{percent(file['summary'])}  {name}"
        text = ", ".join(lines + branches)
        yield from wrap(text, width, initial_indent=" " * 9, subsequent_indent=" " * 9)
    totals = report["totals"]
    yield (
        f"{percent(totals)}  of {totals['num_statements']} statements and "
        f"{totals['num_branches']} branches; {whole} of {len(report['files'])} files whole"
    )


def percent(summary: dict[str, Any]) -> str:
    """How much was reached; what is not whole is never said to be 100 %."""
    found = int(summary["percent_covered"] * 10) / 10
    return f"{found:5.1f} %"


def ranges(numbers: Iterable[int]) -> Iterator[str]:
    """Say which lines these are: `3-5`, `9`."""
    run: list[int] = []
    for number in [*numbers, sys.maxsize]:
        if run and number > run[-1] + 1:
            yield str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"
            run = []
        run.append(number)


if __name__ == "__main__":
    sys.exit(main(arguments()))
