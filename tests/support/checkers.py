"""What type checkers say of a sample of programs, in which wrong lines end in `# error`."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .missing import without

WORKSPACE = Path(__file__).parents[2]


def wrong_lines(sample: Path, *marks: str) -> set[int]:
    """The numbers of the lines that end in one of these."""
    lines = sample.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith(marks)}


def check_with_mypy(sample: Path, config: pytest.Config, cache: Path) -> None:
    """See that mypy finds the wrong lines, and no other."""
    if importlib.util.find_spec("mypy") is None:
        without(config, "mypy is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", cache, "--config-file",
         WORKSPACE / "pyproject.toml", sample],
        cwd=WORKSPACE, capture_output=True, check=False, text=True, timeout=50,
    )  # fmt: skip
    errors = re.findall(rf"^.*{sample.name}:(\d+): error:", done.stdout, re.MULTILINE)
    found = {int(line) for line in errors}
    assert found == wrong_lines(sample, "# error", "# error of mypy"), done.stdout


def check_with_pyright(sample: Path) -> None:
    """See that pyright finds the wrong lines, and no other, where it is installed."""
    pyright = shutil.which("pyright")
    if pyright is None:
        pytest.skip("pyright is not installed")
    done = subprocess.run(
        [pyright, "--outputjson", "--pythonpath", sys.executable, sample],
        capture_output=True, check=False, text=True, timeout=50,
    )  # fmt: skip
    found = json.loads(done.stdout)["generalDiagnostics"]
    lines = {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"}
    assert lines == wrong_lines(sample, "# error"), done.stdout
