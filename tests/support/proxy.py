"""A TCP proxy on loopback that does to connections what networks do."""

from __future__ import annotations

import asyncio
import socket
import struct
from types import TracebackType
from typing import Literal, Self

Direction = Literal["up", "down"]

CHUNK = 65536


class Proxy:
    """Passes bytes between its clients and a server, and breaks that as told.

    Faults may be changed at any time, and are in force for every connection from then on.

    Args:
        port: of the server, on 127.0.0.1; it may be changed when the server comes back elsewhere.

    Attributes:
        delay: how long each piece is held up, in seconds.
        split: whether every byte is passed on by itself.
        accepted: connections accepted since the start.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.delay = 0.0
        self.split = False
        self.accepted = 0
        self.port = 0
        self._lossy: set[Direction] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        await self.allow()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.refuse()
        await self.cut()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._links)

    # Faults

    def freeze(self) -> None:
        """Hold up everything in both directions; connections stay open, new ones are accepted."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on what was held up, and everything from now on."""
        self._flowing.set()

    def lose(self, *directions: Direction) -> None:
        """Read and throw away what goes "up" to the server, "down" to the client, or both."""
        self._lossy = set(directions)

    def refuse(self) -> None:
        """Refuse new connections, as if nobody listened."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def allow(self) -> None:
        """Accept connections, on the same port as ever."""
        if self._server is None:
            self._server = await asyncio.start_server(
                self._connected, "127.0.0.1", self.port, limit=CHUNK
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Reset every connection on both sides."""
        await self._end_links(half_open=False)

    async def half_open(self) -> None:
        """Reset every connection on the server's side; clients hear nothing of it."""
        await self._end_links(half_open=True)

    async def wait_connections(self, count: int) -> None:
        """Wait until exactly `count` connections are open."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._links) == count)

    # The mechanism

    async def _end_links(self, *, half_open: bool) -> None:
        links = list(self._links)
        for link in links:
            link.reset(half_open=half_open)
        if not half_open:
            await asyncio.gather(*(link.ended.wait() for link in links))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            up = await asyncio.open_connection("127.0.0.1", self.target, limit=CHUNK)
        except OSError:
            _reset(writer)
            return
        link = _Link(writer, up[1])
        await self._note(link, here=True)
        try:
            async with asyncio.TaskGroup() as pumps:
                link.pumps.append(pumps.create_task(self._pump(reader, up[1], "up", link)))
                link.pumps.append(pumps.create_task(self._pump(up[0], writer, "down", link)))
        finally:
            for end in (writer, up[1]):
                end.close()
            await self._note(link, here=False)
            link.ended.set()

    async def _note(self, link: _Link, *, here: bool) -> None:
        async with self._changed:
            (self._links.add if here else self._links.discard)(link)
            self._changed.notify_all()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: Direction,
        link: _Link,
    ) -> None:
        try:
            while data := await reader.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flowing.wait()
                if direction in self._lossy or link.half_open:
                    continue
                for piece in [data[n : n + 1] for n in range(len(data))] if self.split else [data]:
                    writer.write(piece)
                    await writer.drain()
            await self._flowing.wait()
            if not link.half_open:
                writer.write_eof()
                return
        except OSError:
            if not link.half_open:
                link.reset(half_open=False)
                return
        if direction == "down":
            # The client hears nothing of the server's end.
            await asyncio.Event().wait()
        link.reset(half_open=False)


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.half_open = False
        self.pumps: list[asyncio.Task[None]] = []
        self.ended = asyncio.Event()

    def reset(self, *, half_open: bool) -> None:
        self.half_open = half_open
        _reset(self.server)
        if not half_open:
            _reset(self.client)
            for pump in self.pumps:
                pump.cancel()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST rather than FIN, and throw away what was not sent."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
