"""As process 1 of a container, which the kernel spares the default action of a signal."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import DEADLINE

WAYS = (
    ["unshare", "--pid", "--fork", "--kill-child"],
    ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"],
)


@pytest.fixture(scope="module")
def within() -> list[str]:
    """What starts a command as process 1 of a pid namespace of its own."""
    if shutil.which("unshare"):
        for way in WAYS:
            if subprocess.run([*way, "true"], capture_output=True).returncode == 0:
                return way
    pytest.skip("NOT TESTED: no pid namespace can be made here, which takes root and `unshare`")


def process_1(process) -> int:
    """The process in the namespace, by its number outside of it."""
    deadline = time.monotonic() + DEADLINE
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while time.monotonic() < deadline:
        if found := children.read_text().split():
            return int(found[0])
    pytest.fail("unshare has started nothing")


BLOCKED = """
assert os.getpid() == 1
async def main():
    say("blocked")
    while True:
        time.sleep(0.01)
run(main, loop=LOOP, shutdown_timeout=1000)
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_third_signal_ends_a_process_1_whose_loop_is_blocked(script, within, number):
    process = script(BLOCKED, within=within)
    process.wait_for("blocked")
    inner = process_1(process)
    deadline = time.monotonic() + DEADLINE
    while Path(f"/proc/{inner}").exists() and time.monotonic() < deadline:
        # Gone between the look and the signal, it has ended.
        try:
            os.kill(inner, number)
        except ProcessLookupError:
            break
        time.sleep(0.02)
    assert process.end() == 128 + number


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_clean_stop_of_process_1_has_the_documented_status(script, within, number):
    process = script("run(Part(name='a'), finalize=lambda: say('f'), loop=LOOP)", within=within)
    process.wait_for("open a")
    os.kill(process_1(process), number)
    assert process.end() == 128 + number
    assert process.lines == ["open a", "close a", "f"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_as_process_1_has_the_documented_status(launch, within, tmp_path, number):
    (tmp_path / "app.py").write_text(
        "from gestalt.core import Component\n"
        "class Part(Component):\n"
        "    async def _open(self): print('open', flush=True)\n"
        "    async def _close(self): print('close')\n"
        "part = Part()\n"
    )
    process = launch("-m", "gestalt.runner", "run", "app:part", within=within)
    process.wait_for("open")
    os.kill(process_1(process), number)
    assert process.end() == 128 + number
    assert process.lines == ["open", "close"]
    assert "Traceback" not in process.errors


def test_process_1_returns_where_the_signal_is_not_to_be_raised_again(script, within):
    process = script(
        "run(Part(name='a'), loop=LOOP, reraise_signals=False); say('returned')", within=within
    )
    process.wait_for("open a")
    os.kill(process_1(process), signal.SIGTERM)
    assert process.end() == 0
    assert process.lines[-1] == "returned"
