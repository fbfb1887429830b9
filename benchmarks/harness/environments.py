"""The interpreters of contenders: which one runs, and what its environment holds."""

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness.model import Unavailable

ROOT = Path(__file__).parents[2]

TELL = "import sys; print(sys.executable)"

TIMEOUT = 300.0
"""How long hatch may take to make an environment, in seconds."""

COMPILED = ROOT / ".hatch" / "compiled"
"""Where interpreters keep what they have compiled."""


def keeping_compiled(**more: str) -> Mapping[str, str]:
    """The variables of a process that keeps what it has compiled, as users' interpreters do."""
    variables = {**os.environ, "PYTHONPYCACHEPREFIX": str(COMPILED), **more}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    return variables


def interpreter(environment: str) -> str:
    """Return the path of an environment's Python; hatch makes the environment when it is absent.

    Raises:
        Unavailable: hatch is not found, or cannot make the environment.
    """
    found = _found(environment)
    if isinstance(found, Unavailable):
        raise found
    return found


@functools.cache
def _found(environment: str) -> str | Unavailable:
    # What was in vain once is not waited for again.
    try:
        return _make(environment)
    except Unavailable as error:
        return error


def _make(environment: str) -> str:
    hatch = shutil.which("hatch")
    if hatch is None:
        raise Unavailable(f"the environment {environment} needs hatch on PATH")
    # The marks that the outer `hatch run` leaves must not reach the inner one.
    marks = ("HATCH_ENV_ACTIVE", "VIRTUAL_ENV")
    variables = {key: value for key, value in os.environ.items() if key not in marks}
    try:
        found = subprocess.run(
            [hatch, "-q", "run", f"{environment}:python", "-c", TELL],
            capture_output=True,
            check=False,
            cwd=ROOT,
            env=variables,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"hatch cannot make the environment {environment}: {error}") from None
    if found.returncode:
        reason = found.stderr.strip()
        raise Unavailable(f"hatch cannot make the environment {environment}: {reason}")
    if not (lines := found.stdout.splitlines()):
        raise Unavailable(f"hatch does not tell the Python of the environment {environment}")
    return lines[-1]
