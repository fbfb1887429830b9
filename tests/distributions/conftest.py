"""The distributions built once for the whole run, and clean environments to install them in.

Members come from the built wheels alone: each environment is made under constraints that name their
files, so that nothing of the same name on an index can take their place.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from release.archives import LEFT_OUT
from release.members import Member, read_member, read_members


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command to its end and return what it printed."""
    # What leads back to the checkout, or to another environment, stays out.
    left_out = ("PYTHONPATH", "VIRTUAL_ENV", "UV_RESOLUTION", "UV_CONSTRAINT")
    variables = {key: value for key, value in os.environ.items() if key not in left_out}
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


MEMBERS = read_members()


class Environment:
    """A virtual environment that holds what is installed from wheels."""

    def __init__(self, path: Path) -> None:
        # The uv that made this environment works here; otherwise the one that the tests declare.
        self._uv = os.environ.get("HATCH_UV") or shutil.which("uv") or "uv"
        self._path = path
        self._python = path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        run(self._uv, "venv", "-q", "--python", sys.executable, path)

    @property
    def folder(self) -> Path:
        """Where its programs are."""
        return self._python.parent

    def install(self, wheels: Mapping[str, Path], *requirements: str) -> None:
        """Install requirements; members come from these wheels."""
        constraints = self._path / "constraints.txt"
        lines = (f"{name} @ {wheel.as_uri()}\n" for name, wheel in wheels.items())
        constraints.write_text("".join(lines))
        self.uv("install", "-c", constraints, *requirements)

    def uv(self, command: str, *arguments: str | Path) -> str:
        """Run a command of `uv pip` on this environment."""
        return run(self._uv, "pip", command, "-q", "--python", self._python, *arguments)

    def python(self, script: str) -> str:
        """Run a script and return what it printed."""
        return run(self._python, "-I", "-c", script, cwd=self._path).strip()

    def installed(self) -> dict[str, str]:
        """The version of each distribution; members are checked to come from files."""
        output = self.python(
            "from importlib.metadata import distributions\n"
            "for d in distributions():\n"
            "    origin = d.read_text('direct_url.json') or 'index'\n"
            "    print(d.name, d.version, 'file' if 'file://' in origin else 'index')"
        )
        found = {}
        for line in output.splitlines():
            name, version, origin = line.split()
            name = re.sub(r"[-_.]+", "-", name).lower()
            found[name] = version
            assert (name in MEMBERS) == (origin == "file"), f"{name} came from: {origin}"
        return found


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of each distribution."""
    target = tmp_path_factory.mktemp("built")
    for member in MEMBERS.values():
        member.build(target, "wheel", "sdist")
    return target


@pytest.fixture(scope="session")
def wheels(built: Path) -> dict[str, Path]:
    """The wheel of each distribution."""
    return {name: wheel_of(built, name) for name in MEMBERS}


def wheel_of(folder: Path, name: str) -> Path:
    [wheel] = folder.glob(f"{name.replace('-', '_')}-*.whl")
    return wheel


@pytest.fixture(scope="session")
def next_wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each distribution at its next patch version."""
    root, target = tmp_path_factory.mktemp("next"), tmp_path_factory.mktemp("next-built")
    for name, member in MEMBERS.items():
        copy = root / name
        shutil.copytree(member.path, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
        *parts, patch = member.version.split(".")
        text = (copy / "pyproject.toml").read_text()
        bumped = ".".join([*parts, str(int(patch) + 1)])
        text = text.replace(f'version = "{member.version}"', f'version = "{bumped}"', 1)
        (copy / "pyproject.toml").write_text(text)
        read_member(copy).build(target, "wheel")
    return {name: wheel_of(target, name) for name in MEMBERS}


@pytest.fixture(scope="session")
def members() -> dict[str, Member]:
    """The distributions of the workspace, by name."""
    return MEMBERS


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An empty virtual environment."""
    return Environment(tmp_path / "environment")


@pytest.fixture(scope="session")
def new_environment() -> Callable[[Path], Environment]:
    """What makes an empty virtual environment in a folder, for tests that share one."""
    return Environment


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat a test for each `member`, each `part` (a member with modules), or each `extra`."""
    values: dict[str, Callable[[], list[Any]]] = {
        "member": lambda: list(MEMBERS.values()),
        "part": lambda: [member for member in MEMBERS.values() if member.package],
        "extra": lambda: list(MEMBERS["gestalt"].project["optional-dependencies"]),
    }
    for name in values.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(name, values[name](), ids=lambda value: getattr(value, "name", value))
