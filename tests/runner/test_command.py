"""The `gestalt` command."""

import signal

import pytest

APPLICATION = """
from gestalt.core import Component

class Part(Component):
    async def _open(self): print("open", flush=True)
    async def _close(self): print("close", flush=True)

part = Part()
number = 3

async def main(): print("main", flush=True)
"""


@pytest.fixture
def gestalt(launch, tmp_path):
    (tmp_path / "app.py").write_text(APPLICATION)
    return lambda *arguments: launch("-m", "gestalt.runner", *arguments)


def test_runs_an_async_function_from_the_current_directory(gestalt):
    process = gestalt("run", "app:part", "app:main", "--loop", "asyncio")
    assert process.end() == 0
    assert process.lines == ["open", "main", "close"]


def test_sigint_is_death_by_sigint_without_a_traceback(gestalt):
    process = gestalt("run", "app:part")
    process.wait_for("open")
    process.send(signal.SIGINT)
    assert process.end() == -signal.SIGINT
    assert "Traceback" not in process.errors


def test_wrong_target_is_status_2_and_a_sentence(gestalt):
    sentences = {
        "app": "not of the form module:attribute",
        "nowhere:main": "no module 'nowhere'",
        "app:missing": "no attribute 'missing'",
        "app:number": "got 3",
        "app:Part": "got <class",
    }
    processes = {target: gestalt("run", target) for target in sentences}
    for target, process in processes.items():
        assert process.end() == 2
        assert sentences[target] in process.errors
        assert "Traceback" not in process.errors


def test_version_and_help(gestalt):
    version, help_ = gestalt("--version"), gestalt("run", "--help")
    assert version.end() == 0
    assert version.lines[0].startswith("gestalt-runner ")
    assert help_.end() == 0
    assert "exit status:" in "\n".join(help_.lines)
