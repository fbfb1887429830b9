"""Type checkers say of the interface what happens when it is used."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.missing import without

SAMPLE = Path(__file__).parent / "typing" / "message_types.py"
WORKSPACE = Path(__file__).parents[2]


def expected(*marks: str) -> set[int]:
    lines = SAMPLE.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith(marks)}


def test_mypy_finds_these_errors_and_no_other(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if importlib.util.find_spec("mypy") is None:
        without(request.config, "mypy is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", tmp_path, "--config-file",
         WORKSPACE / "pyproject.toml", SAMPLE],
        cwd=WORKSPACE, capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    errors = re.findall(rf"^.*{SAMPLE.name}:(\d+): error:", done.stdout, re.MULTILINE)
    assert {int(line) for line in errors} == expected("# error", "# error of mypy"), done.stdout


def test_pyright_finds_these_errors_and_no_other(request: pytest.FixtureRequest) -> None:
    pyright = shutil.which("pyright")
    if pyright is None:
        pytest.skip("pyright is not installed")
    done = subprocess.run(
        [pyright, "--outputjson", "--pythonpath", sys.executable, SAMPLE],
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    found = json.loads(done.stdout)["generalDiagnostics"]
    lines = {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"}
    assert lines == expected("# error"), done.stdout
