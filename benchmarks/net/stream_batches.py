"""Many messages at a time one way over TCP, beside one at a time and a protocol tuned by hand."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch
from benchmarks.net import stream, tuned


async def batch_server(run: Run) -> Measured:
    from gestalt.net import Mti, Peer, StreamBatch, StreamServer, Wire

    count = 0
    gone = asyncio.Event()
    watch: Stopwatch | None = None

    def on_connected(peer: Peer) -> None:
        nonlocal watch
        watch = Stopwatch()

    def on_messages(batch: StreamBatch[bytes]) -> None:
        nonlocal count
        count += len(batch.bodies)

    async with StreamServer(
        "tcp://127.0.0.1:0",
        Wire(Mti()),
        on_messages=on_messages,
        on_connected=on_connected,
        on_disconnected=lambda peer, error: gone.set(),
    ) as server:
        run.ready(port=server.address.port)
        await gone.wait()
    assert watch is not None
    return watch.stop(count)


async def batch_client(run: Run) -> None:
    from gestalt.net import Mti, StreamClient, Wire

    payloads = tuned.some_payloads(run)
    async with StreamClient(f"tcp://127.0.0.1:{run.partner['port']}", Wire(Mti())) as client:
        await client.wait_connected()
        end = time.perf_counter() + run.seconds
        while time.perf_counter() < end:
            await client.send_many(payloads, 7)


async def single_client(run: Run) -> None:
    from gestalt.net import Mti, StreamClient, Wire

    payloads = tuned.some_payloads(run)
    async with StreamClient(f"tcp://127.0.0.1:{run.partner['port']}", Wire(Mti())) as client:
        await client.wait_connected()
        end = time.perf_counter() + run.seconds
        while time.perf_counter() < end:
            for payload in payloads:
                await client.send(payload, 7)


def contenders(suffix: str, loop: str) -> list[Contender]:
    """The tuned protocol and ours on one event loop."""

    def ours(
        name: str, server: Callable[[Run], Any], client: Callable[[Run], Any], work: str
    ) -> Contender:
        return Contender(
            name=f"{name}{suffix}",
            loop=loop,
            package="gestalt-net",
            server=server,
            client=client,
            work=f"{stream.FRAMES}; {work}",
            guarantees="backpressure, limits, errors and stop are handled",
        )

    return [
        Contender(
            name=f"tuned by hand{suffix}",
            bare=True,
            loop=loop,
            server=tuned.server,
            client=tuned.client,
            work=f"{stream.FRAMES}; one call to send each, cut and counted, handed to nobody",
            guarantees="backpressure",
        ),
        ours(
            "gestalt.net, batches",
            batch_server,
            batch_client,
            "lists of bytes by send_many, and to a plain on_messages",
        ),
        ours(
            "gestalt.net, one by one",
            stream.gestalt_server,
            single_client,
            "one `await send` per message, a message object to a plain on_message",
        ),
    ]


BENCHMARK = Benchmark(
    title="Batches of messages one way over TCP",
    unit="message",
    reference="tuned by hand",
    seconds=2.0,
    quick_seconds=0.5,
    cases={
        "64 B": {"size": 64},
        "32 to 96 B": {"size": 64, "mixed": 32},
        "4 KiB": {"size": 4096},
    },
    contenders=[*contenders("", "asyncio"), *contenders(", uvloop", "uvloop")],
)
