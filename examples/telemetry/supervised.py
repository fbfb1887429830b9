"""What a part says of itself: to the supervisor that runs it, or to the person who started it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from gestalt.core import Component, GestaltError, Group, Timer

from .screen import Screen
from .table import Row

ROWS_INTERVAL = 0.5
"""How often a part with a table shows it, in seconds."""


class Listener(Protocol):
    """Who hears what a part says."""

    async def open(self) -> None: ...

    def tell(self, what: str, content: Any) -> None: ...

    async def gone(self) -> None:
        """Wait until nobody listens any more."""

    async def close(self) -> None: ...


class Supervised(Group):
    """A group of parts that tells a listener how it fares, and ends when that is gone.

    Args:
        name: how the whole of them is called.
        parts: what does the work: started in order, stopped in reverse.
        listener: who is told.
        ready: what to tell once they have started.
        report: what to tell once they have stopped.
        rows: a table to show all the time.
    """

    def __init__(
        self,
        name: str,
        *parts: Component,
        listener: Listener,
        ready: Callable[[], dict[str, Any]] = dict,
        report: Callable[[], dict[str, Any]] = dict,
        rows: Callable[[], list[Row]] | None = None,
    ) -> None:
        if rows is not None:
            show = Timer.every(ROWS_INTERVAL, lambda: listener.tell("rows", rows()), delay=0)
            parts = (*parts, show)
        super().__init__(*parts, name=name)
        self._listener = listener
        self._ready = ready
        self._summary = report

    async def _open(self) -> None:
        await self._listener.open()
        try:
            await super()._open()
        except (GestaltError, OSError) as error:
            raise SystemExit(f"The {self.name} did not start: {error}") from None
        self._listener.tell("ready", self._ready())
        self._spawn(self._end_with_the_listener())

    async def _close(self) -> None:
        try:
            await super()._close()
        finally:
            self._listener.tell("report", self._summary())
            await self._listener.close()

    async def _end_with_the_listener(self) -> None:
        await self._listener.gone()
        self.request_stop()


class Supervisor:
    """The supervisor as a listener: lines of JSON, over a socket that the part has inherited.

    The supervisor holds the other end, which closes when it dies, however it dies.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)

    def tell(self, what: str, content: Any) -> None:
        if self._writer is None:
            return
        # A supervisor that is suspended reads nothing, and misses no table either.
        if what == "rows":
            if self._writer.transport.get_write_buffer_size():
                return
            content = [asdict(row) for row in content]
        self._writer.write(json.dumps({what: content}).encode() + b"\n")

    async def gone(self) -> None:
        await self._reader.read()

    async def close(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        # One that has died does not hear the last words.
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class Person:
    """Whoever has started one part alone."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._screen = Screen()
        self._is_ready = False

    async def open(self) -> None:
        self._screen.open(f"The {self._name} starts.")

    def tell(self, what: str, content: Any) -> None:
        if what == "rows":
            self._screen.show(content)
        elif what == "ready":
            self._is_ready = True
            where = f" at {content['url']}" if "url" in content else ""
            self._screen.say(f"The {self._name} is ready{where}; Ctrl-C ends it.")
        elif self._is_ready and content:
            self._screen.close()
            values = ", ".join(f"{key} {value}" for key, value in content.items())
            self._screen.say(f"The {self._name} has ended: {values}.")

    async def gone(self) -> None:
        await self._screen.gone.wait()

    async def close(self) -> None:
        self._screen.close()
