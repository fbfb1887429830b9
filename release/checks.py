"""Whether the distributions may be published as they stand."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.version import Version

from .history import History, changelog_entry
from .members import Member, lower_bound
from .names import Names, imported

UNRELATED = Version("20.1.1")
"""An unrelated `gestalt` of this version was on the index before ours."""


def faults_of_versions(members: Mapping[str, Member], history: History) -> Iterator[str]:
    """Versions that were forgotten: what has changed since its last tag needs a new one."""
    for member in members.values():
        version = Version(member.version)
        if member.package is None and version <= UNRELATED:
            yield (
                f"{member.name} {version} would sort below the unrelated {member.name} {UNRELATED}"
            )
        if changelog_entry(member) is None:
            yield (
                f"{member.name}: CHANGELOG.md has no entry for {version}, "
                f"as '## Unreleased: {version}' or '## {version} (YEAR-MONTH-DAY)'"
            )
        known = history.versions(member.name)
        if not known:
            continue
        latest = known[-1]
        if version < latest:
            yield f"{member.name} {version} is older than what was published, {latest}"
        elif version == latest:
            changed = history.changed(member, member.tag)
            if changed:
                yield (
                    f"{member.name} has changed since {member.tag} and needs a new version: "
                    f"{_some(changed)}"
                )


def faults_of_bounds(members: Mapping[str, Member], history: History, root: Path) -> Iterator[str]:
    """Lower bounds between siblings that are too low, or that nothing can fulfil."""
    for member in members.values():
        for sibling, requirement in member.siblings(members):
            if not requirement.specifier:
                # An extra of a sibling that the dependencies have in a range.
                continue
            if not requirement.specifier.contains(sibling.version):
                yield f"{member.name} demands {requirement}, and {sibling.version} stands here"
                continue
            lowest = lower_bound(requirement)
            if lowest == Version(sibling.version):
                continue
            if lowest not in history.versions(sibling.name):
                tag = f"{sibling.name}-{lowest}"
                yield f"{member.name} demands {requirement}, and no tag {tag} is there"
                continue
            missing = _missing(member, sibling, f"{sibling.name}-{lowest}", history, root)
            if missing:
                yield (
                    f"{member.name} demands {requirement}, and {lowest} has not what it uses: "
                    f"{_some(missing)}"
                )


def faults_of_tag(members: Mapping[str, Member], tag: str) -> Iterator[str]:
    """Why what stands here cannot be published by this tag."""
    for member in members.values():
        if member.tag == tag:
            entry = changelog_entry(member)
            if entry is None or entry.startswith("Unreleased"):
                yield f"{tag}: CHANGELOG.md has no entry '## {member.version} (YEAR-MONTH-DAY)'"
            return
    tags = ", ".join(member.tag for member in members.values())
    yield f"{tag} is no tag of a version that stands here; those are {tags}"


def _missing(member: Member, sibling: Member, tag: str, history: History, root: Path) -> list[str]:
    if sibling.package is None or member.package is None:
        return []
    source = f"{sibling.path.relative_to(root).as_posix()}/src/"
    names = Names(
        (path.removeprefix(source) for path in history.files(tag, source)),
        lambda path: history.read(tag, source + path),
    )
    used = imported(member.path / "src", sibling.package)
    return sorted(
        {
            f"{module}.{name}" if name else module
            for module, name, _ in used
            if not names.has(module, name)
        }
    )


def _some(items: list[str]) -> str:
    """The first few of many."""
    shown = ", ".join(items[:5])
    return f"{shown} and {len(items) - 5} more" if len(items) > 5 else shown
