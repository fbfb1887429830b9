"""What a server's handler of batches has been given, and a peer that sends by one read."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from gestalt.net import Mti, NetError, StreamBatch, StreamServer

MTI = Mti()


class Received:
    """What came, batch by batch, and what was told."""

    def __init__(self) -> None:
        self.batches: list[StreamBatch[Any]] = []
        self.errors: list[NetError] = []
        self.bodies: list[Any] = []
        self.gone = asyncio.Event()

    def take(self, batch: StreamBatch[Any]) -> None:
        self.batches.append(batch)
        self.bodies += batch.bodies

    async def take_later(self, batch: StreamBatch[Any]) -> None:
        await asyncio.sleep(0)
        self.take(batch)

    def options(self) -> dict[str, Any]:
        return {
            "on_error": self.errors.append,
            "on_disconnected": lambda peer, error: self.gone.set(),
        }


async def write(server: StreamServer, data: bytes, *, end: bool = True) -> bytes:
    """Send bytes by a plain socket, so that one read takes them; return what comes back."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (server.address.host, server.address.port))
        await loop.sock_sendall(sock, data)
        if end:
            sock.shutdown(socket.SHUT_WR)
        replies = b""
        with suppress(ConnectionError):
            while piece := await loop.sock_recv(sock, 65536):
                replies += piece
        return replies


def frames(count: int, body: bytes = b"%d") -> bytes:
    return b"".join(MTI.encode(body.replace(b"%d", b"%d" % n), 7 + n % 2) for n in range(count))
