"""Endpoints on loopback, plain sockets, and network namespaces where the machine allows them."""

import asyncio
import contextlib
import ctypes
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gestalt.net import DatagramEndpoint, DatagramOptions, Mti, Raw, SendBufferFull, Wire

CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


@pytest_asyncio.fixture
async def endpoint(stack: AsyncExitStack) -> Callable[..., Awaitable[DatagramEndpoint]]:
    """Starts an endpoint on a free port of loopback; it stops at the end of the test."""

    async def start(
        url: str | None = "udp://127.0.0.1:0", *, wire: Wire | None = None, **options: Any
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


class Namespaces:
    """Two hosts, made of two network namespaces.

    There is a link between their interfaces `wire0`, where the default route is, and another one
    between `wire1`.
    """

    def __init__(self) -> None:
        number = f"{os.getpid()}-{next(_numbers)}"
        self.names = (f"gestalt-{number}-a", f"gestalt-{number}-b")

    def make(self) -> None:
        a, b = self.names
        for name in self.names:
            _ip("netns", "add", name)
        for wire in ("wire0", "wire1"):
            peer = ("peer", "name", wire, "netns", b)
            _ip("-n", a, "link", "add", wire, "type", "veth", *peer)
        for number, name in enumerate(self.names, 1):
            for command in (
                ("addr", "add", f"10.99.0.{number}/24", "brd", "+", "dev", "wire0"),
                ("addr", "add", f"fd99::{number}/64", "dev", "wire0", "nodad"),
                ("addr", "add", f"fe80::{number}/64", "dev", "wire0", "nodad"),
                ("addr", "add", f"10.98.0.{number}/24", "dev", "wire1"),
                ("addr", "add", f"fd98::{number}/64", "dev", "wire1", "nodad"),
                ("link", "set", "wire0", "up"),
                ("link", "set", "wire1", "up"),
                ("link", "set", "lo", "up"),
                ("route", "add", "default", "dev", "wire0"),
            ):
                _ip("-n", name, *command)
        for name in self.names:
            _until_there_is_a_route(name)

    def remove(self) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def narrow(self, number: int) -> None:
        """Let the link of one host carry a kilobyte a second."""
        shape = ("tbf", "rate", "8kbit", "burst", "2kb", "limit", "10mb")
        name = self.names[number]
        _run("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "wire0", "root", *shape)

    @contextmanager
    def inside(self, number: int) -> Iterator[None]:
        """Open sockets in one of the hosts; a socket stays where it was opened."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(Path("/run/netns", self.names[number]), os.O_RDONLY)
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            yield
        finally:
            assert libc.setns(here, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            os.close(here)
            os.close(there)


def _until_there_is_a_route(name: str) -> None:
    """Wait for the system to notice that the link is up: IPv6 has no routes before."""
    deadline = time.monotonic() + 10
    for group, wire in (("239.0.0.1", "wire0"), ("ff15::1", "wire0"), ("ff15::1", "wire1")):
        command = ("ip", "-n", name, "route", "get", group, "oif", wire)
        while subprocess.run(command, check=False, capture_output=True).returncode:
            assert time.monotonic() < deadline, f"{name} has no route to {group}"
            time.sleep(0.01)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)


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


async def take(endpoint: DatagramEndpoint, count: int) -> list[Any]:
    """The next messages of an endpoint without a handler."""
    messages = []
    async for message in endpoint:
        messages.append(message)
        if len(messages) == count:
            break
    return messages


@pytest.fixture(name="take")
def _take(within: Any) -> Callable[..., Awaitable[list[Any]]]:
    async def wait(endpoint: DatagramEndpoint, count: int = 1) -> list[Any]:
        messages: list[Any] = await within(take(endpoint, count))
        return messages

    return wait


@pytest.fixture
def until(within: Any) -> Callable[..., Awaitable[None]]:
    """Waits, turn by turn of the event loop, until a condition holds."""

    async def wait(condition: Callable[[], bool]) -> None:
        async def poll() -> None:
            while not condition():
                await asyncio.sleep(0)

        await within(poll())

    return wait
