"""The options of `gestalt run`: a row each.

An option of another part is one row here, and one line in `serving` where it is used.
"""

from typing import Any, Literal

from gestalt.runner.defaults import BLOCKED_AFTER as BLOCKED
from gestalt.runner.defaults import CHECK_TIMEOUT, SHUTDOWN_TIMEOUT

from .option import Option
from .parsers import seconds, truth, workers

TARGETS: Option[tuple[str, ...]] = Option(
    name="targets",
    help="a component, an async function, or a function that makes a component; several start in "
    "this order and stop in reverse",
    default=(),
    metavar="module:attribute",
    several=True,
    positional=True,
)
APP_DIR: Option[str] = Option(
    name="app-dir",
    help="the folder that the modules of the targets are looked for in",
    default="",
    metavar="FOLDER",
    path=True,
    shown="the working directory",
)
ENV_FILE: Option[tuple[str, ...]] = Option(
    name="env-file",
    help="a file of environment variables; those that are there already win, and of several files "
    "the first",
    default=(),
    metavar="FILE",
    path=True,
    several=True,
)
LOOP: Option[Literal["auto", "asyncio", "uvloop"]] = Option(
    name="loop",
    help="the event loop; auto takes uvloop when it is installed",
    default="auto",
    choices=("auto", "asyncio", "uvloop"),
)
ON_EXCEPTION: Option[Literal["stop", "continue"]] = Option(
    name="on-exception",
    help="what an error that nobody handles does, in any task or callback: it stops the "
    "application, or is logged",
    default="stop",
    choices=("stop", "continue"),
)
SHUTDOWN: Option[float] = Option(
    name="shutdown-timeout",
    help="how long a graceful stop may take; what is left then is cut",
    default=SHUTDOWN_TIMEOUT,
    parse=seconds,
    metavar="SECONDS",
)
DRAIN_DELAY: Option[float] = Option(
    name="drain-delay",
    help="how long all parts go on after the first signal, while /readyz says already that they "
    "will not; part of shutdown-timeout",
    default=0.0,
    parse=seconds,
    metavar="SECONDS",
)
LOG_LEVEL: Option[str] = Option(
    name="log-level",
    help="the least level that is logged, unless the application sets another",
    default="info",
    choices=("debug", "info", "warning", "error", "critical"),
)
LOG_FORMAT: Option[str] = Option(
    name="log-format",
    help="lines for people, or one JSON object a line; of what the application gives no handler",
    default="text",
    choices=("text", "json"),
)
DEBUG: Option[bool] = Option(
    name="debug",
    help="asyncio's debug mode; what holds the event loop for 0.1 s is named, with its stack and "
    "its duration",
    default=False,
    parse=truth,
    flag=True,
)
BLOCKED_AFTER: Option[float] = Option(
    name="blocked-after",
    help="tell what blocks the event loop for so long, while it does; 0 tells nothing",
    default=BLOCKED,
    parse=seconds,
    metavar="SECONDS",
)
HEALTH_ADDRESS: Option[str] = Option(
    name="health-address",
    help="serve /livez, /readyz and /metrics there: host:port, :port for all interfaces, or "
    "unix:/path; by the extra gestalt-runner[health]",
    default="",
    metavar="ADDRESS",
    shown="nowhere",
)
HEALTH_CHECKS: Option[str] = Option(
    name="health-checks",
    help="a dict of plain or async functions by names, all of which have to succeed for the "
    "application to be ready",
    default="",
    metavar="module:attribute",
)
HEALTH_CHECK_TIMEOUT: Option[float] = Option(
    name="health-check-timeout",
    help="how long each of them may take",
    default=CHECK_TIMEOUT,
    parse=seconds,
    metavar="SECONDS",
)
RELOAD: Option[bool] = Option(
    name="reload",
    help="run the application in a child process, which is restarted when a file changes",
    default=False,
    parse=truth,
    flag=True,
)
RELOAD_DIR: Option[tuple[str, ...]] = Option(
    name="reload-dir",
    help="a folder that is watched, with all below; hidden folders and those of installed "
    "packages are not",
    default=(),
    metavar="FOLDER",
    path=True,
    several=True,
    shown="the app-dir",
)
RELOAD_INCLUDE: Option[tuple[str, ...]] = Option(
    name="reload-include",
    help="names of further files that are watched, with * and ? as a shell has them, besides *.py, "
    "pyproject.toml and the environment files",
    default=(),
    metavar="PATTERN",
    several=True,
)

WORKERS: Option[int] = Option(
    name="workers",
    help="how many processes to run it in, which are kept running; they share ports, by "
    "reuse_port=, or compete for queues; auto is one for each processor, 0 none but this one",
    default=0,
    parse=workers,
    metavar="COUNT",
)

INSPECT: Option[bool] = Option(
    name="inspect",
    help="let 'gestalt top', 'gestalt stacks' and the like look into the process, by a unix socket "
    "for its user alone",
    default=True,
    parse=truth,
    flag=True,
)

RUN: tuple[Option[Any], ...] = (
    TARGETS,
    APP_DIR,
    ENV_FILE,
    LOOP,
    ON_EXCEPTION,
    SHUTDOWN,
    DRAIN_DELAY,
    LOG_LEVEL,
    LOG_FORMAT,
    DEBUG,
    BLOCKED_AFTER,
    HEALTH_ADDRESS,
    HEALTH_CHECKS,
    HEALTH_CHECK_TIMEOUT,
    WORKERS,
    INSPECT,
    RELOAD,
    RELOAD_DIR,
    RELOAD_INCLUDE,
)
