"""What is in the wheels and the sdists."""

import tarfile
from pathlib import Path
from typing import Any

from release.archives import faults_of_contents, wheel_contents


def test_the_archives_hold_what_they_should_and_nothing_else(member: Any, built: Path) -> None:
    assert list(faults_of_contents([member], built)) == []


def test_no_wheel_has_an_init_of_the_namespace(member: Any, wheels: Any) -> None:
    assert "gestalt/__init__.py" not in wheel_contents(wheels[member.name])


def test_an_sdist_rebuilds_to_the_same_wheel(
    member: Any, built: Path, wheels: Any, tmp_path: Path
) -> None:
    with tarfile.open(built / f"{member.stem}.tar.gz") as archive:
        # Python 3.11.2, which is Debian 12's, knows no filters yet.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda file, path: file)
        archive.extractall(tmp_path)
    unpacked = type(member)(tmp_path / member.stem, member.project)
    unpacked.build(tmp_path / "rebuilt", "wheel")
    [rebuilt] = (tmp_path / "rebuilt").glob("*.whl")
    assert wheel_contents(rebuilt) == wheel_contents(wheels[member.name])
