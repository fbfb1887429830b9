"""Users' programs: type checkers find nothing in a right one, and the mistakes in a wrong one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkers import WORKSPACE, check_with_mypy, check_with_pyright

SAMPLES = Path(__file__).parent / "typing"
APPLICATION = SAMPLES / "application.py"
OTHERS = [SAMPLES / name for name in ("mistakes.py", "signatures.py", "testing.py")]


@pytest.mark.slow
def test_mypy_finds_the_mistakes_and_no_other(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    check_with_mypy(request.config, tmp_path, APPLICATION, *OTHERS)


@pytest.mark.slow
def test_pyright_finds_the_mistakes_and_no_other(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    check_with_pyright(request.config, tmp_path, APPLICATION, *OTHERS)


def test_the_right_program_does_what_it_says(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, APPLICATION, tmp_path],
        cwd=WORKSPACE, capture_output=True, check=False, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
