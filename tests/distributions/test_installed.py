"""The distributions installed from their wheels alone, in clean environments."""

from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# What is not in uv's cache yet is downloaded.
pytestmark = pytest.mark.timeout(300)


def expected(members: Any, name: str, *extras: str) -> set[str]:
    """What a distribution with these extras needs: all members, and what those declare."""
    found: set[str] = set()
    pending: list[tuple[str, frozenset[str]]] = [(name, frozenset(extras))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while pending:
        if (entry := pending.pop()) in seen:
            continue
        seen.add(entry)
        name, wanted = entry
        found.add(name)
        if name in members:
            project = members[name].project
            optional = project.get("optional-dependencies", {})
            lists = [project["dependencies"], *(optional[extra] for extra in wanted)]
            for requirement in (Requirement(text) for texts in lists for text in texts):
                marker = requirement.marker
                if marker is None or marker.evaluate({**default_environment()}):
                    needed = canonicalize_name(requirement.name)
                    pending.append((needed, frozenset(requirement.extras)))
    return found


def imported(environment: Any, packages: list[str]) -> set[str]:
    """The packages of the namespace that are loaded after these are imported."""
    output = environment.python(
        f"import importlib, sys\nfor p in {packages!r}: importlib.import_module(p)\n"
        "print(*(m for m in sys.modules if m.startswith('gestalt.') and m.count('.') == 1))"
    )
    return set(output.split())


def test_a_distribution_installs_and_imports_alone(
    part: Any, members: Any, wheels: Any, environment: Any
) -> None:
    environment.install(wheels, part.name)
    installed = environment.installed()
    needed = expected(members, part.name)
    assert installed.keys() & members.keys() == needed & members.keys()
    assert needed <= installed.keys()
    assert installed[part.name] == part.version
    declared = {members[name].package for name in needed & members.keys()}
    assert imported(environment, [part.package]) <= declared
    environment.uv("check")


def test_the_meta_package_brings_its_parts(members: Any, wheels: Any, environment: Any) -> None:
    environment.install(wheels, "gestalt")
    installed = environment.installed()
    needed = expected(members, "gestalt")
    assert installed.keys() & members.keys() == needed & members.keys()
    assert {name: installed[name] for name in needed & members.keys()} == {
        name: members[name].version for name in needed & members.keys()
    }
    packages = [members[name].package for name in needed & members.keys() if members[name].package]
    assert imported(environment, packages) == set(packages)
    assert environment.python("import gestalt; print(gestalt.__file__)") == "None"


@pytest.mark.slow
def test_an_extra_brings_what_it_stands_for(
    extra: str, members: Any, wheels: Any, environment: Any
) -> None:
    environment.install(wheels, f"gestalt[{extra}]")
    installed = environment.installed()
    needed = expected(members, "gestalt", extra)
    assert needed > expected(members, "gestalt")
    assert needed <= installed.keys()
    assert installed.keys() & members.keys() == needed & members.keys()
    environment.uv("check")
    parts = [members[name].package for name in needed & members.keys() if members[name].package]
    assert imported(environment, parts) == set(parts)


def test_one_distribution_may_stay_at_an_older_version(
    part: Any, members: Any, wheels: Any, next_wheels: Any, environment: Any
) -> None:
    environment.install({**next_wheels, part.name: wheels[part.name]}, "gestalt[amq]")
    installed = environment.installed()
    older = [name for name, member in members.items() if installed[name] == member.version]
    assert older == [part.name]
    environment.uv("check")
    parts = [member.package for member in members.values() if member.package]
    assert imported(environment, parts) == set(parts)


def test_the_others_go_on_working_without_one(members: Any, wheels: Any, environment: Any) -> None:
    environment.install(wheels, "gestalt[amq]")
    for removed in ("gestalt-net", "gestalt-amq", "gestalt-runner"):
        environment.uv("uninstall", removed)
        installed = environment.installed()
        left = [m.package for m in members.values() if m.package and m.name in installed]
        assert members[removed].package not in left
        assert imported(environment, left) == set(left)
        missing = environment.python(
            f"import importlib.util; print(importlib.util.find_spec({members[removed].package!r}))"
        )
        assert missing == "None"
