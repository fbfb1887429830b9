"""How much is read at a time."""

import asyncio
import socket
from pathlib import Path

import pytest

from gestalt.net import Framing, Mti, Raw, StreamBatch, StreamServer, Wire

SHORT = 64 * 1024
HEADROOM = 16 * 1024
LONG = 112 * 1024
ALL = 1024 * 1024


async def reads(folder: Path, framing: Framing, size: int, *, asynchronous: bool) -> list[int]:
    """How many bytes of messages each read has brought, of a peer that does not pause."""
    found: list[int] = []
    gone = asyncio.Event()

    def take(batch: StreamBatch[bytes]) -> None:
        found.append(sum(map(len, batch.bodies)))

    async def take_later(batch: StreamBatch[bytes]) -> None:
        await asyncio.sleep(0)
        take(batch)

    # A unix socket holds several reads, however the system is tuned.
    async with StreamServer(
        f"unix://{folder}/socket",
        Wire(framing),
        on_messages=take_later if asynchronous else take,
        on_disconnected=lambda peer, error: gone.set(),
    ):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, f"{folder}/socket")
            await loop.sock_sendall(sock, framing.encode(bytes(size)) * (ALL // size))
        async with asyncio.timeout(30):
            await gone.wait()
    assert sum(found) == ALL
    return found


async def test_few_messages_that_are_handled_at_once_are_read_in_longer_pieces(
    tmp_path: Path,
) -> None:
    found = await reads(tmp_path, Mti(), 4096, asynchronous=False)
    assert SHORT + HEADROOM < max(found) <= LONG + HEADROOM


@pytest.mark.parametrize(
    ("framing", "size", "asynchronous", "most"),
    [
        pytest.param(Mti(), 256, False, SHORT + HEADROOM, id="many-messages"),
        pytest.param(Mti(), 4096, True, SHORT + HEADROOM, id="that-wait-for-a-handler"),
        pytest.param(Raw(), 4096, False, SHORT, id="that-are-a-read-each"),
    ],
)
async def test_others_are_not(
    tmp_path: Path, framing: Framing, size: int, asynchronous: bool, most: int
) -> None:
    assert max(await reads(tmp_path, framing, size, asynchronous=asynchronous)) <= most
