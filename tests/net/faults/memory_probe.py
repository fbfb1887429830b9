"""Sends 1 GB to a client that reads nothing, in every way there is; prints what that cost.

The output is JSON: by how many MiB the process grew at its highest, and what became of the
messages. A process of its own, since the highest mark of memory never falls.
"""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

from gestalt.net import ConnectionLost, Limits, Mti, Peer, SendBufferFull, StreamServer, Wire

SIZE = 64 * 1024
COUNT = 1024 * 1024 * 1024 // SIZE


def highest() -> float:
    """The most memory that this process ever had resident, in MiB."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


async def main() -> dict[str, Any]:
    peers: asyncio.Queue[Peer] = asyncio.Queue()
    wire = Wire(Mti())
    async with StreamServer(
        "tcp://127.0.0.1:0",
        wire,
        on_message=lambda message: None,
        on_connected=peers.put_nowait,
        limits=Limits(close_timeout=0.1),
        stop_timeout=0.1,
    ) as server:
        client = socket.create_connection((server.address.host, server.address.port))
        peer = await peers.get()
        body = bytes(SIZE)
        before = highest()

        # Senders that wait: one that goes on to the end, and many at a time.
        sent = 0

        async def send_all() -> None:
            nonlocal sent
            while sent < COUNT:
                await peer.send(body)
                sent += 1

        waiting = [asyncio.create_task(send_all()) for _ in range(20)]
        await asyncio.sleep(0.1)
        refused = 0
        for _ in range(COUNT):
            try:
                peer.send_nowait(body)
            except SendBufferFull:
                refused += 1
        reached = [await server.broadcast(body, slow="drop") for _ in range(1000)]
        await asyncio.sleep(0.1)
        result = {
            "sent": sent,
            "refused": refused,
            "reached": sum(reached),
            "dropped": server.stats.dropped,
            "waiting": sum(not task.done() for task in waiting),
        }
        peer.abort()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        result["told"] = sum(isinstance(end, ConnectionLost) for end in ends)
        result["grown"] = highest() - before
        client.close()
    return result


print(json.dumps(asyncio.run(main())))
