"""Connections that misbehave, and what a test of them needs."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from gestalt.net import StreamServer
from tests.net.faults.fixtures import Eventually, Raw
from tests.net.faults.raw_peer import RawPeer
from tests.support.proxy import Proxy


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
def eventually() -> Eventually:
    """Waits until a condition holds that nothing announces; a deadline ends it."""

    async def wait(condition: Callable[[], object], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.002)

    return wait
