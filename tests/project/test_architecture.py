"""docs/architecture.md is true: its examples run, and messages go the way that it shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.project.ways import WAYS

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
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
