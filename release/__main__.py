"""`python -m release check`, `plan`, `sbom` and `urls`."""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from .archives import build_twice, digests, faults_of_contents, faults_of_metadata
from .checks import faults_of_bounds, faults_of_tag, faults_of_versions
from .history import History, changelog_entry
from .members import ROOT, Member, read_members
from .sbom import write_sboms
from .urls import HOW, faults_of_urls, repository_of, write_urls


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status: 0, or 1 where something is wrong."""
    options = _parser().parse_args(arguments)
    status: int = options.command(options)
    return status


def check(options: argparse.Namespace) -> int:
    """Build everything, and look at it as a careful stranger would."""
    output: Path | None = options.output
    with tempfile.TemporaryDirectory() as scratch:
        target = output or Path(scratch, "built")
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            print(f"{target} is not empty", file=sys.stderr)
            return 2
        wrong = 0
        # Each looks when it is asked, and so after those before it.
        for name, faults in _steps(options, target, Path(scratch)).items():
            told = list(faults)
            wrong += len(told)
            print(f"{'FAILED' if told else 'ok':8}{name}", flush=True)
            for fault in told:
                print("        " + fault.replace("\n", "\n        "))
        print()
        for line in digests(target):
            print(line)
    if wrong:
        print(f"\n{wrong} faults")
    elif repository_of(read_members(options.root)) is None:
        print(f"\nready, but that nothing says where the project is; before a publication:\n{HOW}")
    else:
        print("\nready to be published")
    return int(wrong > 0)


def _steps(options: argparse.Namespace, target: Path, scratch: Path) -> dict[str, Iterable[str]]:
    members = read_members(options.root)
    history = History(options.root)
    chosen = [m for m in members.values() if options.tag in (None, m.tag)]
    return {
        "versions and changelogs": faults_of_versions(members, history),
        "lower bounds between siblings": faults_of_bounds(members, history, options.root),
        "project URLs": faults_of_urls(members, options.tag),
        "the tag": faults_of_tag(members, options.tag) if options.tag else (),
        "builds, and whether they come out the same twice": build_twice(chosen, target, scratch),
        "contents and licences": faults_of_contents(chosen, target),
        "metadata": faults_of_metadata(target),
    }


def plan(options: argparse.Namespace) -> int:
    """Say what would be published, in which order."""
    members = read_members(options.root)
    history = History(options.root)
    rows = [_planned(member, history) for member in members.values()]
    width = max(len(row[0]) for row in rows)
    for number, (name, version, what) in enumerate(rows, 1):
        print(f"{number}  {name:{width}}  {version:10}  {what}")
    return 0


def _planned(member: Member, history: History) -> tuple[str, str, str]:
    known = [str(version) for version in history.versions(member.name)]
    if member.version in known:
        changed = history.changed(member, member.tag)
        what = f"needs a new version: {len(changed)} files differ" if changed else "is published"
        return member.name, member.version, what
    since = f"after {known[-1]}" if known else "the first"
    entry = changelog_entry(member)
    if entry is None:
        since += "; the changelog has no entry"
    elif entry.startswith("Unreleased"):
        since += "; the changelog says Unreleased"
    return member.name, member.version, f"to be published as {member.tag}, {since}"


def sbom(options: argparse.Namespace) -> int:
    """Write what each distribution is installed with, as CycloneDX has it."""
    for path in write_sboms(read_members(options.root), options.folder):
        print(path)
    return 0


def urls(options: argparse.Namespace) -> int:
    """Have each distribution's metadata and README say where the project is."""
    try:
        write_urls(read_members(options.root), options.repository)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="release", description=sys.modules["release"].__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("check", help=check.__doc__, description=check.__doc__)
    command.add_argument(
        "--tag",
        help="check what this tag publishes, as gestalt-core-0.1.0; by default, everything",
    )
    command.add_argument(
        "--output", type=Path, metavar="FOLDER", help="keep the archives in this empty folder"
    )
    command.set_defaults(command=check)
    command = commands.add_parser("plan", help=plan.__doc__, description=plan.__doc__)
    command.set_defaults(command=plan)
    command = commands.add_parser("sbom", help=sbom.__doc__, description=sbom.__doc__)
    command.add_argument("folder", type=Path, metavar="FOLDER", help="where the files go")
    command.set_defaults(command=sbom)
    command = commands.add_parser("urls", help=urls.__doc__, description=urls.__doc__)
    command.add_argument("repository", metavar="URL", help="as https://example.org/OWNER/gestalt")
    command.set_defaults(command=urls)
    return parser


if __name__ == "__main__":
    sys.exit(main())
