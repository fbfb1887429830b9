"""Workers that are stopped before they are ready: while Python, or their application, loads."""

import os
import re
import signal
import time

import pytest

from tests.support.processes import is_running

from .conftest import DEADLINE

# As the script `gestalt` is, but that the second worker waits at its beginning until SIGINT comes.
STARTING = """
import os, signal, time

if os.environ.get("GESTALT_WORKER") == "2":
    print(f"starting {os.getpid()}", flush=True)
    while signal.SIGINT not in signal.sigpending():
        time.sleep(0.01)

from gestalt.runner.command import main

main()
"""

APP = """
import asyncio

async def main():
    await asyncio.Event().wait()
"""

HANGING = """
import os, time

print(f"importing {os.getpid()}", flush=True)
while True:
    time.sleep(1)
"""

BLOCKED = """
import os, time

def main():
    print(f"blocked {os.getpid()}", flush=True)
    while True:
        time.sleep(1)
"""


@pytest.fixture
def start(launch, tmp_path):
    """Run `gestalt run app:main --workers 2`."""

    def start(app, *command):
        (tmp_path / "app.py").write_text(app)
        return launch(*command, "run", "app:main", "--loop", "asyncio", "--workers", "2")

    return start


def wait_for_pid(process, what):
    while not (match := re.fullmatch(rf"{what} (\d+)", process.next_line())):
        pass
    return int(match[1])


def wait_gone(pid):
    deadline = time.monotonic() + DEADLINE
    while is_running(pid):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.01)


def test_an_interrupt_from_a_terminal_tells_of_no_python_that_starts(start, tmp_path):
    (tmp_path / "starting.py").write_text(STARTING)
    process = start(APP, "starting.py")
    pid = wait_for_pid(process, "starting")
    process.wait_for_error("worker 1 is ready: process ")
    first = int(process.errors.split()[-1])
    for each in (process.pid, first, pid):
        os.kill(each, signal.SIGINT)
    assert process.end() == -signal.SIGINT, process.errors
    wait_gone(pid)
    [line] = process.errors.splitlines()
    assert "worker 1 is ready" in line


def test_a_worker_that_has_to_be_killed_is_told_of_with_status_1(start, tmp_path):
    (tmp_path / "quick.py").write_text(
        "from gestalt.runner.workers import worker\nworker.AFTER_CUT = 0.05\n"
        "from gestalt.runner.command import main\nmain()"
    )
    process = start(BLOCKED, "quick.py")
    pid = wait_for_pid(process, "blocked")
    process.send(signal.SIGTERM)
    assert process.end() == 1
    wait_gone(pid)
    assert f"worker 1: process {pid} did not end within 0.05 s" in process.errors
    assert "Traceback" not in process.errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_import_that_hangs_outlives_neither_the_stop_nor_the_parent(start, number):
    process = start(HANGING, "-m", "gestalt.runner")
    pid = wait_for_pid(process, "importing")
    process.send(number)
    wait_gone(pid)
    assert process.end() == -number
    assert process.errors == ""


def test_an_interrupt_ends_every_command_without_a_traceback(launch, tmp_path):
    (tmp_path / "app.py").write_text(HANGING)
    process = launch("-m", "gestalt.runner", "schema", "export", "app:main")
    process.wait_for_error("importing")
    process.send(signal.SIGINT)
    assert process.end() == -signal.SIGINT
    assert "Traceback" not in process.errors
