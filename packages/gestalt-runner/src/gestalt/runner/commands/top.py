"""`gestalt top`: a view into a running application."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gestalt.runner.errors import InspectionError
from gestalt.runner.inspection.client import Client, connect, only, reach, running
from gestalt.runner.options.command_line import settings_of
from gestalt.runner.options.option import Option
from gestalt.runner.options.parsers import interval, truth
from gestalt.runner.options.shared import JSON
from gestalt.runner.output import show
from gestalt.runner.top.reading import Reading, Readings
from gestalt.runner.top.text import as_data, describe

PID: Option[str] = Option(
    name="pid",
    help="the process; of several applications in one, the second is 1234.2, and so on",
    default="",
    shown="the only one that runs; else there is a choice",
    positional=True,
)
INTERVAL: Option[float] = Option(
    name="interval",
    help="time between two looks, from 0.1 on",
    default=1.0,
    parse=interval,
    metavar="SECONDS",
)
ONCE: Option[bool] = Option(
    name="once",
    help="print what there is, with the rates of one interval, and end",
    default=False,
    parse=truth,
    flag=True,
)
OPTIONS: tuple[Option[Any], ...] = (PID, INTERVAL, ONCE, JSON)

DESCRIPTION = """\
Look into an application that was started by 'gestalt run', or with inspect=True: its components,
their peers, rates, latencies, queues and timers, tasks with their stacks, and logs. It needs the
extra 'top', but for --once.
"""


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        SystemExit: 1 when there is no such application, or it does not answer.
    """
    settings = settings_of("top", OPTIONS, arguments, description=DESCRIPTION)
    once = settings[ONCE] or settings[JSON]
    try:
        if once:
            with reach(settings[PID]) as client:
                reading = _read_once(client, settings[INTERVAL])
        else:
            _show(settings[PID], settings[INTERVAL])
            return
    except InspectionError as error:
        sys.exit(f"gestalt top: {error}")
    show(json.dumps(as_data(reading)) if settings[JSON] else describe(reading))


def _read_once(client: Client, seconds: float) -> Reading:
    readings = Readings()
    readings.read(client.ask("snapshot"))
    time.sleep(seconds)
    return readings.read(client.ask("snapshot"))


def _show(target: str, seconds: float) -> None:
    """Show it in the terminal, until it is left."""
    if not all(each.isatty() for each in (sys.stdin, sys.stdout, sys.stderr)):
        raise InspectionError("this is no terminal: use --once, which prints text")
    try:
        from gestalt.runner.top.app import show as show_screen
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("textual", "rich"):
            raise  # pragma: no cover - what they need themselves is missing
        raise InspectionError(
            "the extra 'top' is not installed: pip install 'gestalt-runner[top]', or use --once"
        ) from error
    if target:
        with connect(target) as client:
            path = client.path
        show_screen(path, seconds)
        return
    found = running()
    if not found:
        only()  # pragma: no cover - in a terminal, and nothing runs
    show_screen(Path(found[0]["path"]) if len(found) == 1 else None, seconds)
