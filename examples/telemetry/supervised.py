"""What a part says to the supervisor that runs it in a process of its own."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import Callable
from typing import Any

from gestalt.core import Component

Told = Callable[[], dict[str, Any]]


class Supervised(Component):
    """Starts and stops `parts`, tells the standard output so, and ends with the supervisor.

    Args:
        parts: what does the work: started in order, stopped in reverse.
        ready: what to say once they have started.
        report: what to say once they have stopped.
    """

    def __init__(self, *parts: Component, ready: Told, report: Told) -> None:
        super().__init__(stop_timeout=sum(part.stop_timeout for part in parts))
        self._parts = parts
        self._ready = ready
        self._summary = report

    async def _open(self) -> None:
        for part in self._parts:
            await part.start()
        self._say("ready", self._ready())
        # The supervisor holds the other end; it closes when the supervisor dies, however it dies.
        mode = os.fstat(sys.stdin.fileno()).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            asyncio.get_running_loop().add_reader(sys.stdin, self.request_stop)

    async def _drain(self) -> None:
        for part in reversed(self._parts):
            await part.stop()

    async def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin)
        for part in reversed(self._parts):
            await part.stop()
        self._say("report", self._summary())

    def _say(self, what: str, content: dict[str, Any]) -> None:
        print(json.dumps({what: content}), flush=True)
