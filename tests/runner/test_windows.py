"""What Windows lacks degrades, or is refused by a sentence; simulated in a process without it."""

import pytest

PROGRAM = """
import sys
from tests.support.as_windows import pretend
pretend()
from gestalt.runner.command import main
main(sys.argv[1:])
"""

APP = """
import asyncio
from gestalt.core import Component

class Part(Component):
    async def _open(self): print("open", type(asyncio.get_running_loop()).__name__, flush=True)
    async def _close(self): print("close", flush=True)

part = Part()

async def main():
    await asyncio.sleep(0.01)
"""


@pytest.fixture
def start(launch, tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "windows.py").write_text(PROGRAM)
    return lambda *arguments: launch("windows.py", "run", *arguments)


def test_an_application_runs_to_its_end(start):
    process = start("app:part", "app:main")
    assert process.end() == 0, process.errors
    assert process.lines == ["open CompletionLoop", "close"]
    assert "Traceback" not in process.errors


def test_workers_are_refused_by_a_sentence(start):
    process = start("app:part", "--workers", "2")
    assert process.end() == 2
    assert process.errors.endswith(
        "error: argument --workers: there are no workers on this system: start the command several "
        "times instead\n"
    )
