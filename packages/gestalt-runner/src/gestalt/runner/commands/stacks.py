"""`gestalt stacks`: what all tasks and threads of a running application are doing."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from gestalt.runner.errors import InspectionError
from gestalt.runner.inspection.client import connect, only
from gestalt.runner.options.command_line import settings_of
from gestalt.runner.options.option import Option
from gestalt.runner.options.parsers import truth
from gestalt.runner.top.stack_text import describe_stacks

PID: Option[str] = Option(
    name="pid",
    help="the process; of several applications in one, the second is 1234.2, and so on",
    default="",
    shown="the only application that runs",
    positional=True,
)
JSON: Option[bool] = Option(
    name="json", help="print JSON, for scripts", default=False, parse=truth, flag=True
)
OPTIONS: tuple[Option[Any], ...] = (PID, JSON)

DESCRIPTION = """\
Print the stacks of all tasks of a running application, in the order of awaits, and of its threads.
It works while the event loop is blocked.
"""


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        SystemExit: 1 when there is no such application, or it does not answer.
    """
    settings = settings_of("stacks", OPTIONS, arguments, description=DESCRIPTION)
    try:
        with connect(settings[PID]) if settings[PID] else only() as client:
            stacks = client.ask("stacks")
    except InspectionError as error:
        sys.exit(f"gestalt stacks: {error}")
    if settings[JSON]:
        print(json.dumps(stacks))
    else:
        print(describe_stacks(stacks))
