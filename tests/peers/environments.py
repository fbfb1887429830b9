"""A virtual environment for each suite, with the peer and what its tests need."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from .suites import Suite

_SECONDS = 900.0


class NoEnvironmentError(Exception):
    """The environment of a suite could not be made."""


def environment_for(suite: Suite, source: Path, cache: Path) -> Path:
    """Return the Python of the suite's environment, which is made unless it is there.

    Args:
        suite: the suite.
        source: the folder of the peer's sources.
        cache: where the environments are.

    Raises:
        NoEnvironmentError: it could not be made.
    """
    wanted = json.dumps([str(source), sys.version, *_requirements(suite, source)])
    folder = cache / suite.name
    stamp = folder / "made-of.json"
    python = folder / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    uv = shutil.which("uv")
    if uv is None:
        raise NoEnvironmentError("uv is not on PATH; ./dev brings it")
    _call(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    _call(uv, "pip", "install", "--quiet", "--python", str(python), *_requirements(suite, source))
    stamp.write_text(wanted)
    return python


def version_of(python: Path, suite: Suite) -> str:
    """Return the version of the peer that an environment has."""
    name = {"py-amqp": "amqp"}.get(suite.name, suite.name)
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    return _call(str(python), "-c", code).strip()


def _requirements(suite: Suite, source: Path) -> list[str]:
    extras = f"[{suite.extras}]" if suite.extras else ""
    return [f"{source}{extras}", "pytest-timeout", *suite.requirements]


def _call(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoEnvironmentError(f"{command[0]} took more than {_SECONDS:g} s") from None
    if done.returncode:
        raise NoEnvironmentError(f"{' '.join(command[:3])}: {done.stderr.strip()[-500:]}")
    return done.stdout
