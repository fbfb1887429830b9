"""The `gestalt` command."""

import argparse
import importlib
import importlib.metadata
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from .launch import run
from .parts import as_part

EPILOG = """\
exit status:
  0      the application ended by itself
  1      something failed; the report is on stderr
  2      the command line is wrong, or names nothing that can be run
  other  as the application itself left, or death by the signal that stopped it

signals:
  SIGINT, SIGTERM: the first stops gracefully, the second cuts what drains, the third ends at once.
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command; `arguments` are those of the process by default."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    targets = [_load(parser, target) for target in options.target]
    try:
        run(
            *targets,
            loop=options.loop,
            shutdown_timeout=options.shutdown_timeout,
            debug=options.debug or None,
        )
    except KeyboardInterrupt:
        # Death by the signal itself, as a shell expects it, and no traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gestalt", description="Run asyncio applications.")
    version = importlib.metadata.version("gestalt-runner")
    parser.add_argument("--version", action="version", version=f"gestalt-runner {version}")
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser(
        "run",
        help="run components and async functions until they end or a signal stops them",
        description="Run components and async functions until they end or a signal stops them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "target",
        nargs="+",
        metavar="module:attribute",
        help="a component or async function; several start in this order and stop in reverse",
    )
    command.add_argument(
        "--loop",
        choices=["auto", "asyncio", "uvloop"],
        default="auto",
        help="the event loop; auto takes uvloop when it is installed (default: %(default)s)",
    )
    command.add_argument(
        "--shutdown-timeout",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long a graceful stop may take (default: %(default)s)",
    )
    command.add_argument(
        "--log-level",
        choices=["debug", "info", "warning", "error", "critical"],
        default="info",
        help="the least level that is logged, to stderr (default: %(default)s)",
    )
    command.add_argument("--debug", action="store_true", help="asyncio's debug mode")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


def _load(parser: argparse.ArgumentParser, target: str) -> Any:
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        parser.error(f"{target!r} is not of the form module:attribute")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # An import that fails inside the module is the module's error, with its traceback.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        parser.error(f"there is no module {module_name!r}, looked for from {here}")
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            parser.error(f"module {module_name!r} has no attribute {attribute!r}")
    try:
        as_part(found)
    except TypeError as error:
        parser.error(f"{target}: {error}")
    return found
