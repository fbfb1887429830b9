"""Connections that misbehave, and what a test of them needs."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from gestalt.net import StreamServer
from proxy import Proxy


class RawPeer:
    """A socket that speaks no framing of its own accord."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def receive(self, size: int) -> bytes:
        """Exactly `size` bytes, or fewer when the stream ends before."""
        data = b""
        while len(data) < size:
            piece = await self._loop.sock_recv(self.socket, size - len(data))
            if not piece:
                break
            data += piece
        return data

    async def ended(self) -> None:
        """Wait until the other end has closed, in whatever way."""
        try:
            while await self._loop.sock_recv(self.socket, 65536):
                pass
        except ConnectionError:
            pass

    def reset(self) -> None:
        """Close with a reset, as a process does that is killed with data unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Raw = Callable[..., Awaitable[RawPeer]]


@pytest_asyncio.fixture
async def raw(stack: AsyncExitStack) -> Raw:
    """Connects a bare socket to a server; it is closed at the end of the test."""

    async def connect(server: StreamServer, receive_buffer: int | None = None) -> RawPeer:
        sock = socket.socket(server.address.family or socket.AF_INET)
        stack.callback(sock.close)
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        target = (server.address.host, server.address.port)
        await asyncio.get_running_loop().sock_connect(sock, target)
        return RawPeer(sock)

    return connect


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy whose target port a test sets."""
    async with Proxy(0) as proxy:
        yield proxy


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Waits until a condition holds that nothing announces; a deadline ends it."""

    async def wait(condition: Callable[[], object], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.002)

    return wait
