"""Floods an endpoint whose application hangs with 70 MB; prints what that cost.

The argument says what hangs. The output is JSON: by how many MiB the process grew at its highest,
and the counters. A process of its own each time, since the highest mark of memory never falls.
"""

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

from gestalt.net import DatagramEndpoint, Mti, Wire

SIZE = 1400
COUNT = 50_000
BURST = 50
"""How many datagrams are in the socket at a time: so many have room there, and none is lost."""

WHOLE = Mti().encode(bytes(SIZE - 8))
CUT = WHOLE[:-1]


def highest() -> float:
    """The most memory that this process ever had resident, in MiB."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


async def hang(_: Any) -> None:
    await asyncio.Event().wait()


WAYS: dict[str, tuple[dict[str, Any], bytes]] = {
    "handler": ({"on_message": hang}, WHOLE),
    "100 handlers": ({"on_message": hang, "concurrency": 100}, WHOLE),
    "iteration": ({}, WHOLE),
    "iteration, drop-newest": ({"overflow": "drop-newest"}, WHOLE),
    "on_error": ({"on_error": hang}, CUT),
}


async def main(way: str) -> dict[str, Any]:
    options, datagram = WAYS[way]
    async with DatagramEndpoint(
        "udp://127.0.0.1:0", Wire(Mti()), stop_timeout=0.1, **options
    ) as endpoint:
        stats = endpoint.stats
        target = (endpoint.address.host, endpoint.address.port)
        before = highest()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while stats.received < COUNT:
                for _ in range(BURST):
                    sock.sendto(datagram, target)
                expected = stats.received + BURST
                while stats.received < expected:
                    await asyncio.sleep(0)
        return {
            "grown": highest() - before,
            "received": stats.received,
            "overflowed": stats.overflowed,
            "truncated": stats.truncated,
            "unreported": stats.unreported,
        }


print(json.dumps(asyncio.run(main(sys.argv[1]))))
