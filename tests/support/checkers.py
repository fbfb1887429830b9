"""What type checkers say of samples of programs, in which wrong lines end in `# error`.

A line may also be wrong for one of them only: `# error of mypy`, `# error of pyright`.
"""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .missing import without

WORKSPACE = Path(__file__).parents[2]


def check_with_mypy(config: pytest.Config, cache: Path, *samples: Path) -> None:
    """See that mypy, strict, finds the wrong lines, and no other."""
    _need("mypy", config)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", cache, "--config-file",
         WORKSPACE / "pyproject.toml", *samples],
        cwd=WORKSPACE, capture_output=True, check=False, text=True, timeout=50,
    )  # fmt: skip
    for sample in samples:
        errors = re.findall(rf"^.*{sample.name}:(\d+): error:", done.stdout, re.MULTILINE)
        assert {int(line) for line in errors} == _wrong_lines(sample, "mypy"), done.stdout


def check_with_pyright(config: pytest.Config, folder: Path, *samples: Path) -> None:
    """See that pyright, strict, finds the wrong lines, and no other.

    basedpyright has all that pyright has, and brings what runs it.
    """
    _need("basedpyright", config)
    settings = folder / "pyrightconfig.json"
    settings.write_text(json.dumps({"typeCheckingMode": "strict", "include": [*map(str, samples)]}))
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--project", settings,
         "--pythonpath", sys.executable],
        capture_output=True, check=False, text=True, timeout=50,
    )  # fmt: skip
    found: dict[str, set[int]] = {}
    for each in json.loads(done.stdout)["generalDiagnostics"]:
        if each["severity"] == "error":
            found.setdefault(each["file"], set()).add(each["range"]["start"]["line"] + 1)
    for sample in samples:
        assert found.get(str(sample), set()) == _wrong_lines(sample, "pyright"), done.stdout


def _need(checker: str, config: pytest.Config) -> None:
    if importlib.util.find_spec(checker) is None:
        without(config, f"{checker} is not installed")


def _wrong_lines(sample: Path, checker: str) -> set[int]:
    lines = enumerate(sample.read_text().splitlines(), 1)
    return {n for n, line in lines if line.endswith(("# error", f"# error of {checker}"))}
