"""Taking datagrams that wait, 32 at a time: what receiving costs, however fast the sender is."""

import asyncio
import socket
import time

from benchmarks.harness import Benchmark, Contender, Measured, Run
from benchmarks.net import udp_receivers
from benchmarks.net.udp_receivers import DATAGRAM

MANY = 32
"""How many wait each time: far fewer than there is room for."""


class Taking:
    """Sends what is to wait, and adds up the processor's time until all of it is taken."""

    def __init__(self, run: Run) -> None:
        self._seconds = run.seconds
        self._left = 0
        self._taken = asyncio.Event()

    def add(self, more: int) -> None:
        """Note so many more."""
        self._left -= more
        if self._left <= 0:
            self._taken.set()

    async def measured(self, port: int) -> Measured:
        """Send and take, again and again."""
        count, cpu = 0, 0.0
        # From here on: to make the endpoint may take longer than a short run.
        end = time.perf_counter() + self._seconds
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            while time.perf_counter() < end:
                self._left = MANY
                self._taken.clear()
                for _ in range(MANY):
                    sock.send(DATAGRAM)
                began = time.process_time()
                await self._taken.wait()
                cpu += time.process_time() - began
                count += MANY
        return Measured(count, cpu, cpu)


async def reader_by_hand(run: Run) -> Measured:
    taking = Taking(run)
    async with udp_receivers.reader_by_hand(taking.add) as port:
        return await taking.measured(port)


async def gestalt(run: Run) -> Measured:
    taking = Taking(run)
    async with udp_receivers.gestalt_messages(taking.add) as port:
        return await taking.measured(port)


async def gestalt_batches(run: Run) -> Measured:
    taking = Taking(run)
    async with udp_receivers.gestalt_batches(taking.add) as port:
        return await taking.measured(port)


BENCHMARK = Benchmark(
    title=f"Taking {MANY} datagrams of 64 B that wait",
    unit="datagram",
    reference="reader by hand",
    seconds=1.0,
    quick_seconds=0.3,
    plot="cpu",
    contenders=[
        Contender(
            name="reader by hand",
            bare=True,
            run=reader_by_hand,
            work="MTI header checked; counted",
            guarantees="bounded work per turn",
        ),
        Contender(
            name="gestalt.net",
            package="gestalt-net",
            run=gestalt,
            work="MTI header checked; a message object to a plain handler",
            guarantees="bounded work per turn; drops counted by cause, errors told",
        ),
        Contender(
            name="gestalt.net, batches",
            package="gestalt-net",
            run=gestalt_batches,
            work="MTI header checked; a list of bytes to a plain handler",
            guarantees="bounded work per turn; drops counted by cause, errors told",
        ),
    ],
    note="The time is the processor's, from when they wait until the last one is handled.",
)
