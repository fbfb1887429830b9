"""Sending datagrams as fast as one process can, to a socket that nobody reads."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch

if TYPE_CHECKING:
    from gestalt.net import Address, DatagramEndpoint

PAYLOAD = bytes(64)


def sink() -> socket.socket:
    """A socket on loopback that is left alone: when it is full, the system drops what comes."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


def bare(run: Run) -> Measured:
    pack = struct.Struct("!II").pack
    with sink() as there, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        target = there.getsockname()
        if run.options["connected"]:
            sock.connect(target)
        count = 0
        end = time.perf_counter() + run.seconds
        watch = Stopwatch()
        while time.perf_counter() < end:
            if run.options["connected"]:
                for _ in range(1000):
                    sock.send(pack(len(PAYLOAD), 7) + PAYLOAD)
            else:
                for _ in range(1000):
                    sock.sendto(pack(len(PAYLOAD), 7) + PAYLOAD, target)
            count += 1000
        return watch.stop(count)


async def watched(run: Run) -> Measured:
    pack = struct.Struct("!II").pack
    loop = asyncio.get_running_loop()
    connected = run.options["connected"]
    with sink() as there, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        target = there.getsockname()
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        if connected:
            sock.connect(target)
        loop.add_reader(sock, sock.recv, 1)
        count = 0
        end = time.perf_counter() + run.seconds
        watch = Stopwatch()
        while time.perf_counter() < end:
            if connected:
                for _ in range(1000):
                    sock.send(pack(len(PAYLOAD), 7) + PAYLOAD)
            else:
                for _ in range(1000):
                    sock.sendto(pack(len(PAYLOAD), 7) + PAYLOAD, target)
            count += 1000
            await asyncio.sleep(0)
        result = watch.stop(count)
        loop.remove_reader(sock)
        return result


async def protocol(run: Run) -> Measured:
    pack = struct.Struct("!II").pack
    loop = asyncio.get_running_loop()
    with sink() as there:
        target = None if run.options["connected"] else there.getsockname()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol,
            remote_addr=there.getsockname() if target is None else None,
            local_addr=None if target is None else ("127.0.0.1", 0),
        )
        count = 0
        end = time.perf_counter() + run.seconds
        watch = Stopwatch()
        while time.perf_counter() < end:
            for _ in range(1000):
                transport.sendto(pack(len(PAYLOAD), 7) + PAYLOAD, target)
            count += 1000
            await asyncio.sleep(0)
        result = watch.stop(count)
        transport.close()
        return result


@asynccontextmanager
async def endpoint_of(run: Run) -> "AsyncIterator[tuple[DatagramEndpoint, Address | None]]":
    """An endpoint, and whom to send to; None where that is its peer."""
    from gestalt.net import Address, DatagramEndpoint, Mti, Wire

    with sink() as there:
        address = Address("udp", *there.getsockname())
        peer, to = (address, None) if run.options["connected"] else (None, address)
        async with DatagramEndpoint("udp://127.0.0.1:0", Wire(Mti()), peer=peer) as endpoint:
            yield endpoint, to


async def gestalt(run: Run) -> Measured:
    async with endpoint_of(run) as (endpoint, to):
        count = 0
        end = time.perf_counter() + run.seconds
        watch = Stopwatch()
        while time.perf_counter() < end:
            if to is None:
                for _ in range(1000):
                    await endpoint.send(PAYLOAD, 7)
            else:
                for _ in range(1000):
                    await endpoint.send(PAYLOAD, 7, to=to)
            count += 1000
        return watch.stop(count)


async def gestalt_nowait(run: Run) -> Measured:
    async with endpoint_of(run) as (endpoint, to):
        count = 0
        end = time.perf_counter() + run.seconds
        watch = Stopwatch()
        while time.perf_counter() < end:
            if to is None:
                for _ in range(1000):
                    endpoint.send_nowait(PAYLOAD, 7)
            else:
                for _ in range(1000):
                    endpoint.send_nowait(PAYLOAD, 7, to=to)
            count += 1000
            await asyncio.sleep(0)
        return watch.stop(count)


async def gestalt_batch(run: Run) -> Measured:
    async with endpoint_of(run) as (endpoint, to):
        count = 0
        end = time.perf_counter() + run.seconds
        watch = Stopwatch()
        while time.perf_counter() < end:
            async with endpoint.batch(to=to) as batch:
                for _ in range(1000):
                    await batch.send(PAYLOAD, 7)
            count += 1000
        return watch.stop(count)


BENCHMARK = Benchmark(
    title="Sending datagrams of 64 B",
    unit="datagram",
    reference="socket",
    cases={"to a peer": {"connected": True}, "to an address": {"connected": False}},
    contenders=[
        Contender(
            name="socket",
            bare=True,
            run=bare,
            work="an MTI header, sent by a plain loop",
            guarantees="none; blocks",
        ),
        Contender(
            name="socket that receives",
            bare=True,
            run=watched,
            work="the same, on a socket that an event loop watches, with 1,000 in one turn",
            guarantees="none",
        ),
        Contender(
            name="gestalt.net",
            package="gestalt-net",
            run=gestalt,
            work="an MTI frame, one `await send` per message",
            guarantees="waits where there is no room; leaves the loop to others; errors told",
        ),
        Contender(
            name="gestalt.net, send_nowait",
            package="gestalt-net",
            run=gestalt_nowait,
            work="an MTI frame, one `send_nowait` per message",
            guarantees="raises where there is no room; errors told",
        ),
        Contender(
            name="gestalt.net, batch",
            package="gestalt-net",
            run=gestalt_batch,
            work="an MTI frame, one `await batch.send` per message, 1,000 in a batch",
            guarantees="waits where there is no room; leaves the loop to others; errors told",
        ),
        Contender(
            name="DatagramProtocol",
            run=protocol,
            work="an MTI header, given to the transport",
            guarantees="none: what has no room is kept without a bound",
        ),
        Contender(
            name="gestalt.net, uvloop",
            loop="uvloop",
            package="gestalt-net",
            run=gestalt,
            work="an MTI frame, one `await send` per message",
            guarantees="waits where there is no room; leaves the loop to others; errors told",
        ),
        Contender(
            name="DatagramProtocol, uvloop",
            loop="uvloop",
            package="uvloop",
            run=protocol,
            work="an MTI header, given to the transport",
            guarantees="none: what has no room is kept without a bound",
        ),
    ],
    note="Each datagram that leaves a watched socket wakes what watches it, in the kernel.",
)
