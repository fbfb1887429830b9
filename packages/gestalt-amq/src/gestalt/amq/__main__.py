"""What there is at a RabbitMQ: messages that failed, what an application needs, who serves."""

import asyncio
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence

from gestalt.core.arguments import Parser

from .commands import parked, services, topology
from .commands.text import plain
from .errors import AmqError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when it succeeded; 1 when the broker could not or would not, what it has differs, or
        nobody took the output;
        130 when it was interrupted.

    Raises:
        SystemExit: 2 when an argument is missing or wrong.
    """
    parser = Parser(prog="python -m gestalt.amq", description=__doc__)
    subjects = parser.add_subparsers(dest="subject", required=True)
    for subject in (parked, topology, services):
        subject.add(subjects)
    options = parser.parse_args(arguments)
    try:
        lines = asyncio.run(options.run(options))
    except AmqError as error:
        print(f"gestalt.amq: {plain(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return _print(lines) or getattr(options, "status", 0)


def _print(lines: list[str]) -> int:
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer would fail once more when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # Whoever reads no more has seen enough; all else is told.
        if not isinstance(error, BrokenPipeError):
            told = f"gestalt.amq: the output cannot be written: {error.strerror}"
            print(told, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # What went wrong on the way is part of the error that ends the command.
    logging.basicConfig(level=logging.CRITICAL)
    if isinstance(sys.stdout, io.TextIOWrapper):  # pragma: no branch - for type checkers
        # A terminal may know fewer characters than the messages have.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
