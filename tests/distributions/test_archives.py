"""What is in the wheels and the sdists."""

import tarfile
import zipfile
from pathlib import Path
from typing import Any

ALLOWED = (".py", "/py.typed", ".dist-info/METADATA", ".dist-info/WHEEL", ".dist-info/RECORD")
ALLOWED += (".dist-info/licenses/LICENSE", ".dist-info/entry_points.txt")


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_wheel_holds_its_package_and_nothing_else(part: Any, wheels: Any) -> None:
    folder = part.package.replace(".", "/")
    names = set(contents(wheels[part.name]))
    assert {f"{folder}/__init__.py", f"{folder}/py.typed"} <= names
    outside = {name for name in names if not name.startswith(f"{folder}/")}
    assert {name.partition("/")[0] for name in outside} == {
        f"{part.name.replace('-', '_')}-{part.version}.dist-info"
    }
    assert [name for name in names if not name.endswith(ALLOWED)] == []


def test_a_wheel_holds_all_modules_of_its_sources(part: Any, wheels: Any) -> None:
    source = part.path / "src"
    modules = {path.relative_to(source).as_posix() for path in source.rglob("*.py")}
    assert modules <= contents(wheels[part.name]).keys()


def test_no_wheel_has_an_init_of_the_namespace(member: Any, wheels: Any) -> None:
    assert "gestalt/__init__.py" not in contents(wheels[member.name])


def test_the_meta_package_carries_no_modules(wheels: Any) -> None:
    assert [name for name in contents(wheels["gestalt"]) if ".dist-info/" not in name] == []


def test_the_license_is_in_every_wheel(member: Any, wheels: Any) -> None:
    found = contents(wheels[member.name])
    [name] = [name for name in found if name.endswith(".dist-info/licenses/LICENSE")]
    assert found[name] == (member.path / "LICENSE").read_bytes()


def test_an_sdist_rebuilds_to_the_same_wheel(
    member: Any, built: Path, wheels: Any, tmp_path: Path
) -> None:
    stem = f"{member.name.replace('-', '_')}-{member.version}"
    with tarfile.open(built / f"{stem}.tar.gz") as archive:
        assert not [name for name in archive.getnames() if "/tests" in name]
        # Python 3.11.2, which is Debian 12's, knows no filters yet.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda file, path: file)
        archive.extractall(tmp_path)
    unpacked = type(member)(tmp_path / stem, member.project)
    unpacked.build(tmp_path / "rebuilt", "wheel")
    [rebuilt] = (tmp_path / "rebuilt").glob("*.whl")
    assert contents(rebuilt) == contents(wheels[member.name])
