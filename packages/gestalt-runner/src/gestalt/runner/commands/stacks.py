"""`gestalt stacks`: what all tasks and threads of a running application are doing."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from gestalt.runner.errors import InspectionError
from gestalt.runner.inspection.client import reach
from gestalt.runner.options.command_line import settings_of
from gestalt.runner.options.option import Option
from gestalt.runner.options.shared import JSON, PID
from gestalt.runner.output import show
from gestalt.runner.top.stack_text import describe_stacks

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
        with reach(settings[PID]) as client:
            stacks = client.ask("stacks")
    except InspectionError as error:
        sys.exit(f"gestalt stacks: {error}")
    show(json.dumps(stacks) if settings[JSON] else describe_stacks(stacks))
