"""./dev says what it is for, and what it needs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def dev(folder: Path, *arguments: str, python: str) -> subprocess.CompletedProcess[str]:
    """Run it in a checkout that it has made no environment for."""
    shutil.copy(ROOT / "dev", folder)
    return subprocess.run(
        [folder / "dev", *arguments],
        env={**os.environ, "PYTHON": python},
        capture_output=True,
        text=True,
        timeout=30,
    )


def fake(folder: Path, script: str) -> str:
    """An interpreter that does what a line of shell does."""
    file = folder / "python-of-a-test"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


def test_without_arguments_it_tells_what_it_does(tmp_path: Path) -> None:
    told = dev(tmp_path, python="python3")
    assert (told.returncode, told.stdout) == (2, "")
    assert "./dev run demo" in told.stderr
    assert "PYTHON names the interpreter" in told.stderr
    assert "#" not in told.stderr
    assert not (tmp_path / ".hatch").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            """
            [ "$1" = --version ] && echo Python 3.9.2
            [ "$1" = --version ] || [ -z "$2" ]
            """,
            "dev: Python 3.9.2 is too old: Python 3.11 or later is needed",
        ),
        ("exit 1", "does not run: name another Python with PYTHON="),
    ],
    ids=["old", "broken"],
)
def test_a_python_that_does_not_do_is_named(tmp_path: Path, script: str, said: str) -> None:
    told = dev(tmp_path, "run", "demo", python=fake(tmp_path, script))
    assert (told.returncode, told.stdout) == (1, "")
    assert said in told.stderr
    assert len(told.stderr.splitlines()) == 1
    assert not (tmp_path / ".hatch").exists()


@pytest.mark.parametrize("python", ["/nonexistent/python", "no-such-python"])
def test_a_python_that_is_not_there_is_named(tmp_path: Path, python: str) -> None:
    told = dev(tmp_path, "run", "demo", python=python)
    assert told.returncode == 1
    assert told.stderr.startswith(f"dev: {python} was not found: install Python 3.11 or later")
