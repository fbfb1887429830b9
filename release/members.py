"""The distributions of this repository, as their pyproject.toml files describe them."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]

BUILD_TIMEOUT = 240.0
"""How long a build may take, in seconds."""


@dataclass(frozen=True)
class Member:
    """One distribution's sources.

    Attributes:
        path: its folder.
        project: the table `[project]` of its pyproject.toml.
    """

    path: Path
    project: Mapping[str, Any]

    @property
    def name(self) -> str:
        name: str = self.project["name"]
        return name

    @property
    def version(self) -> str:
        version: str = self.project["version"]
        return version

    @property
    def package(self) -> str | None:
        """The package that it carries, or None for the meta-package."""
        _, _, last = self.name.partition("-")
        return f"gestalt.{last}" if last else None

    @property
    def tag(self) -> str:
        """The tag of its version."""
        return f"{self.name}-{self.version}"

    @property
    def stem(self) -> str:
        """How the names of its archives begin."""
        return f"{self.name.replace('-', '_')}-{self.version}"

    def requirements(self) -> Iterator[Requirement]:
        """All that it demands, its extras included."""
        extras = self.project.get("optional-dependencies", {})
        for texts in [self.project.get("dependencies", []), *extras.values()]:
            yield from map(Requirement, texts)

    def siblings(self, members: Mapping[str, "Member"]) -> Iterator[tuple["Member", Requirement]]:
        """What it demands of this repository, and in which range."""
        for requirement in self.requirements():
            sibling = members.get(canonicalize_name(requirement.name))
            if sibling is not None and sibling.name != self.name:
                yield sibling, requirement

    def build(self, target: Path, *kinds: str) -> None:
        """Build archives into a folder.

        Args:
            target: the folder.
            kinds: "wheel" and "sdist".

        Raises:
            RuntimeError: the build failed; it has what was printed.
            subprocess.TimeoutExpired: it took longer than `BUILD_TIMEOUT`.
        """
        options = [part for kind in kinds for part in ("-t", kind)]
        done = subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-d", str(target), *options],
            capture_output=True,
            check=False,
            cwd=self.path,
            # What leads back to the checkout stays out.
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=BUILD_TIMEOUT,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name} cannot be built:\n{done.stdout}{done.stderr}")


def read_member(path: Path) -> Member:
    """The distribution in a folder."""
    return Member(path, tomllib.loads((path / "pyproject.toml").read_text("utf-8"))["project"])


def read_members(root: Path = ROOT) -> dict[str, Member]:
    """The distributions of a checkout by name, each after those that it demands."""
    found = [read_member(file.parent) for file in sorted(root.glob("packages/*/pyproject.toml"))]
    members = {member.name: member for member in found}
    sorter = TopologicalSorter(
        {name: {s.name for s, _ in m.siblings(members)} for name, m in members.items()}
    )
    return {name: members[name] for name in sorter.static_order()}


def lower_bound(requirement: Requirement) -> Version:
    """The oldest version that a requirement admits.

    Raises:
        ValueError: it names none.
    """
    bounds = [
        Version(part.version)
        for part in requirement.specifier
        if part.operator in ("~=", ">=", "==") and not part.version.endswith("*")
    ]
    if not bounds:
        raise ValueError(f"{requirement} has no lower bound")
    return max(bounds)
