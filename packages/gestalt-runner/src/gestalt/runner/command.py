"""The `gestalt` command."""

import argparse
import importlib
import importlib.metadata
import logging
import sys
from pathlib import Path
from typing import Any

from .errors import LoopNotAvailable
from .launch import SHUTDOWN_TIMEOUT, run
from .loops import fill_standard_descriptors
from .parts import as_part

EPILOG = """\
exit status:
  0      the application ended by itself
  1      something failed; the report is on stderr, or where the application logs
  2      the command line is wrong, or names nothing that can be run
  other  as the application itself left, or death by the signal that stopped it; as process 1,
         the first of a container, 128 and the number of that signal

signals:
  SIGINT, SIGTERM: the first stops gracefully, the second cuts what drains, the third ends at once.

logging:
  What the application does not configure itself is logged to stderr, with time, level and logger.
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command; `arguments` are those of the process by default."""
    options = _parser().parse_args(arguments)
    parser: argparse.ArgumentParser = options.parser
    fill_standard_descriptors()
    _log_by_default(options.log_level.upper())
    try:
        targets = [_load(parser, target) for target in options.target]
        run(
            *targets,
            loop=options.loop,
            on_exception=options.on_exception,
            shutdown_timeout=options.shutdown_timeout,
            debug=options.debug or None,
        )
    except LoopNotAvailable as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        # Python itself ends by SIGINT then, as a shell expects it, after its own clean-up.
        sys.excepthook = _no_traceback_of_an_interrupt
        raise


def _no_traceback_of_an_interrupt(kind: Any, error: Any, traceback: Any) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)


def _log_by_default(level: str) -> None:
    """Log to stderr for as long as the application has not configured logging.

    No handler is added: one at the root would make the application's `basicConfig` void.
    """
    logging.getLogger().setLevel(level)
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.NOTSET)
        logging.lastResort.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
        )


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
        help="a component, an async function, or a function that makes a component; several "
        "start in this order and stop in reverse",
    )
    command.add_argument(
        "--loop",
        choices=["auto", "asyncio", "uvloop"],
        default="auto",
        help="the event loop; auto takes uvloop when it is installed (default: %(default)s)",
    )
    command.add_argument(
        "--on-exception",
        choices=["stop", "continue"],
        default="stop",
        help="what an error that nobody handles does, in any task or callback: it stops the "
        "application, or is logged (default: %(default)s)",
    )
    command.add_argument(
        "--shutdown-timeout",
        type=_seconds,
        default=SHUTDOWN_TIMEOUT,
        metavar="SECONDS",
        help="how long a graceful stop may take; what is left then is cut (default: %(default)s)",
    )
    command.add_argument(
        "--log-level",
        choices=["debug", "info", "warning", "error", "critical"],
        default="info",
        help="the least level that is logged, unless the application sets another "
        "(default: %(default)s)",
    )
    command.add_argument("--debug", action="store_true", help="asyncio's debug mode")
    command.set_defaults(parser=command)
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, got {text!r}")
    return value


def _load(parser: argparse.ArgumentParser, target: str) -> Any:
    module_name, _, attribute = target.partition(":")
    if module_name.endswith(".py") or "/" in module_name:
        parser.error(f"{target!r} names a file: name its module, as in 'app:main' for app.py")
    names = [*module_name.split("."), *attribute.split(".")]
    if not all(name.isidentifier() for name in names):
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
        parser.error(f"{target!r}: there is no module {error.name!r}, looked for from {here}")
    owner = f"module {module_name!r}"
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            parser.error(f"{target!r}: {owner} has no attribute {name!r}")
        owner = repr(name)
    try:
        as_part(found)
    except TypeError as error:
        parser.error(f"{target!r}: {error}")
    return found
