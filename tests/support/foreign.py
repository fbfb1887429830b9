"""Other implementations, each in a process of its own, which echo what they receive."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREDECESSOR = "gestalt==20.1.1"


class NoPredecessorError(Exception):
    """gestalt 20.1.1 cannot be installed here; the sentence says why."""


class ForeignPeer:
    """A process that echoes what it receives.

    Args:
        process: it; the first line that it prints holds the ports of its servers, by protocol.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._commands = process.stdin
        self.ports: dict[str, int] = json.loads(process.stdout.readline())

    def connect(self, protocol: str, port: int) -> None:
        """Have it connect to a port, and begin with the message "hello"."""
        self._commands.write(f"{protocol} {port}\n")
        self._commands.flush()


@contextmanager
def running(python: str | Path, script: Path) -> Iterator[ForeignPeer]:
    """A process that runs a script of another implementation."""
    with subprocess.Popen(
        [python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield ForeignPeer(process)
        finally:
            process.kill()


def install_predecessor(environment: Path) -> Path:
    """Make an environment with gestalt 20.1.1, which hides ours; return its interpreter.

    Raises:
        NoPredecessorError: it cannot be installed.
    """
    uv = os.environ.get("HATCH_UV") or shutil.which("uv") or "uv"
    python = environment / "bin" / "python"
    # What leads back to another environment, or changes what is installed, stays out.
    left_out = ("PYTHONPATH", "VIRTUAL_ENV", "UV_RESOLUTION", "UV_CONSTRAINT")
    variables = {key: value for key, value in os.environ.items() if key not in left_out}
    commands: tuple[list[str | Path], ...] = (
        [uv, "venv", "-q", "--python", sys.executable, environment],
        [uv, "pip", "install", "-q", "--python", python, PREDECESSOR],
    )
    for command in commands:
        try:
            subprocess.run(
                command, check=True, capture_output=True, env=variables, text=True, timeout=50
            )
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(getattr(error, "stderr", None) or error).strip()
            raise NoPredecessorError(f"{PREDECESSOR} cannot be installed: {reason}") from error
    return python
