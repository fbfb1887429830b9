"""The `gestalt` command: it hands over to the command that is asked for."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gestalt.core.masking import masked

from .commands import COMMANDS
from .output import harmless, show


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; `arguments` are those of the process by default."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words and words[0] in COMMANDS:
            command = importlib.import_module(f".commands.{words[0]}", __package__)
            command.main(words[1:])
        else:
            _answer(words)
    except SystemExit as left:
        if isinstance(left.code, str):
            left.code = harmless(left.code)
        raise
    except KeyboardInterrupt:
        # Python itself ends by SIGINT then, as a shell expects it, after its own clean-up.
        sys.excepthook = _no_traceback_of_an_interrupt
        raise


def _no_traceback_of_an_interrupt(kind: Any, error: Any, traceback: Any) -> None:
    if not issubclass(kind, KeyboardInterrupt):  # pragma: no cover - a caller may raise another
        sys.__excepthook__(kind, error, traceback)


def _answer(words: Sequence[str]) -> None:
    """Tell of the commands, or of the version, or that what was asked for is no command."""
    import argparse

    from .options.arguments import Parser

    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {what}" for name, what in COMMANDS.items())
    parser = Parser(
        prog="gestalt",
        description="Run asyncio applications.",
        epilog=f"commands:\n{listed}\n\n'gestalt COMMAND --help' tells of its options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="tell the version, and end")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    options, _ = parser.parse_known_args(words)
    if options.version:
        show(_version())
        return
    if options.command is None:
        parser.error("a command is needed: " + ", ".join(COMMANDS))
    parser.error(f"there is no command {masked(options.command)}; there is: {', '.join(COMMANDS)}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"gestalt-runner {version('gestalt-runner')}"
    except PackageNotFoundError:  # pragma: no cover - tested where coverage is not installed either
        # Python's path leads to its sources, or it was frozen into a program.
        return f"gestalt-runner, not installed, from {Path(__file__).parent}"
