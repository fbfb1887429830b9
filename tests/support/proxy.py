"""A TCP proxy on loopback that does to connections what networks do."""

import asyncio
import socket
import struct
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Literal, Self

Direction = Literal["up", "down"]

CHUNK = 65536


class ProxiedLink:
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


class Proxy:
    """Passes bytes between its clients and a server, and breaks that as told.

    Faults may be changed at any time, and are in force for every connection from then on.

    Args:
        port: of the server, on 127.0.0.1; it may be changed when the server comes back elsewhere.

    Attributes:
        delay: how long each piece is held up, in seconds.
        split: whether every byte is passed on by itself.
        freeze_at: bytes that freeze it, once, before they go up to the server.
        accepted: connections accepted since the start.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.delay = 0.0
        self.split = False
        self.freeze_at = b""
        self.accepted = 0
        self.port = 0
        self._lossy: set[Direction] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._links: set[ProxiedLink] = set()
        self._listener: socket.socket | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._unserved: set[socket.socket] = set()
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self.allow()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.refuse()
        await self.cut()
        # Also those that are still being connected to the server.
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._links)

    @property
    def frozen(self) -> bool:
        """Whether everything is held up."""
        return not self._flowing.is_set()

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
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def allow(self) -> None:
        """Accept connections, on the same port as ever."""
        if self._listener is None:
            listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
            listener.setblocking(False)
            self.port = listener.getsockname()[1]
            self._listener = listener
            # Not loop.sock_accept: a socket that it has accepted when it is cancelled is lost.
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def cut(self) -> None:
        """Reset every connection on both sides."""
        await self._end_links(half_open=False)

    async def half_open(self) -> None:
        """Reset every connection on the server's side; clients hear nothing of it."""
        await self._end_links(half_open=True)

    def inject(self, data: bytes) -> None:
        """Send bytes to every client, as if they came from the server."""
        for link in self._links:
            link.client.write(data)

    async def wait_connections(self, count: int) -> None:
        """Wait until exactly `count` connections are open."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._links) == count)

    # The mechanism

    def _let_through(self, data: bytes, direction: Direction, link: ProxiedLink) -> bytes:
        """What of some data goes on."""
        return data

    async def _end_links(self, *, half_open: bool) -> None:
        links = list(self._links)
        for link in links:
            link.reset(half_open=half_open)
        if not half_open:
            await asyncio.gather(*(link.ended.wait() for link in links))

    def _accept(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            client, _ = listener.accept()
            client.setblocking(False)
            self.accepted += 1
            self._unserved.add(client)
            serving = asyncio.create_task(self._serve(client))
            self._serving.add(serving)
            serving.add_done_callback(partial(self._served, client))

    def _served(self, client: socket.socket, serving: asyncio.Task[None]) -> None:
        self._serving.discard(serving)
        if client in self._unserved:
            # It was cancelled before it had begun.
            self._unserved.discard(client)
            client.close()

    async def _serve(self, client: socket.socket) -> None:
        self._unserved.discard(client)
        from_client, to_client = await asyncio.open_connection(sock=client, limit=CHUNK)
        try:
            await self._pass_on(from_client, to_client)
        finally:
            to_client.close()

    async def _pass_on(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(
                "127.0.0.1", self.target, limit=CHUNK
            )
        except OSError:
            _reset(to_client)
            return
        link = ProxiedLink(to_client, to_server)
        await self._note(link, here=True)
        try:
            async with asyncio.TaskGroup() as pumps:
                link.pumps += [
                    pumps.create_task(self._pump(from_client, to_server, "up", link)),
                    pumps.create_task(self._pump(from_server, to_client, "down", link)),
                ]
        finally:
            to_server.close()
            await self._note(link, here=False)
            link.ended.set()

    async def _note(self, link: ProxiedLink, *, here: bool) -> None:
        async with self._changed:
            (self._links.add if here else self._links.discard)(link)
            self._changed.notify_all()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: Direction,
        link: ProxiedLink,
    ) -> None:
        try:
            while data := await reader.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self.freeze_at and direction == "up" and self.freeze_at in data:
                    self.freeze_at = b""
                    self.freeze()
                await self._flowing.wait()
                if direction in self._lossy or link.half_open:
                    continue
                data = self._let_through(data, direction, link)
                for piece in [data[n : n + 1] for n in range(len(data))] if self.split else [data]:
                    writer.write(piece)
                    await writer.drain()
            await self._flowing.wait()
            if not link.half_open:
                writer.write_eof()
                return
        except (OSError, RuntimeError):
            # uvloop raises RuntimeError for a transport that is closed.
            if not link.half_open:
                link.reset(half_open=False)
                return
        if direction == "down":
            # The client hears nothing of the server's end.
            await asyncio.Event().wait()
        link.reset(half_open=False)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST rather than FIN, and throw away what was not sent."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
