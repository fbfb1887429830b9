"""A start that is stopped or cancelled, in whatever turn of the loop, leaves nothing behind."""

import asyncio
import contextlib
import gc
import random
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gestalt.core import Component
from gestalt.net import DatagramEndpoint, Mti, StreamClient, StreamServer, Wire
from tests.net.fixtures import Serve, Within
from tests.support import mutual_tls

TURNS = 25
WIRE = Wire(Mti())

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are read from /proc")


def descriptors() -> dict[str, str]:
    """What is open, by its number."""
    found = {}
    for each in Path("/proc/self/fd").iterdir():
        # The one of this folder is gone by now.
        with contextlib.suppress(FileNotFoundError):
            found[each.name] = str(each.readlink())
    return found


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that the system gives to no client meanwhile."""
    for _ in range(100):
        port = random.randrange(20_000, 30_000)
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")


def nothing(message: Any) -> None:
    pass


def makers(folder: Path, target: StreamServer, tls_target: StreamServer) -> dict[str, Any]:
    """What makes the components; those that bind do so at one address all the time."""
    context, client_context = mutual_tls.server_context(), mutual_tls.client_context()
    port, udp_port = free_port(), free_port(socket.SOCK_DGRAM)
    path = folder / "socket"
    server: Callable[..., StreamServer] = lambda url, **options: StreamServer(  # noqa: E731
        url, WIRE, on_message=nothing, **options
    )
    return {
        "tcp": lambda: server(f"tcp://127.0.0.1:{port}"),
        "name": lambda: server(f"tcp://localhost:{port}"),
        "tls": lambda: server(f"tls://127.0.0.1:{port}", tls=context),
        "unix": lambda: server(f"unix://{path}"),
        "client": lambda: StreamClient(target.address, WIRE),
        "client of a name": lambda: StreamClient(f"tcp://localhost:{target.address.port}", WIRE),
        "tls client": lambda: StreamClient(tls_target.address, WIRE, tls=client_context),
        "datagrams": lambda: DatagramEndpoint(f"udp://127.0.0.1:{udp_port}", WIRE),
        "datagrams to": lambda: DatagramEndpoint(None, WIRE, peer=f"udp://localhost:{udp_port}"),
    }


KINDS = (
    "tcp",
    "name",
    "tls",
    "unix",
    "client",
    "client of a name",
    "tls client",
    "datagrams",
    "datagrams to",
)


@pytest.mark.parametrize("how", ["stop", "cancel"])
@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_is_left_of_a_start_that_came_to_nothing(
    serve: Serve, within: Within, tmp_path: Path, kind: str, how: str
) -> None:
    target = await serve(nothing)
    tls_target = await serve(nothing, url="tls://127.0.0.1:0", tls=mutual_tls.server_context())
    make = makers(tmp_path, target, tls_target)[kind]
    # What is opened once and for all is opened by this: uvloop does so for the first connection.
    async with make(), StreamClient(target.address, WIRE) as first:
        await within(first.wait_connected())
    while target.peers:
        await asyncio.sleep(0)
    before = descriptors()
    for turn in range(TURNS):
        component: Component = make()
        starting = asyncio.create_task(component.start())
        for _ in range(turn):
            await asyncio.sleep(0)
        if how == "cancel":
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        await within(component.stop())
        await asyncio.gather(starting, return_exceptions=True)
        # In the first turn, the start had not begun.
        await within(component.stop())
        # Its address is free again, at once.
        async with make():
            pass
    for _ in range(100):
        gc.collect()
        if len(descriptors()) <= len(before):
            break
        await asyncio.sleep(0.01)
    after = descriptors()
    left = {number: what for number, what in after.items() if before.get(number) != what}
    assert len(after) <= len(before), left
    assert not (tmp_path / "socket").exists()
