"""Asks a broker by its control socket."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ControlError(Exception):
    """The broker could not be reached by its control socket, or refused what it was asked."""


def ask(path: Path, operation: str, options: Mapping[str, Any], *, timeout: float = 30.0) -> Any:
    """Have a broker do something, and return the result.

    Args:
        path: its control socket.
        operation: what is to be done.
        options: the parameters by name.
        timeout: how long each step may take, in seconds.

    Returns:
        The rows of a table, or a sentence.

    Raises:
        ControlError: there is no such broker, it does not answer in time, or it refuses.
    """
    request = json.dumps({"operation": operation, "options": dict(options)}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(str(path))
            client.sendall(request)
            with client.makefile("rb") as answers:
                line = answers.readline()
    except TimeoutError:
        raise ControlError(f"the broker at {path} has not answered within {timeout:g} s") from None
    except OSError as error:
        raise ControlError(
            f"no broker is controlled by {path}: {error.strerror or error}"
        ) from error
    if not line:  # pragma: no cover - the broker ends just then
        raise ControlError(f"the broker at {path} has closed the connection")
    answer = json.loads(line)
    if "error" in answer:
        raise ControlError(answer["error"])
    return answer["result"]
