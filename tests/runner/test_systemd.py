"""What systemd is told, on a socket that stands for its own."""

import os
import signal
import socket
import time

import pytest

from gestalt.runner.systemd import protocol, take_systemd

from .conftest import DEADLINE

APP = """
import asyncio, os, signal, subprocess, sys, time
from gestalt.core import Component

def say(text): print(text, flush=True)

class Part(Component):
    async def _open(self):
        told = [name for name in os.environ if name.startswith(("NOTIFY", "WATCHDOG"))]
        say(f"open {os.getpid()} {told}")
    async def _close(self): say("close")

class Blocking(Part):
    async def _open(self):
        signal.signal(signal.SIGUSR1, lambda *_: time.sleep(1.0))
        await super()._open()

part, blocking = Part(), Blocking()
def broken(): raise OSError("secret")
"""


class Manager:
    """The socket on which systemd hears."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{name[1:]}" if name[0] == "@" else name)
        self.socket.settimeout(DEADLINE)

    def hear(self, wanted=""):
        """The next message, but for signs of life; up to one that begins with what is wanted."""
        while True:
            lines = self.socket.recv(4096).decode().split("\n")
            fields = dict(line.split("=", 1) for line in lines)
            if "WATCHDOG" not in fields and (not wanted or wanted in fields):
                return fields

    def wait_alive(self):
        while self.socket.recv(4096) != b"WATCHDOG=1":
            pass


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    name = f"{tmp_path}/notify" if request.param == "path" else f"@gestalt-test-{os.getpid()}"
    manager = Manager(name)
    yield manager
    manager.socket.close()


@pytest.fixture
def start(launch, tmp_path, manager):
    (tmp_path / "app.py").write_text(APP)

    def start(target, *options, **environment):
        command = ("-m", "gestalt.runner", "run", f"app:{target}", "--loop", "asyncio")
        told = {"NOTIFY_SOCKET": manager.name, **environment}
        return launch(*command, *options, environment=told)

    return start


def test_each_step_is_told_and_children_are_not_told_where(start, manager):
    process = start("part", "--shutdown-timeout", "7")
    assert manager.hear() == {"STATUS": "starting"}
    process.wait_for(f"open {process.pid} []")
    assert manager.hear() == {"READY": "1", "STATUS": "running"}

    before = time.monotonic()
    process.send(signal.SIGHUP)
    reloading = manager.hear()
    at = int(reloading.pop("MONOTONIC_USEC")) / 1e6
    assert before <= at <= time.monotonic()
    assert reloading == {"RELOADING": "1", "STATUS": "reloading"}
    assert manager.hear() == {"READY": "1", "STATUS": "running"}

    process.send(signal.SIGTERM)
    stopping = manager.hear()
    # Its own time, and what it may take beyond that.
    assert stopping == {"STOPPING": "1", "STATUS": "stopping", "EXTEND_TIMEOUT_USEC": "11000000"}
    assert manager.hear() == {"STATUS": "ended"}
    assert process.end() == -signal.SIGTERM, process.errors


@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
def test_a_start_that_fails_is_told_by_the_kind_of_the_error(start, manager):
    process = start("broken")
    assert manager.hear("STOPPING")["STATUS"] == "failed by OSError, stopping"
    assert manager.hear() == {"STATUS": "failed by OSError"}
    assert process.end() == 1


def longest_silence(manager, process):
    """How long, in seconds, there is no sign of life while the event loop is blocked for one."""
    process.send(signal.SIGUSR1)
    longest, begun = 0.0, time.monotonic()
    previous = begun
    while previous - begun < 1.5:
        manager.wait_alive()
        longest = max(longest, time.monotonic() - previous)
        previous = time.monotonic()
    return longest


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_signs_of_life_come_from_a_loop_that_turns(start, manager):
    process = start("blocking", WATCHDOG_USEC="100000")
    manager.hear("READY")
    for _ in range(3):
        manager.wait_alive()
    # Of the second in which the loop is blocked, there is none; else there are twenty in a second.
    # Where this test itself was held up, it does not see that, and tries again.
    assert any(longest_silence(manager, process) > 0.5 for _ in range(5))
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_a_parent_of_workers_speaks_for_them_when_all_are_ready(start, manager):
    process = start("part", "--workers", "2")
    assert manager.hear() == {"STATUS": "starting"}
    assert manager.hear() == {"READY": "1", "STATUS": "running"}
    process.wait_for_error("all workers are ready")
    pids = []
    while len(pids) < 2:
        line = process.next_line()
        assert line.endswith(" []")
        pids.append(int(line.split()[1]))
    assert process.pid not in pids
    process.send(signal.SIGTERM)
    assert manager.hear()["STOPPING"] == "1"
    assert process.end() == -signal.SIGTERM, process.errors


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_a_socket_that_is_gone_ends_nothing(start, manager, tmp_path):
    (tmp_path / "notify").unlink()
    process = start("part")
    process.wait_for(f"open {process.pid} []")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert "systemd cannot be notified: [Errno 2]" in process.errors


# The words alone


def test_the_environment_is_taken_once():
    environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7", "A": "b"}
    assert protocol.take_service(environment, 7) == protocol.Service("\0x", 3.0)
    assert environment == {"A": "b"}
    assert protocol.take_service(environment, 7) is None


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("", "", 0.0), ("1000000", "", 1.0), ("1000000", "8", 0.0), ("soon", "7", 0.0)],
)
def test_signs_of_life_are_for_the_process_that_is_named(usec, pid, seconds):
    environment = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
    assert protocol.take_service(environment, 7) == protocol.Service("/run/x", seconds)


@pytest.mark.parametrize("name", ["vsock:2:1", "x", "@"])
def test_a_socket_of_another_kind_is_refused(name, monkeypatch, caplog):
    with pytest.raises(ValueError, match="only unix sockets are notified"):
        protocol.take_service({"NOTIFY_SOCKET": name}, 7)
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert take_systemd() is None
    assert "systemd is not notified: NOTIFY_SOCKET is" in caplog.text


def test_a_text_cannot_add_fields():
    assert protocol.status("a\nMAINPID=1") == b"STATUS=a MAINPID=1"
