"""A part of the demo in a process of its own, kept alive and stopped by the one that started it."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from gestalt.core import Backoff, Component

from .table import Row

READY_TIMEOUT = 20.0
STOP_TIMEOUT = 8.0
CUT_TIMEOUT = 2.0
LONGEST_LINE = 1 << 20


class PartFailed(Exception):
    """A part did not get ready. The sentence says which one, and why."""


class Part(Component):
    """Runs `python -m examples.telemetry ARGUMENTS`, and starts it again when it dies.

    A part writes lines of JSON to a socket of its own: {"ready": ...} when it serves, {"rows": ...}
    when it has a table to show, and {"report": ...} when it ends. It ends by itself when the other
    end of the socket closes, so that none is left behind.

    Args:
        arguments: for the process; the first one names the part.
        say: is given a sentence about what has happened to it, and each line that it prints.
        show: is given the rows of its table.

    Attributes:
        arguments: for the next process.
        ready: what the present process said when it was ready.
        report: what the last process that was stopped has said of itself.
        was_ready: whether any process ever got ready.
        deaths: how many processes ended without being asked to.
    """

    def __init__(
        self,
        *arguments: str,
        say: Callable[[str], None],
        show: Callable[[list[Row]], None] = lambda _: None,
    ) -> None:
        super().__init__(name=arguments[0], stop_timeout=STOP_TIMEOUT)
        self.arguments = list(arguments)
        self.ready: dict[str, Any] = {}
        self.report: dict[str, Any] = {}
        self.was_ready = False
        self.deaths = 0
        self._say = say
        self._show = show
        self._is_ready = asyncio.Event()
        self._is_ending = False
        self._delays = Backoff(initial=0.2, maximum=5.0).delays()
        self._last_print = ""
        self._process: asyncio.subprocess.Process | None = None
        self._channel: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._keeping_alive: asyncio.Task[None]

    async def _open(self) -> None:
        self._keeping_alive = self._spawn(self._keep_alive())
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                await self._is_ready.wait()
        except TimeoutError:
            raise PartFailed(
                f"The {self.name} did not get ready within {READY_TIMEOUT:.0f} s."
            ) from None

    async def _drain(self) -> None:
        # One that is starting again has to be there before it can report.
        await self._is_ready.wait()
        self._is_ending = True
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
        await asyncio.wait([self._keeping_alive])

    async def _close(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            # The second signal cuts what it still finishes; it tells what has become of that.
            process.terminate()
            try:
                async with asyncio.timeout(CUT_TIMEOUT):
                    await self._listen(process)
            except TimeoutError:
                process.kill()
                await process.wait()
        self._hang_up()

    async def _keep_alive(self) -> None:
        while True:
            process = await self._launch()
            await self._listen(process)
            self._is_ready.clear()
            if self._is_ending:
                return
            ended = f"The {self.name} {ending(process.returncode or 0)}"
            if not self.was_ready:
                raise PartFailed(self._reason(f"{ended} before it was ready"))
            self.deaths += 1
            self._say(f"{ended}, and is started again.")
            await asyncio.sleep(self._delays.next())

    async def _launch(self) -> asyncio.subprocess.Process:
        self._hang_up()
        ours, theirs = socket.socketpair()
        with theirs:
            self._channel = await asyncio.open_unix_connection(sock=ours, limit=LONGEST_LINE)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "examples.telemetry",
                *self.arguments,
                "--supervisor",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=LONGEST_LINE,
                # So that Ctrl-C reaches only the one that stops the parts in order.
                start_new_session=True,
            )
        return self._process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Take in what the process tells and prints, until it has ended."""
        assert process.stdout is not None
        assert self._channel is not None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_told(self._channel[0]))
            group.create_task(self._take_printed(process.stdout))
        await process.wait()

    def _reason(self, ended: str) -> str:
        """Why it did not get ready: in its own words, which Supervised has for what may happen."""
        if self._last_print.startswith(f"The {self.name} did not start"):
            return self._last_print
        return f"{ended}: {self._last_print}" if self._last_print else f"{ended}."

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel[1].close()
            self._channel = None

    async def _take_told(self, told_lines: asyncio.StreamReader) -> None:
        async for line in told_lines:
            told = json.loads(line)
            if "rows" in told:
                self._show([Row(**row) for row in told["rows"]])
            elif "report" in told:
                self.report = told["report"]
            else:
                self.ready = told["ready"]
                self.was_ready = True
                self._is_ready.set()
                self._delays.connected()

    async def _take_printed(self, printed: asyncio.StreamReader) -> None:
        async for line in printed:
            self._last_print = line.decode(errors="replace").rstrip() or self._last_print
            # Why it did not get ready, its last line says.
            if self.was_ready:
                self._say(f"{self.name}: {self._last_print}")


def ending(status: int) -> str:
    """How a process has ended."""
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
