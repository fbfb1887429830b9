"""A terminal for programs that are to be seen as people see them."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import pyte

DEADLINE = 45.0


class Terminal:
    """Runs a command in a terminal of its own, and keeps what stands on the screen.

    Args:
        command: the command.
        columns: the width of the screen.
        rows: its height.
        variables: the environment of the command.
        cwd: where the command runs.

    Attributes:
        screen: what stands on the screen.
        written: everything that was written to it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 100,
        rows: int = 40,
        variables: Mapping[str, str],
        cwd: str | os.PathLike[str] | None = None,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.written = b""
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = pty.openpty()
        self._set_size(columns, rows)
        # The first terminal that the leader of a session opens is the one that Ctrl-C comes from.
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", 'exec "$@" <>"$0" >&0 2>&0', os.ttyname(slave), *command],
            cwd=cwd,
            env=variables,
            start_new_session=True,
        )
        # Kept open until the end, so that reading does not fail before the command has begun.
        self._slave = slave

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()

    @property
    def text(self) -> str:
        """The screen as lines of text, without what is empty below."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def wait_until(self, condition: Callable[[], object], deadline: float = DEADLINE) -> None:
        """Read until the condition holds."""
        end = time.monotonic() + deadline
        while not condition():
            assert time.monotonic() < end, f"not within {deadline} s; the screen is\n{self.text}"
            self._read(0.05)

    def wait_for(self, text: str, deadline: float = DEADLINE) -> None:
        """Read until a text stands on the screen."""
        self.wait_until(lambda: text in self.text, deadline)

    def wait_ended(self, deadline: float = DEADLINE) -> int:
        """Read until the command has ended; its status."""
        self.wait_until(lambda: self.process.poll() is not None, deadline)
        while self._read(0):
            pass
        return self.process.returncode

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size, and an empty screen."""
        self._set_size(columns, rows)
        self.screen.resize(rows, columns)

    def hang_up(self) -> None:
        """Close the window."""
        for descriptor in (self._slave, self._master):
            if descriptor >= 0:
                os.close(descriptor)
        self._slave = self._master = -1

    def _set_size(self, columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def _read(self, timeout: float) -> bool:
        if not select.select([self._master], [], [], timeout)[0]:
            return False
        data = os.read(self._master, 65536)
        self.written += data
        self._stream.feed(data)
        return True
