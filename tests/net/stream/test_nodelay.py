"""Small messages are not held back for the acknowledgement of the ones before (Nagle)."""

import asyncio
import socket
from typing import Any

import pytest

from gestalt.net import Delimited, Peer, StreamClient, StreamServer, Wire

WIRE = Wire(Delimited())


def nodelay(peer: Peer) -> bool:
    sock: Any = peer._link.transport.get_extra_info("socket")
    return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_both_ends_of_a_connection_send_without_delay(host: str) -> None:
    connected: asyncio.Queue[Peer] = asyncio.Queue()
    async with (
        StreamServer(
            f"tcp://{host}:0",
            WIRE,
            on_message=lambda message: None,
            on_connected=connected.put_nowait,
        ) as server,
        StreamClient(server.address, WIRE) as client,
    ):
        await client.wait_connected()
        assert client.peer is not None
        assert nodelay(client.peer)
        assert nodelay(await connected.get())
