"""A part of the demo in a process of its own, kept alive and stopped by the one that started it."""

import asyncio
import json
import signal
import sys
from typing import Any

from gestalt.core import Backoff, Component, State

READY_TIMEOUT = 20.0
STOP_TIMEOUT = 15.0


class Part(Component):
    """Runs `python -m examples.telemetry ARGUMENTS`, and starts it again when it dies.

    A part writes lines of JSON to its standard output: {"ready": ...} when it serves, and
    {"report": ...} when it ends. It ends by itself when its standard input closes, so that none is
    left behind.

    Attributes:
        arguments: for the next process.
        ready: what the present process said when it was ready.
        report: what the last process that was stopped has said of itself.
        deaths: how many processes ended without being asked to.
    """

    def __init__(self, *arguments: str) -> None:
        super().__init__(name=arguments[0], stop_timeout=STOP_TIMEOUT)
        self.arguments = list(arguments)
        self.ready: dict[str, Any] = {}
        self.report: dict[str, Any] = {}
        self.deaths = 0
        self._is_ready = asyncio.Event()
        self._delays = Backoff(initial=0.2, maximum=5.0).delays()
        self._process: asyncio.subprocess.Process | None = None
        self._keeping_alive: asyncio.Task[None]

    async def _open(self) -> None:
        self._keeping_alive = self._spawn(self._keep_alive(await self._launch()))
        async with asyncio.timeout(READY_TIMEOUT):
            await self._is_ready.wait()

    async def _drain(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        await asyncio.wait([self._keeping_alive])

    async def _close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _launch(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "examples.telemetry",
            *self.arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # So that Ctrl-C reaches only the one that stops the parts in order.
            start_new_session=True,
        )
        return self._process

    async def _keep_alive(self, process: asyncio.subprocess.Process) -> None:
        while True:
            assert process.stdout is not None
            async for line in process.stdout:
                said = json.loads(line)
                self.report = said.get("report", self.report)
                if "ready" in said:
                    self.ready = said["ready"]
                    self._is_ready.set()
                    self._delays.connected()
            await process.wait()
            if self._stopping():
                return
            self.deaths += 1
            await asyncio.sleep(self._delays.next())
            if self._stopping():
                return
            process = await self._launch()

    def _stopping(self) -> bool:
        return self.state is State.STOPPING
