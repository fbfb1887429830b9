"""The documentation leads nowhere that is not there."""

import re
import tomllib
from pathlib import Path

import pytest

from release.members import read_members
from release.urls import repository_of

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("packages/*/*.md")),
    *sorted(ROOT.glob("benchmarks/*.md")),
]
ENVIRONMENTS = tomllib.loads((ROOT / "hatch.toml").read_text())["envs"]
REPOSITORY = repository_of(read_members())
HATCH = {"+package=core", "+package=codecs", "python"}
"""What `./dev run` takes besides the scripts of hatch.toml, in what is written here."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def without_code(page: Path) -> str:
    """What is read of a page, without its blocks and its invisible comments."""
    code = r"^( *)```.*?^\1```|^<!--.*?-->"
    text = re.sub(code, "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    # READMEs of distributions lead to the repository from wherever an index shows them.
    return text.replace(f"]({REPOSITORY}/blob/main/", "](../../")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text).strip().lower().replace(" ", "-") for text in headings}


@pages
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def is_script(name: str) -> bool:
    environment, colon, script = name.rpartition(":")
    return script in ENVIRONMENTS.get(environment if colon else "default", {}).get("scripts", {})


@pages
def test_commands_name_what_is_there(page: Path) -> None:
    text = page.read_text()
    for name in re.findall(r"(?:\./dev|hatch) run ([\w+=:-]+)", text):
        assert is_script(name) or name in HATCH, name
    # As alone:test, after the package.
    for name in re.findall(r"(?:\./dev|hatch) run \+\S+ ([\w:-]+)", text):
        assert is_script(name), name
    for path in re.findall(r"(?:^|[\s`])((?:tests|benchmarks|examples|\.ci)/[\w./-]*\w)", text):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"python -m (tests[\w.]+)", text):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists(), module


@pages
def test_the_files_that_are_named_are_there(page: Path) -> None:
    if page.parent not in (ROOT, ROOT / "docs"):
        return
    roots = [
        page.parent,
        ROOT,
        *ROOT.glob("packages/*/src/gestalt/*"),
        *ROOT.glob("packages/*/src/gestalt"),
    ]
    for name in re.findall(r"`([\w/.-]+\.(?:py|toml))`", page.read_text()):
        found = [root / name for root in roots if (root / name).exists()]
        assert found or name == "pyproject.toml", name


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / target.partition("#")[0]).resolve()
        for target in re.findall(r"\]\(([^)\s]+)\)", index.read_text())
    }
    assert {*ROOT.glob("docs/**/*.md")} - {index} <= linked


def test_every_promise_is_tested_by_what_is_named() -> None:
    file, named = Path(), 0
    for line in (ROOT / "docs" / "delivery.md").read_text().splitlines():
        # A test is followed by its file, or is in that of the line before.
        parts = re.findall(r"`(test_\w+)`|\]\(\.\./(tests/[\w/]+\.py)\)", line)
        for test, path in reversed(parts):
            file = ROOT / path if path else file
            named += bool(test)
            assert not test or f"def {test}(" in file.read_text(), f"{test} is not in {file}"
        file = ROOT / parts[-1][1] if parts and parts[-1][1] else file
    assert named > 30


def test_the_readme_shows_a_program_that_is_read_at_a_glance() -> None:
    [program] = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert len([line for line in program.splitlines() if line.strip()]) <= 20


def test_the_style_is_shown_by_this_code() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    shown = re.findall(r"From\s`(\w+)/([\w/]+\.py)`:\n\n```python\n(.*?)\n```", text, re.DOTALL)
    assert len(shown) == text.count("\n```python")
    for package, file, code in shown:
        source = ROOT / f"packages/gestalt-{package}/src/gestalt/{package}/{file}"
        assert dedented(code) in dedented(source.read_text()), code


def dedented(code: str) -> str:
    return re.sub(r"^ +", "", code, flags=re.MULTILINE)
