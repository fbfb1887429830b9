"""What connections cost: 5,000 idle ones in memory, and 1 to 1,000 busy ones per message."""

import asyncio
import gc
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch, Unavailable
from benchmarks.net.tuned import HEADER

FRAME = HEADER.pack(64, 7) + bytes(64)
TURN = 64
"""How many frames one connection sends in its turn."""


def resident() -> int:
    """This process's resident memory, in bytes."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        raise Unavailable("/proc/self/statm is needed to measure memory")
    gc.collect()
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def may_open(count: int) -> None:
    """Raise the limit of open files where it is too low."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + 100:
        raise Unavailable(f"{count} connections need more open files than {hard}")
    if soft != resource.RLIM_INFINITY and soft < count + 100:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, hard))


class Bare(asyncio.BufferedProtocol):
    """Counts frames of known size; all connections share one buffer, as those of gestalt.net do."""

    buffer = memoryview(bytearray(64 * 1024))
    received = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return Bare.buffer

    def buffer_updated(self, nbytes: int) -> None:
        Bare.received += nbytes


FIRST: dict[str, float] = {}
"""What the first call of this process measured: later ones reuse the memory that it left behind."""


class Turnout:
    """Counts who has come and who has gone.

    In a short run, the first ones may have gone before the last one is seen to come.
    """

    def __init__(self, run: Run) -> None:
        self.all_came = asyncio.Event()
        self.all_went = asyncio.Event()
        self._peers: int = run.options["peers"]
        self._came = self._went = 0

    def come(self) -> None:
        self._came += 1
        if self._came == self._peers:
            self.all_came.set()

    def go(self) -> None:
        self._went += 1
        if self._went == self._peers:
            self.all_went.set()


class Load(asyncio.Protocol):
    """The sending end of a connection."""

    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


async def load(run: Run) -> None:
    """Open the connections; let them send in turns when they are to be busy."""
    count: int = run.options["peers"]
    may_open(count)
    loop = asyncio.get_running_loop()
    port: int = run.partner["port"]
    transports: list[Any] = []
    lost = []
    for _ in range(count):
        transport, protocol = await loop.create_connection(Load, "127.0.0.1", port)
        transports.append(transport)
        lost.append(protocol.lost)
    end = time.perf_counter() + run.seconds
    data = FRAME * TURN
    while run.options["busy"] and time.perf_counter() < end:
        for transport in transports:
            if not transport.get_write_buffer_size():
                transport.write(data)
        await asyncio.sleep(0)
    if not run.options["busy"]:
        await asyncio.sleep(run.seconds)
    for transport in transports:
        transport.close()
    await asyncio.gather(*lost)


async def bare_server(run: Run) -> Measured:
    loop = asyncio.get_running_loop()
    may_open(run.options["peers"])
    Bare.received = 0
    turnout = Turnout(run)

    class Counted(Bare):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            turnout.come()

        def connection_lost(self, exc: Exception | None) -> None:
            turnout.go()

    before = resident()
    server = await loop.create_server(Counted, "127.0.0.1", 0, backlog=4096)
    run.ready(port=server.sockets[0].getsockname()[1])
    await turnout.all_came.wait()
    each = (resident() - before) / run.options["peers"]
    before_all, watch = Bare.received, Stopwatch()
    await turnout.all_went.wait()
    server.close()
    return measured(run, watch, (Bare.received - before_all) // len(FRAME), each)


async def gestalt_server(run: Run) -> Measured:
    from gestalt.net import Mti, StreamMessage, StreamServer, Wire

    may_open(run.options["peers"])
    count = 0
    turnout = Turnout(run)

    def on_message(message: StreamMessage[bytes]) -> None:
        nonlocal count
        count += 1

    before = resident()
    async with StreamServer(
        "tcp://127.0.0.1:0",
        Wire(Mti()),
        on_message=on_message,
        on_connected=lambda peer: turnout.come(),
        on_disconnected=lambda peer, error: turnout.go(),
    ) as server:
        run.ready(port=server.address.port)
        await turnout.all_came.wait()
        each = (resident() - before) / run.options["peers"]
        before_all, watch = count, Stopwatch()
        await turnout.all_went.wait()
    return measured(run, watch, count - before_all, each)


def measured(run: Run, watch: Stopwatch, count: int, each: float) -> Measured:
    """The result of a server: messages where they are busy, memory where they are idle."""
    if run.options["busy"]:
        result = watch.stop(count)
        return Measured(
            count, result.seconds, extra={"server CPU ns": (result.cpu or 0) / max(1, count) * 1e9}
        )
    return watch.stop(run.options["peers"], {"bytes each": FIRST.setdefault("bytes each", each)})


BENCHMARK = Benchmark(
    title="Many connections",
    unit="message or idle connection",
    reference="bare asyncio protocol",
    plot="server CPU ns",
    warms_up=False,
    seconds=2.0,
    quick_seconds=1.0,
    cases={
        "5,000 idle": {"peers": 5000, "busy": False},
        "1 busy": {"peers": 1, "busy": True},
        "10 busy": {"peers": 10, "busy": True},
        "100 busy": {"peers": 100, "busy": True},
        "1,000 busy": {"peers": 1000, "busy": True},
    },
    contenders=[
        Contender(
            name="bare asyncio protocol",
            bare=True,
            server=bare_server,
            client=load,
            work="one shared buffer; counts bytes, cuts nothing",
            guarantees="none",
        ),
        Contender(
            name="gestalt.net",
            package="gestalt-net",
            server=gestalt_server,
            client=load,
            work="one shared buffer; a message object to a plain handler",
            guarantees="limits, errors and stop are handled",
        ),
    ],
    note=(
        "bytes each: resident memory of the server per idle connection. server CPU ns: its CPU "
        "time per message, to be compared from 1 to 1,000 peers. Each busy peer sends 64 messages "
        "of 64 B in its turn."
    ),
)
