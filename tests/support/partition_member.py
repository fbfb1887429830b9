"""A process that takes part in a partitioned queue, and notes in a file what it handles and when.

    python -m tests.support.partition_member URL NAME FILE

Each line of the file has a word, the process, the key, the number, and a time in nanoseconds that
is the same for all processes.
"""

import asyncio
import os
import signal
import sys
import time

from gestalt.amq import BusMessage, Partitioned, connect
from tests.support.waiting import QUICK


async def main(url: str, name: str, path: str) -> None:
    # Each line by one call, which is appended whole.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(word: str, key: str = "-", number: int = -1) -> None:
        os.write(file, f"{word} {os.getpid()} {key} {number} {time.monotonic_ns()}\n".encode())

    async def handle(message: BusMessage[int]) -> None:
        note("begin", message.routing_key, message.body)
        # Slow enough for messages to wait, here and at the broker, whoever comes and goes.
        await asyncio.sleep(0.01 * (1 + message.body % 3))
        note("end", message.routing_key, message.body)

    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with connect(url, backoff=QUICK) as bus:
        await bus.subscribe(
            name, "#", handle, queue=Partitioned(name, partitions=8), prefetch=20, concurrency=2
        )
        note("started")
        await stopped.wait()
    note("stopped")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
