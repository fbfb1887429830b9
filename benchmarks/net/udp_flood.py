"""A flood of datagrams from a process that does nothing else: how many are received."""

import asyncio
import socket
import time
from typing import Any

from benchmarks.harness import Benchmark, Contender, Function, Measured, Run, Stopwatch
from benchmarks.net import udp_receivers
from benchmarks.net.udp_receivers import DATAGRAM, HEADER, bound_socket

FLOOD = 60_000

QUIET = 0.1
"""How long nothing has come, in seconds, when everything was received that waits in the socket."""


def flood(run: Run) -> None:
    """Send as fast as one process can."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", run.partner["port"]))
        for _ in range(FLOOD):
            sock.send(DATAGRAM)


class Count:
    """How many datagrams came, and when the first and the last one did."""

    __slots__ = ("_first", "_watch", "count", "last")

    def __init__(self) -> None:
        self.count = 0
        self.last = 0.0
        self._first = 0.0
        self._watch = Stopwatch()

    def add(self, more: int) -> None:
        """Note so many more."""
        if not self.count:
            self._first = time.perf_counter()
            self._watch = Stopwatch()
        self.count += more
        self.last = time.perf_counter()

    async def measured(self, run: Run) -> Measured:
        """Wait for the end of the flood."""
        await run.finished()
        # What is received after the last datagram was sent waits in the socket by now.
        before = -1
        while before < self.count:
            before = self.count
            await asyncio.sleep(QUIET)
        cpu = self._watch.stop(self.count).cpu
        received = {"received %": 100 * self.count / FLOOD}
        return Measured(self.count, max(self.last - self._first, 1e-9), cpu, received)


async def reader_by_hand(run: Run) -> Measured:
    count = Count()
    async with udp_receivers.reader_by_hand(count.add) as port:
        run.ready(port=port)
        return await count.measured(run)


async def protocol(run: Run) -> Measured:
    loop = asyncio.get_running_loop()
    count = Count()
    add = count.add
    unpack = HEADER.unpack_from

    class Counting(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            size, _ = unpack(data)
            if size == len(data) - 8:
                add(1)

    transport, _ = await loop.create_datagram_endpoint(Counting, sock=bound_socket())
    run.ready(port=transport.get_extra_info("sockname")[1])
    result = await count.measured(run)
    transport.close()
    return result


async def gestalt(run: Run) -> Measured:
    count = Count()
    async with udp_receivers.gestalt_messages(count.add) as port:
        run.ready(port=port)
        return await count.measured(run)


async def gestalt_batches(run: Run) -> Measured:
    count = Count()
    async with udp_receivers.gestalt_batches(count.add) as port:
        run.ready(port=port)
        return await count.measured(run)


def contender(name: str, server: Function, work: str, guarantees: str, **more: Any) -> Contender:
    return Contender(
        name=name,
        server=server,
        client=flood,
        work=f"MTI header checked; {work}",
        guarantees=guarantees,
        **more,
    )


OURS = "bounded work per turn; drops counted by cause, errors told"

BENCHMARK = Benchmark(
    title="A flood of 60,000 datagrams of 64 B",
    unit="datagram",
    reference="reader by hand",
    contenders=[
        contender("reader by hand", reader_by_hand, "counted", "bounded work per turn", bare=True),
        contender(
            "gestalt.net",
            gestalt,
            "a message object to a plain handler",
            OURS,
            package="gestalt-net",
        ),
        contender(
            "gestalt.net, batches",
            gestalt_batches,
            "what has come, as a list of bytes, to a plain handler",
            OURS,
            package="gestalt-net",
        ),
        contender("DatagramProtocol", protocol, "counted", "none"),
        contender(
            "reader by hand, uvloop",
            reader_by_hand,
            "counted",
            "bounded work per turn",
            loop="uvloop",
            package="uvloop",
            bare=True,
        ),
        contender(
            "gestalt.net, uvloop",
            gestalt,
            "a message object to a plain handler",
            OURS,
            loop="uvloop",
            package="gestalt-net",
        ),
        contender(
            "DatagramProtocol, uvloop", protocol, "counted", "none", loop="uvloop", package="uvloop"
        ),
    ],
    note="All have a receive buffer of 1 MiB. The sender does not wait for the receiver.",
)
