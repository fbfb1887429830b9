"""The process that runs the application, as the one that restarts it has it."""

import asyncio
import contextlib
import os
import signal
import sys
import weakref
from collections.abc import Mapping, Sequence
from typing import Self

from gestalt.runner.lifeline import CUT, STOP, VARIABLE
from gestalt.runner.platform import INHERITS_PIPES
from gestalt.runner.signals import before_death, hold_back

_children: "weakref.WeakSet[Child]" = weakref.WeakSet()


class Child:
    """A process with a lifeline. `start` makes one.

    Where a signal ends this process at once, so it does with the child.
    """

    def __init__(self, process: asyncio.subprocess.Process, lifeline: int | None) -> None:
        self._process = process
        self._lifeline = lifeline
        self.pid = process.pid
        _children.add(self)

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> Self:
        """Start a process.

        Args:
            command: the program and its arguments.
            environment: what it has in addition to the environment of this process.
            descriptors: what it inherits, besides the standard streams.

        Raises:
            OSError: the system cannot start it.
        """
        variables = os.environ | (environment or {}) | {VARIABLE: "none"}
        if not INHERITS_PIPES:  # pragma: no cover - Windows
            return cls(await asyncio.create_subprocess_exec(*command, env=variables), None)
        reader, writer = os.pipe()
        try:
            variables[VARIABLE] = str(reader)
            hold_back(asyncio.get_running_loop())
            process = await asyncio.create_subprocess_exec(
                *command, env=variables, pass_fds=[reader, *descriptors]
            )
        except BaseException:
            os.close(writer)
            raise
        finally:
            os.close(reader)
        return cls(process, writer)

    async def wait(self) -> int:
        """Wait for the end; the exit status, negative for a signal."""
        return await self._process.wait()

    def stop(self) -> None:
        """Ask for a graceful stop."""
        self._say(STOP)

    def cut(self) -> None:
        """Ask for the end of all that drains."""
        self._say(CUT)

    def hang_up(self) -> None:
        """Ask it to reload what it can without a restart."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def release(self) -> None:
        """Let go of a process that has ended."""
        # A signal may come between any two of these.
        _children.discard(self)
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:  # pragma: no branch - Windows
            os.close(lifeline)

    def _say(self, word: bytes) -> None:
        if self._lifeline is None:  # pragma: no cover - Windows
            self.kill()
            return
        # One that has ended, or closed all that it inherited, hears nothing.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._lifeline, word)


@before_death
def _cut_all() -> None:
    # The end of the lifelines alone would leave them the time of a graceful stop.
    for child in list(_children):  # pragma: no cover - a signal ends it, unwritten
        child.cut()


def describe_status(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"


def command_of(arguments: Sequence[str]) -> list[str]:
    """The command that runs this program anew, with other arguments.

    The interpreter has the options that it has in this process.
    """
    before = len(sys.orig_argv) - len(sys.argv) + 1
    return [sys.executable, *sys.orig_argv[1:before], *arguments]
