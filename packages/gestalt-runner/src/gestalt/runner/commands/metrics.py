"""`gestalt metrics`: what a running application counts, as Prometheus reads it."""

import sys
from collections.abc import Sequence
from typing import Any

from gestalt.runner.errors import InspectionError
from gestalt.runner.inspection.client import reach
from gestalt.runner.options.command_line import settings_of
from gestalt.runner.options.option import Option
from gestalt.runner.options.shared import PID
from gestalt.runner.output import show

OPTIONS: tuple[Option[Any], ...] = (PID,)

DESCRIPTION = """\
Print the page of metrics that /metrics of the health endpoint gives, also of an application that
has none: in Prometheus' text format, such as its node exporter reads from files. With --workers,
name the process that was started, and it is the page of all. The application needs the extra
'metrics'; 'gestalt top --once --json' prints what it counts without.
"""


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        SystemExit: 1 when there is no such application, or it does not answer.
    """
    settings = settings_of("metrics", OPTIONS, arguments, description=DESCRIPTION)
    try:
        with reach(settings[PID]) as client:
            page = client.ask("metrics")
    except InspectionError as error:
        sys.exit(f"gestalt metrics: {error}")
    show(page)
