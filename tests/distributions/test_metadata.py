"""Every distribution says the same about itself, and its siblings' ranges admit their versions."""

import tomllib
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

SHARED = ("requires-python", "license", "license-files", "authors", "classifiers", "readme")


def test_shared_metadata_is_the_same_everywhere(member: Any, members: Any) -> None:
    for key in SHARED:
        assert member.project[key] == members["gestalt"].project[key], key


def test_the_build_system_is_the_same_everywhere(member: Any, members: Any) -> None:
    def build_system(of: Any) -> Any:
        return tomllib.loads((of.path / "pyproject.toml").read_text())["build-system"]

    assert build_system(member) == build_system(members["gestalt"])


def test_license_and_readme_and_changelog_are_there(member: Any, members: Any) -> None:
    shared = members["gestalt"].path / "LICENSE"
    assert (member.path / "LICENSE").read_text() == shared.read_text()
    assert member.name in (member.path / "README.md").read_text()
    assert (member.path / "CHANGELOG.md").read_text().strip()


def test_classifiers_name_the_versions_that_are_supported(member: Any) -> None:
    lowest = Version(member.project["requires-python"].removeprefix(">="))
    prefix = "Programming Language :: Python :: 3."
    minors = [int(c.removeprefix(prefix)) for c in member.project["classifiers"] if prefix in c]
    assert minors[0] == lowest.minor
    assert minors == list(range(minors[0], minors[-1] + 1))


def test_ranges_of_siblings_admit_the_current_versions(member: Any, members: Any) -> None:
    for requirement in member.requirements():
        sibling = members.get(canonicalize_name(requirement.name))
        if sibling is None:
            assert not canonicalize_name(requirement.name).startswith("gestalt"), requirement
            continue
        assert requirement.specifier.contains(sibling.version), requirement
        extras = sibling.project.get("optional-dependencies", {})
        assert requirement.extras <= extras.keys(), requirement


def test_a_sibling_in_the_dependencies_has_a_compatible_range(member: Any, members: Any) -> None:
    for requirement in map(Requirement, member.project["dependencies"]):
        if canonicalize_name(requirement.name) in members:
            assert [s.operator for s in requirement.specifier] == ["~="], requirement


def test_other_dependencies_have_a_lower_bound(member: Any, members: Any) -> None:
    for requirement in member.requirements():
        if canonicalize_name(requirement.name) not in members:
            assert ">=" in {s.operator for s in requirement.specifier}, requirement


def test_the_extra_all_holds_every_other_extra(member: Any) -> None:
    extras = dict(member.project.get("optional-dependencies", {}))
    if not extras:
        return
    [everything] = [Requirement(text) for text in extras.pop("all")]
    assert canonicalize_name(everything.name) == member.name
    assert everything.extras == extras.keys()
