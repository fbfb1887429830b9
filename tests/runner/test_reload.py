"""`gestalt run --reload`: the application restarts gracefully when its files change."""

import os
import signal
import sys
from pathlib import Path

import pytest

from gestalt.runner.restarting.changes import Watched
from gestalt.runner.restarting.child import describe_status
from tests.runner.conftest import ENVIRONMENT, PYTHON
from tests.support.terminal import Terminal

pytest.importorskip("watchfiles")

# What changes within a second, and keeps its size, is the same to Python's cache of byte code.
CACHED_NOTHING = "PYTHONDONTWRITEBYTECODE=1"

APPLICATION = """
import asyncio, os, signal
from gestalt.core import Component

class Part(Component):
    async def _open(self):
        self.task = self._spawn(self.work())
        print("version {version}", os.getpid(), flush=True)
    async def work(self):
        try:
            await asyncio.sleep({seconds})
            print("drained {version}", flush=True)
        except asyncio.CancelledError:
            print("cut {version}", flush=True)
            raise
    async def _drain(self):
        print("draining {version}", flush=True)
        await asyncio.wait([self.task])
    async def _close(self):
        print("closed {version}", flush=True)

part = Part(stop_timeout=1000)
"""


@pytest.fixture
def write(tmp_path):
    def write(version, *, seconds=0, name="app.py", more=""):
        (tmp_path / name).write_text(APPLICATION.format(version=version, seconds=seconds) + more)

    write(1)
    return write


@pytest.fixture
def gestalt(launch, write):
    """Run `gestalt run app:part --reload`, what it logs among what it prints."""

    def gestalt(*arguments):
        options = {"within": ["env", CACHED_NOTHING], "shell": "2>&1"}
        command = ["-m", "gestalt.runner", "run", "app:part", "--reload"]
        return launch(*command, *arguments, **options)

    return gestalt


def printed(process):
    words = ("version", "draining", "drained", "cut", "closed")
    return [" ".join(line.split()[:2]) for line in process.lines if line.startswith(words)]


def test_a_change_restarts_gracefully_and_sigterm_ends_both(gestalt, write):
    process = gestalt()
    process.wait_for_part("version 1")
    write(2)
    process.wait_for_part("version 2")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert [line for line in printed(process) if line.startswith(("version", "closed"))] == [
        "version 1",
        "closed 1",
        "version 2",
        "closed 2",
    ]
    assert any("reload: app.py changed, the application restarts" in line for line in process.lines)


def test_a_syntax_error_waits_for_the_next_change(gestalt, write):
    process = gestalt()
    process.wait_for_part("version 1")
    write(2, more="x = (\n")
    process.wait_for_part("SyntaxError")
    process.wait_for_part(
        "the application ended with status 1; it starts again when a file changes"
    )
    write(3)
    process.wait_for_part("version 3")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM


def test_without_a_running_child_a_signal_ends_the_watcher(gestalt, write):
    write(1, more="x = (\n")
    process = gestalt()
    process.wait_for_part("the application ended with status 1")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM


def test_the_death_of_the_watcher_stops_the_application_gracefully(gestalt):
    process = gestalt()
    process.wait_for_part("version 1")
    process.send(signal.SIGKILL)
    process.wait_for("closed 1")


def test_a_second_signal_cuts_what_drains(gestalt, write):
    write(1, seconds=1000)
    process = gestalt()
    process.wait_for_part("version 1")
    process.send(signal.SIGTERM)
    process.wait_for("draining 1")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert printed(process) == ["version 1", "draining 1", "cut 1", "closed 1"]


def test_a_stop_that_fails_is_the_status_of_the_watcher(gestalt, write):
    failing = "async def failing(self): raise OSError('cannot close')\nPart._close = failing\n"
    write(1, more=failing)
    process = gestalt()
    process.wait_for_part("version 1")
    process.send(signal.SIGTERM)
    assert process.end() == 1
    assert sum("OSError: cannot close" in line for line in process.lines) == 1


def test_sighup_is_handed_on_and_restarts_nothing(gestalt, write):
    write(
        1,
        more="""
from gestalt.core.reloading import reloads
class Reloadable(Part):
    @reloads
    def _read(self): print("read again", flush=True)
part = Reloadable()
""",
    )
    process = gestalt()
    process.wait_for_part("version 1")
    process.send(signal.SIGHUP)
    process.wait_for("read again")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert printed(process).count("version 1") == 1


def test_ctrl_c_in_a_terminal_is_one_signal_to_the_application_and_the_second_cuts(write, tmp_path):
    write(1, seconds=1000)
    command = [*PYTHON, "-m", "gestalt.runner", "run", "app:part", "--reload"]
    variables = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with Terminal(command, variables=variables, cwd=tmp_path) as terminal:
        terminal.wait_for("version 1")
        terminal.press("\x03")
        terminal.wait_for("draining 1")
        assert "cut 1" not in terminal.text
        terminal.press("\x03")
        assert terminal.wait_ended() == -signal.SIGINT
        assert "cut 1" in terminal.text
        assert "closed 1" in terminal.text
        assert "Traceback" not in terminal.text


def test_without_watchfiles_the_error_names_the_extra(gestalt, tmp_path):
    (tmp_path / "watchfiles.py").write_text("raise ImportError('not here')\n")
    process = gestalt()
    assert process.end() == 2
    assert "pip install 'gestalt-runner[reload]'" in "".join(process.lines)


def test_a_folder_that_is_not_there_is_status_2(gestalt):
    process = gestalt("--reload-dir", ".", "--reload-dir", "nowhere")
    assert process.end() == 2
    assert "argument --reload-dir: there is no folder" in "".join(process.lines)


@pytest.mark.parametrize(
    ("status", "words"), [(3, "with status 3"), (-9, "by SIGKILL"), (-40, "by signal 40")]
)
def test_an_end_is_told_in_words(status, words):
    assert describe_status(status) == words


@pytest.mark.parametrize(
    ("path", "watched"),
    [
        ("app.py", True),
        ("package/inner.py", True),
        ("pyproject.toml", True),
        ("templates/page.html", True),
        ("package/data.json", False),
        (".env", True),
        (".venv/lib/x.py", False),
        (".git/x.py", False),
        ("venv/lib/site-packages/x.py", False),
        ("package/__pycache__/x.py", False),
        (".#app.py", False),
    ],
)
def test_which_files_are_watched(path, watched):
    # What is above the folder does not matter, such as where a project lies in a hidden one.
    folder = Path("/home/.cache/project")
    files = Watched([folder], ["*.py", "pyproject.toml", "*.html"], [folder / ".env"])
    assert (folder / path in files) is watched


def test_with_workers_a_change_restarts_all_of_them(gestalt, write):
    process = gestalt("--workers", "2")
    first = {process.wait_for_part("version 1").split()[-1] for _ in range(2)}
    process.wait_for_part("all workers are ready: 2")
    write(2)
    second = {process.wait_for_part("version 2").split()[-1] for _ in range(2)}
    assert len(first | second) == 4
    assert process.lines.count("closed 1") == 2
    process.wait_for_part("all workers are ready: 2")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines.count("closed 2") == 2
