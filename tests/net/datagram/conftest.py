"""Endpoints on loopback, plain sockets, and hosts with a network between them."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from gestalt.net import (
    Address,
    DatagramEndpoint,
    DatagramMessage,
    DatagramOptions,
    Mti,
    Raw,
    SendBufferFull,
    Wire,
)
from tests.net.datagram.fixtures import StartEndpoint, Take, Until
from tests.net.datagram.namespaces import Namespaces
from tests.net.fixtures import Within
from tests.support.completion_loop import CompletionLoop


@pytest.hookimpl(wrapper=True)
def pytest_asyncio_loop_factories(config: Any, item: Any) -> Generator[None, Any, Any]:
    """Also on an event loop such as that of Windows."""
    loops = yield
    return loops | {"completion": CompletionLoop}


@pytest_asyncio.fixture
async def endpoint(stack: AsyncExitStack) -> StartEndpoint:
    """Starts an endpoint on a free port of loopback; it stops at the end of the test."""

    async def start(
        url: str | Address | None = "udp://127.0.0.1:0", *, wire: Wire | None = None, **options: Any
    ) -> DatagramEndpoint:
        made = DatagramEndpoint(url, wire or Wire(Mti()), **options)
        return await stack.enter_async_context(made)

    return start


@pytest_asyncio.fixture
async def plain_socket() -> AsyncIterator[socket.socket]:
    """A socket on loopback that is not ours."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


@pytest.fixture
def hosts() -> Iterator[Namespaces]:
    """Two hosts with a network between them."""
    if shutil.which("ip") is None:
        pytest.skip("there is no iproute2")
    namespaces = Namespaces()
    try:
        try:
            namespaces.make()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces: {error.stderr.strip()}")
        yield namespaces
    finally:
        namespaces.remove()


@pytest_asyncio.fixture
async def full(hosts: Namespaces) -> AsyncIterator[DatagramEndpoint]:
    """A client that has sent all that its slow network has room for, to a host that hears it."""
    hosts.narrow(0)
    options = DatagramOptions(send_buffer=4096)
    with hosts.inside(0):
        client = DatagramEndpoint(None, Wire(Raw()), peer="udp://10.99.0.2:9000", options=options)
        await client.start()
    try:
        with contextlib.suppress(SendBufferFull):
            while True:
                client.send_nowait(b"x" * 1000)
        yield client
    finally:
        await client.stop()


async def take(endpoint: DatagramEndpoint, count: int) -> list[DatagramMessage[Any]]:
    """The next messages of an endpoint without a handler."""
    messages = []
    async for message in endpoint:
        messages.append(message)
        if len(messages) == count:
            break
    return messages


@pytest.fixture(name="take")
def _take(within: Within) -> Take:
    async def wait(endpoint: DatagramEndpoint, count: int = 1) -> list[DatagramMessage[Any]]:
        return await within(take(endpoint, count))

    return wait


@pytest.fixture
def until(within: Within) -> Until:
    """Waits, turn by turn of the event loop, until a condition holds."""

    async def wait(condition: Callable[[], bool]) -> None:
        async def poll() -> None:
            while not condition():
                await asyncio.sleep(0)

        await within(poll())

    return wait
