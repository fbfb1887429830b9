"""`gestalt run --workers`: real processes, which are killed, replaced, reloaded and stopped."""

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request

import pytest

from tests.support.processes import is_running

from .conftest import DEADLINE

APP = """
import asyncio, logging, os, signal, sys, time
from gestalt.core import Component

def say(text): print(text, flush=True)

class Part(Component):
    async def _open(self):
        self.me = f"{os.environ['GESTALT_WORKER']} {os.getpid()}"
        handler = signal.getsignal(signal.SIGHUP)
        signal.signal(signal.SIGHUP, lambda *args: (say(f"hup {self.me}"), handler(*args)))
        logging.getLogger("app").warning("hello")
        say(f"open {self.me}")
    async def _close(self): say(f"close {self.me}")

class Draining(Part):
    async def _drain(self):
        say(f"drain {self.me}")
        await asyncio.Event().wait()

class Blocked(Part):
    async def _open(self):
        await super()._open()
        self._spawn(self.block())
    async def block(self):
        await asyncio.sleep(0.1)
        say("blocked")
        while True: time.sleep(0.01)

part, draining, blocked = Part(), Draining(stop_timeout=1000), Blocked()

def broken(): raise OSError("no port")

async def ended():
    if "--fail" in os.environ.get("HOW", ""): sys.exit(3)

class Slow(Part):
    "The first worker is quick; the others do not get ready."
    async def _open(self):
        await super()._open()
        if os.environ["GESTALT_WORKER"] != "1":
            await asyncio.Event().wait()
    async def _drain(self):
        await asyncio.sleep(0.1)
        say("drained")

slow = Slow()

class Dying(Component):
    async def _open(self): self._spawn(self.die())
    async def die(self):
        await asyncio.sleep(0.1)
        os._exit(9)
    async def _close(self): pass

dying = Dying()
"""


@pytest.fixture
def start(launch, tmp_path):
    """Run `gestalt run app:TARGET --workers ...`."""
    (tmp_path / "app.py").write_text(APP)

    def start(target, *options):
        command = ("-m", "gestalt.runner", "run", f"app:{target}", "--loop", "asyncio")
        return launch(*command, *options)

    return start


class Lines:
    """What the workers say, as far as it was waited for."""

    def __init__(self, process):
        self.process = process
        self.read = 0

    def take(self, pattern, count=1):
        """Wait for lines that match, in any order among others; what their groups hold."""
        found = []
        deadline = time.monotonic() + DEADLINE
        while len(found) < count:
            assert time.monotonic() < deadline, (pattern, found, self.process.lines)
            line = self.process.next_line()
            if match := re.fullmatch(pattern, line):
                found.append(match.groups())
        return found


def wait_gone(*pids):
    deadline = time.monotonic() + DEADLINE
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.02)


def test_workers_are_restarted_reloaded_replaced_and_stopped(start):
    process = start("part", "--workers", "2")
    lines = Lines(process)
    pids = {number: int(pid) for number, pid in lines.take(r"open (\d) (\d+)", 2)}
    assert pids.keys() == {"1", "2"}
    # The parent runs no application itself.
    assert process.pid not in pids.values()
    process.wait_for_error("all workers are ready: 2")

    os.kill(pids["2"], signal.SIGKILL)
    [(number, pid)] = lines.take(r"open (\d) (\d+)")
    assert number == "2"
    pids["2"] = int(pid)
    process.wait_for_error("worker 2 is ready", count=2)

    process.send(signal.SIGHUP)
    assert {int(pid) for _, pid in lines.take(r"hup (\d) (\d+)", 2)} == set(pids.values())

    process.send(signal.SIGUSR2)
    steps = lines.take(r"(open|close) (\d) (\d+)", 4)
    assert [step[:2] for step in steps] == [
        ("open", "1"),
        ("close", "1"),
        ("open", "2"),
        ("close", "2"),
    ]
    new = {number: int(pid) for what, number, pid in steps if what == "open"}
    old = {number: int(pid) for what, number, pid in steps if what == "close"}
    assert old == pids
    assert new.keys() == old.keys()
    assert not set(new.values()) & set(old.values())

    process.send(signal.SIGTERM)
    assert {int(pid) for (pid,) in lines.take(r"close \d (\d+)", 2)} == set(new.values())
    assert process.end() == -signal.SIGTERM, process.errors
    wait_gone(*new.values())
    assert re.search(r"\d worker 1 WARNING app: hello\n", process.errors)
    assert re.search(r"\d worker 2 WARNING app: hello\n", process.errors)
    assert re.search(
        r"\d WARNING gestalt.runner: worker 2: process \d+ ended by SIGKILL; it starts again in",
        process.errors,
    )
    assert "Traceback" not in process.errors


def test_lines_of_json_carry_the_worker_and_those_of_the_parent_none(start):
    process = start("part", "--workers", "1", "--log-format", "json")
    process.wait_for_error("all workers are ready")
    process.send(signal.SIGINT)
    assert process.end() == -signal.SIGINT
    told = [json.loads(line) for line in process.errors.splitlines()]
    assert {(line["logger"], line.get("worker")) for line in told} >= {
        ("app", 1),
        ("gestalt.runner", None),
    }


def test_the_second_signal_cuts_and_both_may_go_to_all_processes(start):
    process = start("draining", "--workers", "2", "--shutdown-timeout", "1000")
    lines = Lines(process)
    process.wait_for_error("all workers are ready")
    pids = [int(pid) for (pid,) in lines.take(r"open \d (\d+)", 2)]
    for pid in (process.pid, *pids):
        # As from a terminal, or from systemd.
        os.kill(pid, signal.SIGTERM)
    lines.take(r"drain .*", 2)
    # The parent may not have heard of the first one yet, and two of a kind would be one.
    process.send(signal.SIGINT)
    lines.take(r"close .*", 2)
    assert process.end() in (-signal.SIGTERM, -signal.SIGINT), process.errors
    wait_gone(*pids)


def test_what_drains_for_too_long_is_cut_within_one_deadline(start):
    process = start("draining", "--workers", "2", "--shutdown-timeout", "0.3")
    lines = Lines(process)
    process.wait_for_error("all workers are ready")
    lines.take(r"open \d (\d+)", 2)
    process.send(signal.SIGTERM)
    lines.take(r"close .*", 2)
    assert process.end() == -signal.SIGTERM, process.errors


@pytest.mark.parametrize("how", ["killed", "third signal"])
def test_a_parent_that_is_killed_takes_its_workers_with_it(start, how):
    blocked = how == "third signal"
    process = start("blocked" if blocked else "part", "--workers", "2")
    lines = Lines(process)
    pids = [int(pid) for (pid,) in lines.take(r"open \d (\d+)", 2)]
    began = time.monotonic()
    if blocked:
        process.send_until_it_ends(signal.SIGTERM)
    else:
        process.send(signal.SIGKILL)
    wait_gone(*pids)
    # Those of a parent that was killed have the time of a graceful stop: here they need none.
    assert time.monotonic() - began < DEADLINE / 2
    assert process.end() == (-signal.SIGTERM if blocked else -signal.SIGKILL)
    if not blocked:
        assert len([line for line in process.lines if line.startswith("close")]) == 2


def test_what_does_not_start_is_told_once_with_its_status(start):
    for target, status, words in (
        ("broken", 1, "broken did not start: OSError: no port"),
        ("missing", 2, "module 'app' has no attribute 'missing'"),
    ):
        process = start(target, "--workers", "4")
        assert process.end() == status
        assert process.errors.count(words) == 1
        assert f"ended with status {status} before it was ready" in process.errors
        assert process.errors.count("Traceback") == (target == "broken")


def test_a_storm_of_deaths_ends_all_with_a_report(start):
    process = start("dying", "--workers", "1")
    assert process.end() == 1
    report = process.errors[process.errors.index("ERROR") :]
    assert report.count("worker 1: process") >= 6
    assert "ended with status 9" in report
    assert "Traceback" not in process.errors


def test_when_all_have_done_their_work_the_whole_ends_well(start):
    process = start("ended", "--workers", "2")
    assert process.end() == 0, process.errors


def test_the_parent_answers_for_all_also_while_one_is_started_again(start):
    pytest.importorskip("h11")
    process = start("part", "--workers", "2", "--health-address", "127.0.0.1:0")
    process.wait_for_error("all workers are ready")
    [port] = re.findall(r"The health endpoint listens on 127.0.0.1:(\d+)", process.errors)
    [pid] = re.findall(r"worker 2 is ready: process (\d+)", process.errors)

    def is_ready():
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=DEADLINE).close()
        except urllib.error.HTTPError as error:
            error.close()
            return False
        return True

    assert is_ready()
    # One that is merely busy is left alone.
    os.kill(int(pid), signal.SIGSTOP)
    try:
        for path in ("livez", "readyz"):
            address = f"http://127.0.0.1:{port}/{path}"
            with urllib.request.urlopen(address, timeout=DEADLINE) as page:
                assert page.status == 200
    finally:
        os.kill(int(pid), signal.SIGKILL)
    while process.errors.count("worker 2 is ready") < 2:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=DEADLINE) as page:
            assert page.status == 200
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors


def test_a_stop_during_the_start_drains_those_that_work_already(start):
    process = start("slow", "--workers", "2")
    lines = Lines(process)
    lines.take(r"open 1 \d+")
    lines.take(r"open 2 \d+")
    process.send(signal.SIGTERM)
    lines.take("drained")
    assert process.end() == -signal.SIGTERM, process.errors
    assert len([line for line in process.lines if line.startswith("close")]) == 2
