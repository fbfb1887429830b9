"""Scripts run as processes of their own, with deadlines on every wait."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

DEADLINE = 30.0

# An interpreter starts three times as fast without `site`, which runs what coverage put there;
# where the processes are measured too, that is wanted.
MEASURES = {"COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"}
MEASURED = not os.environ.keys().isdisjoint(MEASURES)
UNMEASURED = [sys.executable, "-S"]
PYTHON = [sys.executable] if MEASURED else UNMEASURED

# What a process prints is buffered, as it is where nobody has asked for anything else.
ENVIRONMENT = {name: os.environ[name] for name in os.environ.keys() - {"PYTHONUNBUFFERED"}}

PRELUDE = """
import asyncio, os, signal, sys, threading, time
from gestalt.core import Component
from gestalt.runner import run

def say(text):
    print(text, flush=True)

class Part(Component):
    async def _open(self): say(f"open {self.name}")
    async def _close(self): say(f"close {self.name}")

class Draining(Part):
    async def _drain(self):
        say("draining")
        await asyncio.Event().wait()
"""


class Process:
    """A running script: its lines as they come, and what it left behind.

    Coverage handles SIGTERM, to write what it has measured. Where it is tested what Python does
    then by itself, the process must not be `measured`.
    """

    def __init__(
        self,
        arguments: list[str],
        cwd: Path,
        *,
        within: Sequence[str] = (),
        shell: str = "",
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
        stdin: bool = False,
        measured: bool = True,
    ) -> None:
        command = [*within, *(PYTHON if measured else UNMEASURED), *arguments]
        left_out = set() if measured else MEASURES
        if shell:
            command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.PIPE if stdin else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={name: ENVIRONMENT[name] for name in ENVIRONMENT.keys() - left_out}
            | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            | dict(environment or {}),
            pass_fds=descriptors,
        )
        self.lines: list[str] = []
        self.errors = ""
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read_lines),
            threading.Thread(target=self._read_errors),
        ]
        for reader in self._readers:
            reader.start()

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.errors += line

    def wait_for(self, expected: str) -> None:
        while (line := self._queue.get(timeout=DEADLINE)) is not None:
            self.lines.append(line)
            if line == expected:
                return
        self.end()
        pytest.fail(f"the process ended without {expected!r}: {self.lines} {self.errors}")

    def wait_for_error(self, expected: str, count: int = 1) -> None:
        """Wait for a text on standard error, until it is there so often."""
        deadline = time.monotonic() + DEADLINE
        while self.errors.count(expected) < count:
            assert time.monotonic() < deadline, (expected, self.errors)
            assert self._process.poll() is None, (expected, self.errors)
            time.sleep(0.01)

    def next_line(self) -> str:
        """The next line that it prints; the test fails when the process ends without one."""
        line = self._queue.get(timeout=DEADLINE)
        if line is None:
            self.end()
            pytest.fail(f"the process ended: {self.lines} {self.errors}")
        self.lines.append(line)
        return line

    def printed(self) -> list[str]:
        """The lines so far."""
        while not self._queue.empty():
            if (line := self._queue.get()) is not None:
                self.lines.append(line)
        return self.lines

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Ask again and again, until it is so."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"it never came to that: {self.printed()}")
            time.sleep(0.02)

    def write(self, text: str) -> None:
        """Give it input, where it was started with `stdin`."""
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def wait_for_part(self, expected: str) -> str:
        """Wait for a line that has `expected` in it, and give that."""
        while (line := self._queue.get(timeout=DEADLINE)) is not None:
            self.lines.append(line)
            if expected in line:
                return line
        self.end()
        pytest.fail(f"the process ended without {expected!r}: {self.lines} {self.errors}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def send_until_it_ends(self, number: signal.Signals) -> None:
        """Equal signals merge while one is pending, so a certain number cannot be sent at once."""
        deadline = time.monotonic() + DEADLINE
        while self._process.poll() is None and time.monotonic() < deadline:
            self.send(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.01)

    def end(self) -> int:
        """Wait for the end; the exit status, negative for a signal."""
        status = self._process.wait(DEADLINE)
        for reader in self._readers:
            reader.join(DEADLINE)
        self.printed()
        return status

    def discard(self) -> None:
        if self._process.poll() is None:
            if MEASURED:
                # What it has reached is written when it ends, and not when it is killed.
                self._process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(3)
            self._process.kill()
        self.end()
        # One that is still read, as what the process left behind has it too, closes for nobody.
        if any(reader.is_alive() for reader in self._readers):
            pytest.fail(f"the process left something behind: {self.lines} {self.errors}")
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    processes: list[Process] = []

    def launch(*arguments: str, **options: Any) -> Process:
        processes.append(Process(list(arguments), tmp_path, **options))
        return processes[-1]

    yield launch
    for process in processes:
        process.discard()


@pytest.fixture
def loop(request: pytest.FixtureRequest) -> str:
    """The event loop that scripts take; parametrized where the loop makes a difference."""
    name: str = getattr(request, "param", "asyncio")
    if name == "uvloop":
        pytest.importorskip("uvloop")
    return name


@pytest.fixture
def script(loop: str, launch: Callable[..., Process], tmp_path: Path) -> Callable[..., Process]:
    """Start a script; LOOP in it is the event loop to take."""

    def script(body: str, **options: Any) -> Process:
        path = tmp_path / "script.py"
        path.write_text(f"{PRELUDE}\nLOOP = {loop!r}\n{textwrap.dedent(body)}")
        return launch(str(path), **options)

    return script


@pytest.fixture
def own_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is run by this test put its sockets into a folder of the test's own."""
    for name in ("XDG_RUNTIME_DIR", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
        monkeypatch.setitem(ENVIRONMENT, name, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
