"""What was published, by the tags of the repository: `gestalt-net-0.2.0` is one of gestalt-net."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from packaging.version import InvalidVersion, Version

from .members import Member

SHIPPED = ("src", "pyproject.toml", "README.md", "LICENSE")
"""What of a distribution's folder reaches its users, but for the changelog."""

TIMEOUT = 60.0
"""How long git may take, in seconds."""


class History:
    """The tags of a repository, and what stood where they point.

    Args:
        root: the checkout.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def versions(self, name: str) -> list[Version]:
        """The versions of a distribution that are tagged, the oldest first."""
        found = []
        for tag in self._git("tag", "--list", f"{name}-*").split():
            # `gestalt-net-0.2.0` is not a tag of `gestalt`.
            try:
                found.append(Version(tag.removeprefix(f"{name}-")))
            except InvalidVersion:
                continue
        return sorted(found)

    def changed(self, member: Member, since: str) -> list[str]:
        """The files of a distribution that differ from those of a tag, and that users get."""
        folder = member.path.relative_to(self._root).as_posix()
        paths = [f"{folder}/{part}" for part in SHIPPED]
        return self._git("diff", "--name-only", since, "--", *paths).split()

    def files(self, tag: str, folder: str) -> list[str]:
        """The files below a folder, as a tag has them, from the root on."""
        return self._git("ls-tree", "-r", "--name-only", tag, "--", folder).splitlines()

    def read(self, tag: str, path: str) -> str:
        """A file, as a tag has it."""
        return self._git("show", f"{tag}:{path}")

    def _git(self, *arguments: str) -> str:
        command: Sequence[str] = ("git", "-C", str(self._root), *arguments)
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=TIMEOUT)
        if done.returncode:
            raise RuntimeError(f"git {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


def changelog_entry(member: Member) -> str | None:
    """The heading of the changelog's entry for the present version, or None.

    A version that is still to be released has `## Unreleased: 0.2.0`, another `## 0.2.0` and its
    date, as `2026-11-27`.
    """
    text = (member.path / "CHANGELOG.md").read_text("utf-8")
    version = re.escape(member.version)
    found = re.search(
        rf"^## (Unreleased: {version}|{version} \(\d{{4}}-\d\d-\d\d\))$", text, re.MULTILINE
    )
    return found and found[1]
