"""Runs the commands that a page shows, each as in a terminal of its own."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from . import expected
from .commands import PROMPT

PATIENCE = 60.0
"""How long what is shown may take to appear, in seconds."""
INTERRUPT = "^C"
"""What a terminal shows of Ctrl-C, which is pressed where it stands."""


class TerminalError(AssertionError):
    """A command does something else than the page shows."""


class Terminal:
    """A command that runs.

    Args:
        shown: what the page shows: a command behind a prompt, and what it prints.
        folder: the working directory.
        appended: what the command line has besides, here.
    """

    def __init__(self, shown: str, folder: Path, appended: str = "") -> None:
        prompt, _, output = shown.partition("\n")
        if not prompt.startswith(PROMPT):
            raise TerminalError(f"a block that is run begins with a command, not with {prompt!r}")
        self._command = prompt.removeprefix(PROMPT)
        before, self._interrupt, after = output.partition(f"{INTERRUPT}\n")
        self._before, self._after = before, after
        self._interrupted = False
        self._printed = b""
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            self._command + appended,
            shell=True,
            cwd=folder,
            env=os.environ
            | {
                "PATH": f"{_commands(folder)}:{os.environ['PATH']}",
                # Here, commands that look for what runs find nothing else.
                "XDG_RUNTIME_DIR": str(folder),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def wait_shown(self) -> None:
        """Wait until all that the page shows has been printed, and Ctrl-C has had its effect."""
        if self._interrupted:
            return
        self._wait_for(self._before)
        if self._interrupt:
            self._interrupted = True
            seen = len(self._printed)
            self._end()
            # It may have printed more until it was interrupted.
            self._compare(f"...\n{self._after}", self._printed[seen:])

    def close(self) -> None:
        """Wait as `wait_shown` does, and end the command by Ctrl-C if it has not ended yet."""
        try:
            self.wait_shown()
            if self._process.poll() is None:
                self._end()
            elif not self._interrupt:
                self._reading.join(PATIENCE)
                self._compare(self._before, self._printed)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the command at once."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            while piece := os.read(output.fileno(), 65_536):
                with self._changed:
                    self._printed += piece
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _wait_for(self, shown: str) -> None:
        end = time.monotonic() + PATIENCE
        with self._changed:
            while not self._begins(shown):
                if not self._reading.is_alive() or time.monotonic() > end:
                    self._compare(shown, self._printed)
                    return
                self._changed.wait(0.1)

    def _end(self) -> None:
        os.killpg(self._process.pid, signal.SIGINT)
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise TerminalError(f"$ {self._command}\ndoes not end by Ctrl-C") from None
        self._reading.join(PATIENCE)
        if status not in (0, -signal.SIGINT, 128 + signal.SIGINT):
            printed = self._printed.decode(errors="replace")
            raise TerminalError(f"$ {self._command}\nends with status {status}:\n{printed}")

    def _begins(self, shown: str) -> bool:
        printed = self._printed.decode(errors="replace")
        return expected.begins(shown, printed, any_number=True)

    def _compare(self, shown: str, printed: bytes) -> None:
        text = printed.decode(errors="replace")
        if wrong := expected.differ(shown, text, any_number=True):
            raise TerminalError(f"$ {self._command}\n{wrong}")


def _commands(folder: Path) -> Path:
    """A folder with what is installed where pages are read."""
    commands = folder / ".commands"
    if not commands.exists():
        commands.mkdir()
        for name, arguments in (("python", ""), ("gestalt", "-m gestalt.runner")):
            path = commands / name
            python = shlex.quote(sys.executable)
            path.write_text(f'#!/bin/sh\nexec {python} -u {arguments} "$@"\n')
            path.chmod(0o755)
    return commands


def appended_to(command: str, broker_port: int) -> str:
    """What a command line has besides: brokers that a page starts listen at a free port."""
    return f" --port {broker_port}" if re.search(r"gestalt\.amq\.embedded\b(?!\.)", command) else ""
