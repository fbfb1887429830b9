"""Taking datagrams that wait, 32 at a time: what receiving costs, however fast the sender is."""

import asyncio
import socket
import time
from collections.abc import Callable

from benchmarks.harness import Benchmark, Contender, Measured, Run
from benchmarks.net.udp_flood import DATAGRAM, HEADER, RECEIVE_BUFFER, bound_socket

MANY = 32
"""How many wait each time: far fewer than there is room for."""


class Taking:
    """Sends what is to wait, and adds up the processor's time until all of it is taken."""

    def __init__(self, run: Run) -> None:
        self._end = time.perf_counter() + run.seconds
        self._left = 0
        self._taken = asyncio.Event()

    def add(self, more: int = 1) -> None:
        """Note one more, or several."""
        self._left -= more
        if self._left <= 0:
            self._taken.set()

    async def measured(self, port: int) -> Measured:
        """Send and take, again and again."""
        count, cpu = 0, 0.0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            while time.perf_counter() < self._end:
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
    loop = asyncio.get_running_loop()
    taking = Taking(run)
    sock = bound_socket()
    loop.add_reader(sock, reader(sock, taking.add))
    try:
        return await taking.measured(sock.getsockname()[1])
    finally:
        loop.remove_reader(sock)
        sock.close()


def reader(sock: socket.socket, add: Callable[[], None]) -> Callable[[], None]:
    """What takes from a socket until there is nothing more, or 64 were taken."""
    unpack = HEADER.unpack_from

    def read() -> None:
        try:
            for _ in range(64):
                data, _ = sock.recvfrom(65_536)
                size, _ = unpack(data)
                if size == len(data) - 8:
                    add()
        except BlockingIOError:
            pass

    return read


async def gestalt(run: Run) -> Measured:
    from gestalt.net import DatagramEndpoint, DatagramMessage, DatagramOptions, Mti, Wire

    taking = Taking(run)

    def on_message(message: DatagramMessage[bytes]) -> None:
        taking.add()

    options = DatagramOptions(receive_buffer=RECEIVE_BUFFER)
    async with DatagramEndpoint(
        "udp://127.0.0.1:0", Wire(Mti()), on_message=on_message, options=options
    ) as endpoint:
        return await taking.measured(endpoint.address.port)


async def gestalt_batches(run: Run) -> Measured:
    from gestalt.net import DatagramEndpoint, DatagramMessageBatch, DatagramOptions, Mti, Wire

    taking = Taking(run)

    def on_messages(batch: DatagramMessageBatch[bytes]) -> None:
        taking.add(len(batch.bodies))

    options = DatagramOptions(receive_buffer=RECEIVE_BUFFER)
    async with DatagramEndpoint(
        "udp://127.0.0.1:0", Wire(Mti()), on_messages=on_messages, options=options
    ) as endpoint:
        return await taking.measured(endpoint.address.port)


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
