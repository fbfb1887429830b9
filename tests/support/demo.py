"""The demo as the tests run it: found by its own queries only, and gone when its test is over."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil

from .terminal import Terminal

ROOT = Path(__file__).parents[2]
DEADLINE = 45.0
COMMAND = [sys.executable, "-m", "examples.telemetry"]

# What the surroundings of a test say about terminals is not for its demo.
ABOUT_TERMINALS = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "TERM", "COLORTERM")


class Demos:
    """Starts demos whose files are in one folder; all that is left of them is in there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[str]] = []
        self._terminals: list[Terminal] = []

    def environment(self, **variables: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key not in ABOUT_TERMINALS}
        folder = str(self._folder)
        mine = {"XDG_RUNTIME_DIR": folder, "TMPDIR": folder}
        return kept | mine | {"TERM": "xterm-256color"} | variables

    def start(
        self, *arguments: str, stdout: IO[str] | int = subprocess.PIPE, **variables: str
    ) -> subprocess.Popen[str]:
        """Start one whose output is piped, or goes to a file."""
        demo = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(demo)
        return demo

    def show(
        self, *arguments: str, columns: int = 100, rows: int = 40, **variables: str
    ) -> Terminal:
        """Start one in a terminal."""
        terminal = Terminal(
            [*COMMAND, *arguments],
            columns=columns,
            rows=rows,
            variables=self.environment(**variables),
            cwd=ROOT,
        )
        self._terminals.append(terminal)
        return terminal

    def files(self) -> list[str]:
        """The files that are left."""
        return sorted(path.name for path in self._folder.iterdir())

    def processes(self) -> list[psutil.Process]:
        """The processes that are left, whoever started them."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("XDG_RUNTIME_DIR") == str(self._folder):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def wait_gone(self) -> None:
        """Wait until no process and no file is left."""
        end = time.monotonic() + DEADLINE
        while (processes := self.processes()) or self.files():
            assert time.monotonic() < end, f"left: {processes} {self.files()}"
            time.sleep(0.02)

    def end(self) -> None:
        """Kill what still runs."""
        for demo in self._started:
            demo.kill()
            demo.communicate()
        for terminal in self._terminals:
            terminal.__exit__(None, None, None)
        for process in self.processes():
            process.kill()


def demos(folder: Path) -> Iterator[Demos]:
    """For a fixture: demos that leave nothing behind."""
    started = Demos(folder)
    try:
        yield started
        started.wait_gone()
    finally:
        started.end()


def part(demo: int, name: str, done: Callable[[psutil.Process], bool] = lambda _: True) -> int:
    """The process of one part, as soon as it is so far."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        for child in psutil.Process(demo).children():
            try:
                if name in child.cmdline() and done(child):
                    return child.pid
            except psutil.Error:
                continue
        time.sleep(0.01)
    raise AssertionError(f"there is no {name}")


def connected(process: psutil.Process) -> bool:
    return any(each.status == psutil.CONN_ESTABLISHED for each in process.net_connections())
