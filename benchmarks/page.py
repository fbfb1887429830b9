"""`python -m benchmarks.page`, which `hatch run bench:page` calls: the page, without measuring."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import page, results

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"


def parser() -> argparse.ArgumentParser:
    """Describe the command."""
    parser = argparse.ArgumentParser(
        prog="hatch run bench:page",
        description="Make the page of the documentation and its plots of what was measured before.",
    )
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="what --json has written; several are put together, and of two runs of the same case "
        "the later one counts. They become benchmarks/results.json. Without any, that is read.",
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="put FILE in place of the same cases of benchmarks/results.json, and keep the rest",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = parser().parse_args(argv)
    files = list(arguments.files)
    if arguments.update or not files:
        files.insert(0, RESULTS)
    try:
        found = results.merge([results.read(file) for file in files])
    except (OSError, ValueError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    results.write(RESULTS, found, details=False)
    page.write(ROOT / "docs", found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
