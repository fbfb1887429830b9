"""A process that reads a stream, keeps its offset in files, and notes what it handles.

python -m tests.support.stream_reader URL STREAM FOLDER FILE
"""

import asyncio
import os
import signal
import sys

from gestalt.amq import BusMessage, FileOffsets, Offsets, Queue, connect
from tests.support.waiting import QUICK


async def main(url: str, name: str, folder: str, path: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def handle(message: BusMessage[int]) -> None:
        # Not in the order in which they came.
        await asyncio.sleep(0.001 * (message.body % 4))
        os.write(file, f"{message.body}\n".encode())

    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with connect(url, backoff=QUICK) as bus:
        await bus.subscribe(
            name,
            "#",
            handler=handle,
            queue=Queue(name, type="stream"),
            consumer_arguments={"x-stream-offset": "first"},
            concurrency=8,
            offsets=Offsets(FileOffsets(folder), every=50, within=0.2),
        )
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
