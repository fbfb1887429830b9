"""Where the project stands on the web, as each distribution's metadata and README say it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from posixpath import join, normpath
from urllib.parse import urlsplit

from .members import Member

OWNER_AND_NAME = re.compile(r"/[\w.-]+/[\w.-]+")
TABLE = re.compile(r"^\[project\.urls\]\n(?:.+\n)*\n", re.MULTILINE)
CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
RELATIVE_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)\s]+)\)")
HOW = "./dev run release:urls https://example.org/OWNER/gestalt"


def repository_of(members: Mapping[str, Member]) -> str | None:
    """Where the repository is, or None as long as no distribution says it."""
    found = {member.project.get("urls", {}).get("Source") for member in members.values()}
    return min(found - {None}, default=None)


def faults_of_urls(members: Mapping[str, Member], tag: str | None) -> Iterator[str]:
    """Metadata without URLs, or with others than their siblings have; links that lead nowhere."""
    repository = repository_of(members)
    if repository is None:
        if tag is not None:
            yield f"no distribution says where the project is: {HOW}"
        return
    for member in members.values():
        if member.project.get("urls") != _urls(member, repository):
            yield f"{member.name} has other URLs than its siblings, or none: {HOW}"
        links = RELATIVE_LINK.findall(CODE.sub("", _readme(member).read_text("utf-8")))
        if links:
            nowhere = ", ".join(links)
            yield f"{member.name}: README.md leads nowhere on an index by {nowhere}: {HOW}"


def write_urls(members: Mapping[str, Member], repository: str) -> None:
    """Have every distribution say where the project is.

    Args:
        members: the distributions.
        repository: as `https://example.org/OWNER/gestalt`.

    Raises:
        ValueError: it is no such URL.
    """
    repository = repository.removesuffix("/").removesuffix(".git")
    parts = urlsplit(repository)
    if parts.scheme != "https" or not parts.netloc or not OWNER_AND_NAME.fullmatch(parts.path):
        raise ValueError("the URL of a repository is a host, an owner and a name: " + HOW)
    before = repository_of(members)
    for member in members.values():
        _write_table(member, repository)
        _write_links(member, before, repository)


def _urls(member: Member, repository: str) -> dict[str, str]:
    return {
        "Documentation": f"{repository}/blob/main/docs/README.md",
        "Source": repository,
        "Changelog": f"{repository}/blob/main/packages/{member.name}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


def _write_table(member: Member, repository: str) -> None:
    file = member.path / "pyproject.toml"
    text = TABLE.sub("", file.read_text("utf-8"))
    urls = "".join(f'{name} = "{url}"\n' for name, url in _urls(member, repository).items())
    # Before the table that follows [project].
    place = text.index("\n[", text.index("[project]")) + 1
    file.write_text(f"{text[:place]}[project.urls]\n{urls}\n{text[place:]}", "utf-8")


def _write_links(member: Member, before: str | None, repository: str) -> None:
    def absolute(match: re.Match[str]) -> str:
        path = normpath(join("packages", member.name, match[1]))
        return f"]({repository}/blob/main/{path})"

    file = _readme(member)
    text = file.read_text("utf-8")
    if before is not None:
        text = text.replace(f"]({before}/blob/main/", f"]({repository}/blob/main/")
    # Every other part is code.
    parts = CODE.split(text)
    parts[::2] = [RELATIVE_LINK.sub(absolute, part) for part in parts[::2]]
    file.write_text("".join(parts), "utf-8")


def _readme(member: Member) -> Path:
    return member.path / "README.md"
