"""A bill of materials for each distribution: what it is installed with, all its extras included.

The format is CycloneDX 1.6, https://cyclonedx.org/specification/overview/.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from .members import Member

TIMEOUT = 300.0
"""How long an installation may take, in seconds."""


def write_sboms(members: Mapping[str, Member], folder: Path) -> Iterator[Path]:
    """Install each distribution from its wheel, and write down what came with it.

    Args:
        members: the distributions.
        folder: where the files go, as `gestalt_core-0.1.0.cdx.json`.

    Returns:
        The files, as they are written.

    Raises:
        RuntimeError: a distribution cannot be built, installed or described.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheels = Path(scratch, "wheels")
        for member in members.values():
            member.build(wheels, "wheel")
        constraints = Path(scratch, "constraints.txt")
        files = ((m.name, next(wheels.glob(f"{m.stem}-*.whl"))) for m in members.values())
        constraints.write_text("".join(f"{name} @ {file.as_uri()}\n" for name, file in files))
        for member in members.values():
            everything = "[all]" if member.project.get("optional-dependencies") else ""
            environment = Path(scratch, member.name)
            uv = os.environ.get("HATCH_UV") or shutil.which("uv") or "uv"
            _run(uv, "venv", "-q", "--python", sys.executable, environment)
            python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
            _run(
                *(uv, "pip", "install", "-q", "--python", python, "-c", constraints),
                member.name + everything,
            )
            written = folder / f"{member.stem}.cdx.json"
            _run(
                *(sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"),
                *("--mc-type", "library", "--pyproject", member.path / "pyproject.toml"),
                *("-o", written, python),
            )
            yield written


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        check=False,
        text=True,
        timeout=TIMEOUT,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
