"""Faults that `release check` finds before a distribution is published."""

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from release.__main__ import main
from release.archives import (
    LEFT_OUT,
    build_twice,
    faults_of_contents,
    faults_of_metadata,
    wheel_contents,
)
from release.checks import faults_of_bounds, faults_of_tag, faults_of_versions
from release.history import History
from release.members import ROOT, Member, read_members
from release.urls import faults_of_urls, write_urls


class Checkout:
    """A copy of this repository's distributions, in a repository of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        ignored = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(ROOT / "packages", root / "packages", ignore=ignored)
        shutil.copy(ROOT / ".gitignore", root)
        self.git("init", "-q")
        self.commit()

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
        subprocess.run(["git", "-C", str(self.root), *identity, *arguments], check=True, timeout=60)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "A change")

    def release(self, *names: str) -> None:
        """Commit, and tag what stands here."""
        self.commit()
        for member in self.members.values():
            if not names or member.name in names:
                self.git("tag", member.tag)

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / "packages" / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def bump(self, name: str, version: str) -> None:
        """Give a distribution another version, and its changelog an entry for that."""
        old = self.members[name].version
        self.edit(f"{name}/pyproject.toml", f'version = "{old}"', f'version = "{version}"')
        changelog = self.root / "packages" / name / "CHANGELOG.md"
        changelog.write_text(f"# Changes\n\n## Unreleased: {version}\n\n{changelog.read_text()}")

    @property
    def members(self) -> dict[str, Member]:
        return read_members(self.root)

    @property
    def history(self) -> History:
        return History(self.root)

    def versions(self) -> list[str]:
        return list(faults_of_versions(self.members, self.history))

    def bounds(self) -> list[str]:
        return list(faults_of_bounds(self.members, self.history, self.root))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_each_distribution_comes_after_those_that_it_demands() -> None:
    order = list(read_members())
    assert order[0] == "gestalt-core"
    assert order[-1] == "gestalt"
    assert order.index("gestalt-codecs") < order.index("gestalt-net")


def test_nothing_is_wrong_before_the_first_release_and_after_it(checkout: Checkout) -> None:
    assert checkout.versions() == checkout.bounds() == []
    checkout.release()
    assert checkout.versions() == checkout.bounds() == []


def test_a_change_since_the_last_tag_needs_a_new_version(checkout: Checkout) -> None:
    checkout.release()
    checkout.edit("gestalt-core/README.md", "gestalt-core", "the gestalt-core")
    assert checkout.versions() == [
        "gestalt-core has changed since gestalt-core-0.1.0 and needs a new version: "
        "packages/gestalt-core/README.md"
    ]
    checkout.bump("gestalt-core", "0.1.1")
    assert checkout.versions() == []


def test_a_changelog_needs_an_entry_for_the_version(checkout: Checkout) -> None:
    checkout.edit("gestalt-net/CHANGELOG.md", "## Unreleased: 0.1.0", "## Unreleased")
    [fault] = checkout.versions()
    assert fault.startswith("gestalt-net: CHANGELOG.md has no entry for 0.1.0")


def test_a_version_may_not_fall_behind_what_was_published(checkout: Checkout) -> None:
    checkout.release()
    checkout.bump("gestalt-net", "0.0.9")
    assert "gestalt-net 0.0.9 is older than what was published, 0.1.0" in checkout.versions()


def test_the_meta_package_may_not_sort_below_the_unrelated_one(checkout: Checkout) -> None:
    checkout.bump("gestalt", "20.1.0")
    assert checkout.versions() == ["gestalt 20.1.0 would sort below the unrelated gestalt 20.1.1"]


def test_a_lower_bound_that_lacks_a_name_that_is_used_is_too_low(checkout: Checkout) -> None:
    checkout.release()
    for name, text in (
        ("gestalt-core/src/gestalt/core/numbers.py", "\n\ndef check_luck() -> None: ...\n"),
        ("gestalt-net/src/gestalt/net/tls.py", "from gestalt.core.numbers import check_luck\n"),
    ):
        file = checkout.root / "packages" / name
        file.write_text(file.read_text() + text)
    checkout.bump("gestalt-core", "0.1.1")
    checkout.bump("gestalt-net", "0.1.1")
    assert checkout.bounds() == [
        "gestalt-net demands gestalt-core~=0.1.0, and 0.1.0 has not what it uses: "
        "gestalt.core.numbers.check_luck"
    ]
    checkout.edit("gestalt-net/pyproject.toml", "gestalt-core~=0.1.0", "gestalt-core~=0.1.1")
    assert checkout.bounds() == []


def test_a_lower_bound_needs_a_version_that_was_published(checkout: Checkout) -> None:
    checkout.bump("gestalt-core", "0.1.7")
    assert (
        "gestalt-net demands gestalt-core~=0.1.0, and no tag gestalt-core-0.1.0 is there"
        in checkout.bounds()
    )


def test_a_range_has_to_admit_what_stands_here(checkout: Checkout) -> None:
    checkout.bump("gestalt-codecs", "0.2.0")
    assert "gestalt-amq demands gestalt-codecs~=0.1.0, and 0.2.0 stands here" in checkout.bounds()


def test_a_tag_publishes_a_version_whose_changelog_has_its_date(checkout: Checkout) -> None:
    tag = "gestalt-core-0.1.0"
    [fault] = faults_of_tag(checkout.members, tag)
    assert "no entry" in fault
    checkout.edit("gestalt-core/CHANGELOG.md", "## Unreleased: 0.1.0", "## 0.1.0 (2026-01-31)")
    assert list(faults_of_tag(checkout.members, tag)) == []
    [fault] = faults_of_tag(checkout.members, "gestalt-core-0.1.1")
    assert fault.startswith("gestalt-core-0.1.1 is no tag of a version that stands here")


def test_archives_that_differ_each_time_are_found(checkout: Checkout, tmp_path: Path) -> None:
    (checkout.root / "packages/gestalt-core/hatch_build.py").write_text(
        "import uuid, pathlib\n"
        "from hatchling.builders.hooks.plugin.interface import BuildHookInterface\n"
        "class Hook(BuildHookInterface):\n"
        "    def initialize(self, version, build_data):\n"
        "        path = pathlib.Path(self.root, 'src/gestalt/core/chance.py')\n"
        "        path.write_text(f'VALUE = {str(uuid.uuid4())!r}')\n"
    )
    file = checkout.root / "packages/gestalt-core/pyproject.toml"
    file.write_text(file.read_text() + "\n[tool.hatch.build.hooks.custom]\n")
    member = checkout.members["gestalt-core"]
    assert any(
        "comes out differently" in f for f in build_twice([member], tmp_path / "a", tmp_path)
    )


def test_what_does_not_belong_in_an_archive_is_found(checkout: Checkout, tmp_path: Path) -> None:
    member = checkout.members["gestalt-core"]
    assert list(build_twice([member], tmp_path / "built", tmp_path)) == []
    assert list(faults_of_contents([member], tmp_path / "built")) == []
    [wheel] = (tmp_path / "built").glob("*.whl")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("gestalt/__init__.py", "")
    (member.path / "src/gestalt/core/forgotten.py").touch()
    faults = list(faults_of_contents([member], tmp_path / "built"))
    assert f"{wheel.name} holds gestalt/__init__.py, which nobody asked for" in faults
    assert f"{wheel.name} lacks gestalt/core/forgotten.py" in faults


def test_metadata_that_an_index_refuses_is_found(checkout: Checkout, tmp_path: Path) -> None:
    pytest.importorskip("twine")
    checkout.edit("gestalt-core/pyproject.toml", 'readme = "README.md"', 'readme = "README.rst"')
    (checkout.root / "packages/gestalt-core/README.rst").write_text("A\n=\n\n.. nonsense::\n")
    member = checkout.members["gestalt-core"]
    member.build(tmp_path / "built", "wheel")
    [fault] = faults_of_metadata(tmp_path / "built")
    assert "long_description" in fault


def test_the_plan_names_what_would_be_published_in_order(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout.release("gestalt-core", "gestalt-codecs")
    checkout.edit("gestalt-codecs/README.md", "gestalt-codecs", "the gestalt-codecs")
    assert main(["--root", str(checkout.root), "plan"]) == 0
    lines = [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["1", "gestalt-core", "0.1.0", "is published"]
    assert lines[1] == ["2", "gestalt-codecs", "0.1.0", "needs a new version: 1 files differ"]
    assert lines[-1][1] == "gestalt"
    assert lines[-1][3].startswith("to be published as gestalt-")


def test_the_check_keeps_the_archives_of_one_tag_and_fails_by_a_fault(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("twine")
    check = ["--root", str(checkout.root), "check", "--tag", "gestalt-core-0.1.0"]
    assert main([*check, "--output", str(tmp_path / "kept")]) == 1
    told = capsys.readouterr().out
    assert "FAILED  the tag" in told
    assert "no distribution says where the project is" in told
    names = sorted(file.name for file in (tmp_path / "kept").iterdir())
    assert names == ["gestalt_core-0.1.0-py3-none-any.whl", "gestalt_core-0.1.0.tar.gz"]
    assert main([*check, "--output", str(tmp_path / "kept")]) == 2
    checkout.edit("gestalt-core/CHANGELOG.md", "## Unreleased: 0.1.0", "## 0.1.0 (2026-01-31)")
    write_urls(checkout.members, "https://example.com/us/gestalt")
    assert main(check) == 0
    assert "ready to be published" in capsys.readouterr().out


def test_one_command_has_all_say_where_the_project_is(checkout: Checkout, tmp_path: Path) -> None:
    at = "https://example.com/us/gestalt"
    for repository in ("https://example.com/before/gestalt.git", at):
        assert main(["--root", str(checkout.root), "urls", repository]) == 0
        assert list(faults_of_urls(checkout.members, "gestalt-amq-0.1.0")) == []
    member = checkout.members["gestalt-amq"]
    member.build(tmp_path, "wheel")
    [wheel] = tmp_path.glob("*.whl")
    metadata = wheel_contents(wheel)["gestalt_amq-0.1.0.dist-info/METADATA"].decode()
    assert metadata.count("Project-URL: ") == 4
    assert f"Project-URL: Source, {at}\n" in metadata
    assert f"]({at}/blob/main/docs/security.md#rabbitmq)" in metadata
    assert f"]({at}/blob/main/packages/gestalt-codecs/README.md)" in metadata
    assert "](.." not in metadata
    assert "/before/" not in metadata


def test_urls_that_differ_and_links_that_lead_nowhere_are_found(checkout: Checkout) -> None:
    assert list(faults_of_urls(checkout.members, None)) == []
    write_urls(checkout.members, "https://example.com/us/gestalt")
    checkout.edit("gestalt-net/pyproject.toml", "/us/gestalt/issues", "/them/gestalt/issues")
    checkout.edit("gestalt-core/README.md", "# gestalt-core", "# gestalt-core\n[More](more.md)")
    core, net = sorted(faults_of_urls(checkout.members, None))
    assert net.startswith("gestalt-net has other URLs than its siblings")
    assert core.startswith("gestalt-core: README.md leads nowhere on an index by more.md")
    with pytest.raises(ValueError, match="a host, an owner and a name"):
        write_urls(checkout.members, "example.com/us")
