"""The archives of a distribution: what is in them, and whether they come out the same twice."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from .members import Member, read_member

ALLOWED = ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE", "entry_points.txt")
"""What a wheel may tell of itself."""

LEFT_OUT = ("__pycache__", "dist", ".pytest_cache", "*.pyc")


def wheel_contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def faults_of_contents(members: Iterable[Member], folder: Path) -> Iterator[str]:
    """What is wrong with the contents of the archives in a folder."""
    for member in members:
        [wheel] = folder.glob(f"{member.stem}-*.whl")
        yield from _faults_of_wheel(member, wheel)
        yield from _faults_of_sdist(member, folder / f"{member.stem}.tar.gz")


def _faults_of_wheel(member: Member, wheel: Path) -> Iterator[str]:
    """What is wrong with a wheel's contents."""
    found = wheel_contents(wheel)
    source = member.path / "src"
    expected = set(_files(source, source))
    if member.package:
        expected.add(f"{member.package.replace('.', '/')}/py.typed")
    info = f"{member.stem}.dist-info"
    expected |= {f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"}
    for name in sorted(expected - found.keys()):
        yield f"{wheel.name} lacks {name}"
    for name in sorted(found.keys() - expected):
        if name.removeprefix(f"{info}/") not in ALLOWED:
            yield f"{wheel.name} holds {name}, which nobody asked for"
    if found.get(f"{info}/licenses/LICENSE") != (member.path / "LICENSE").read_bytes():
        yield f"{wheel.name} does not hold the licence"


def _faults_of_sdist(member: Member, sdist: Path) -> Iterator[str]:
    """What is wrong with a source archive's contents."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    source = set(_files(member.path / "src", member.path))
    root = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "PKG-INFO"}
    for name in sorted((source | root) - names):
        yield f"{sdist.name} lacks {name}"
    for name in sorted(names - source - root):
        if name != ".gitignore":
            yield f"{sdist.name} holds {name}, which nobody asked for"


def _files(folder: Path, root: Path) -> Iterator[str]:
    """The files below a folder, from `root` on, but for those that Python makes itself."""
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(root).as_posix()


def faults_of_metadata(folder: Path) -> Iterator[str]:
    """What an index would refuse, or show badly, of the archives in a folder, by twine."""
    archives = sorted(folder.iterdir())
    if not archives:
        return
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, archives)],
        capture_output=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
        text=True,
        timeout=120,
    )
    if done.returncode:
        yield f"twine check:\n{done.stdout}{done.stderr}".rstrip()


def build_twice(members: Iterable[Member], target: Path, scratch: Path) -> Iterator[str]:
    """Build wheels and source archives into `target`; tell of those that differ the second time.

    The second time, a copy is built, whose files are newer, in another folder.
    """
    for member in members:
        member.build(target, "wheel", "sdist")
        copy = scratch / member.name
        # copy, not copy2: the times of the files are to differ.
        shutil.copytree(
            member.path,
            copy,
            copy_function=shutil.copy,
            ignore=shutil.ignore_patterns(*LEFT_OUT),
        )
        # Source archives hold it, wherever it is found above them.
        shutil.copy(member.path.parents[1] / ".gitignore", copy)
        again = scratch / "again"
        read_member(copy).build(again, "wheel", "sdist")
        for archive in sorted(target.glob(f"{member.stem}[-.]*")):
            if archive.read_bytes() != (again / archive.name).read_bytes():
                yield f"{archive.name} comes out differently each time that it is built"


def digests(folder: Path) -> Iterator[str]:
    """A line for each archive of a folder, as `sha256sum` prints them."""
    for archive in sorted(folder.iterdir()):
        yield f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}"
