"""Runs peers' own test suites against the embedded broker, and prints how they fared.

    ./dev run peers:run --sources FOLDER
    ./dev run peers:run --sources FOLDER --rabbitmq --only pika,kombu

FOLDER has the sources of each peer in a folder of its name; a peer that is not there is left out.
With --rabbitmq each suite runs against RabbitMQ as well, and the embedded broker is like that one.
The status is 1 when a test failed that did not fail on RabbitMQ, or a suite did not end.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.rabbitmq import NoRabbitMQError

from .brokers import Broker, Embedded, PortInUseError, RabbitMQ
from .environments import NoEnvironmentError, environment_for, version_of
from .running import Outcome, run
from .suites import SUITES, Suite

VERSIONS = ("4.3", "4.0", "3.10")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else list(SUITES)
    if strange := [name for name in names if name not in SUITES]:
        parser.error(f"there is no suite {strange[0]}; there are {', '.join(SUITES)}")
    if not options.sources.is_dir():
        parser.error(f"{options.sources} is no folder")
    try:
        brokers = _brokers(options)
        rows = []
        for name in names:
            rows += _row(SUITES[name], options.sources / name, brokers, options)
    except (NoRabbitMQError, PortInUseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _print_table(rows, brokers)
    return max((_print_details(row, brokers) for row in rows), default=0)


Row = tuple[Suite, str, list[Outcome]]


def _brokers(options: argparse.Namespace) -> list[Broker]:
    if not options.rabbitmq:
        return [Embedded(options.compatible or VERSIONS[0])]
    rabbitmq = RabbitMQ()
    like = ".".join(map(str, rabbitmq.version[:2]))
    known = like if like in VERSIONS else VERSIONS[0]
    return [Embedded(options.compatible or known), rabbitmq]


def _row(
    suite: Suite, source: Path, brokers: list[Broker], options: argparse.Namespace
) -> list[Row]:
    if not source.is_dir():
        print(f"{suite.name}: left out, {source} is not there", flush=True)
        return []
    source = source.resolve()
    try:
        python = environment_for(suite, source, options.cache / "environments")
        version = version_of(python, suite)
    except NoEnvironmentError as error:
        print(f"{suite.name}: no environment: {error}", flush=True)
        return [(suite, "?", [Outcome({}, "no environment") for _ in brokers])]
    outcomes = []
    for broker in brokers:
        folder = options.cache / "runs" / suite.name / broker.name.split(",")[0].replace(" ", "-")
        print(f"{suite.name} {version} on {broker.name}: ...", end="", flush=True)
        outcome = run(suite, source, python, broker, folder)
        print(f" {_counts(outcome)}; {folder}/output.log", flush=True)
        outcomes.append(outcome)
    return [(suite, version, outcomes)]


def _counts(outcome: Outcome) -> str:
    text = "/".join(str(outcome.count(told)) for told in ("passed", "failed", "skipped"))
    return text if outcome.problem is None else f"{text} ({outcome.problem})"


def _print_table(rows: list[Row], brokers: list[Broker]) -> None:
    print("\npassed/failed/skipped\n")
    cells = [["suite", "version", *(broker.name for broker in brokers)]]
    cells += [[suite.name, version, *map(_counts, outcomes)] for suite, version, outcomes in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _print_details(row: Row, brokers: list[Broker]) -> int:
    """Print what failed here alone and what was left out; return 1 if there is anything wrong."""
    suite, _, (embedded, *others) = row
    known = set().union(*(other.failures for other in others)) if others else set()
    found = sorted(embedded.failures - known)
    if found:
        only = f" and not on {brokers[1].name}" if others else ""
        print(f"\n{suite.name}: {len(found)} failed on {brokers[0].name}{only}")
        print("\n".join(f"  {name}" for name in found))
    for reason, words in suite.left_out.items():
        print(f"\n{suite.name}: left out are tests named {', '.join(words)}: {reason}")
    return int(bool(found) or embedded.problem is not None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="peers:run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sources", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {', '.join(SUITES)}")
    parser.add_argument(
        "--rabbitmq",
        action="store_true",
        help="against RabbitMQ as well: the one that is installed, or in GESTALT_RABBITMQ",
    )
    parser.add_argument(
        "--compatible", choices=VERSIONS, help="what the embedded broker is like (4.3, or as it)"
    )
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "gestalt-peers")
    parser.add_argument(
        "--cache", type=Path, default=usual, metavar="FOLDER",
        help="where environments and outputs are kept (%(default)s)",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
