"""`gestalt health`: whether an application that runs is alive and ready."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from gestalt.runner.errors import InspectionError
from gestalt.runner.health.address import HealthAddress
from gestalt.runner.health.client import fetch
from gestalt.runner.inspection.client import reach
from gestalt.runner.options.command_line import settings_of
from gestalt.runner.options.option import Option, Settings
from gestalt.runner.options.parsers import seconds, truth
from gestalt.runner.options.shared import JSON
from gestalt.runner.output import show

TARGET: Option[str] = Option(
    name="target",
    help="a process, asked by its inspection socket, or the address of its health endpoint: "
    "host:port, :port or unix:/path",
    default="",
    metavar="PID|ADDRESS",
    shown="the only application that runs",
    positional=True,
)
LIVE: Option[bool] = Option(
    name="live",
    help="tell whether it is alive, ready or not",
    default=False,
    parse=truth,
    flag=True,
)
TIMEOUT: Option[float] = Option(
    name="timeout",
    help="how long the endpoint may take to answer",
    default=5.0,
    parse=seconds,
    metavar="SECONDS",
)
OPTIONS: tuple[Option[Any], ...] = (TARGET, LIVE, JSON, TIMEOUT)

DESCRIPTION = """\
Tell whether a running application is ready, and what keeps it from that. The exit status is 0 if it
is, and 1 if it is not or does not answer.
"""


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        SystemExit: always; 0 when all is well, 1 when it is not.
    """
    settings = settings_of("health", OPTIONS, arguments, description=DESCRIPTION)
    wanted = "alive" if settings[LIVE] else "ready"
    try:
        answer = _ask(settings)
    except (InspectionError, OSError, ValueError) as error:
        answer = {"status": "no answer", "error": str(error)}
    show(json.dumps(answer, ensure_ascii=False) if settings[JSON] else _text(answer))
    sys.exit(0 if answer.get("status") == wanted else 1)


def _ask(settings: Settings) -> dict[str, Any]:
    target, live = settings[TARGET], settings[LIVE]
    if ":" in target:
        address = HealthAddress.parse(target)
        return fetch(address, "/livez" if live else "/readyz", timeout=settings[TIMEOUT])
    with reach(target) as client:
        answer = client.ask("health")
    return dict(answer["live" if live else "ready"])


def _text(answer: dict[str, Any]) -> str:
    reasons = [f"{each['check']}: {each['reason']}" for each in answer.get("failed", ())]
    if "error" in answer:
        reasons.append(str(answer["error"]))
    return "\n  ".join([str(answer.get("status", "no answer")), *reasons])
