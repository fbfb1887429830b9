"""What coverage leaves out has a reason: without one, it is not left out."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["report"]
HEEDED = re.compile("|".join([SETTINGS["exclude_lines"][0], *SETTINGS["partial_branches"]]))
SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))


def left_out(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if "pragma" in line]


def test_each_place_that_coverage_leaves_out_says_why() -> None:
    places = [(path, line) for path in SOURCES for line in left_out(path.read_text())]
    assert places
    assert [place for place in places if not HEEDED.search(place[1])] == []


@pytest.mark.parametrize(
    "line",
    [
        "x  # pragma: no cover",
        "x  # pragma: no cover - ",
        "x  # pragma: no branch",
        "# pragma: no",
    ],
)
def test_what_says_no_reason_is_not_heeded(line: str) -> None:
    assert left_out(line)
    assert not HEEDED.search(line)


def test_each_kind_that_coverage_leaves_out_says_why() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    begin = lines.index("exclude_lines = [")
    kinds = lines[begin + 2 : lines.index("]", begin)]
    assert len(kinds) == len(SETTINGS["exclude_lines"]) - 1 > 0
    assert [kind for kind in kinds if not re.search(r'",\s+# \w', kind)] == []
