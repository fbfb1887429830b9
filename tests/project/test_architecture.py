"""docs/architecture.md is true: its examples run, and messages go the way that it shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.ways import WAYS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
TABLE = re.findall(r"^\| ([\w, ]+) \| (`[\w/]+\.py`(?:, `[\w/]+\.py`)*) \|$", PAGE, re.MULTILINE)


def test_every_way_stands_in_the_table() -> None:
    assert [name for name, _ in TABLE] == list(WAYS)


@pytest.mark.parametrize(("name", "files"), TABLE, ids=[name for name, _ in TABLE])
async def test_a_message_passes_the_files_of_the_table(name: str, files: str) -> None:
    # Not in their order: what comes of the next turn of the event loop may come before.
    assert {f"`{file}`" for file in await WAYS[name]()} == set(files.split(", "))


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_example_runs(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_shown_of_the_rule_is_in_the_code() -> None:
    _, shown = PROGRAMS[0].split("\n\n\n", maxsplit=1)
    assert shown in (ROOT / "packages/gestalt-net/src/gestalt/net/stream/room.py").read_text()
