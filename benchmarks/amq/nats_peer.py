"""NATS by nats-py, where a server is on PATH: confirmed publishes and calls, as of RabbitMQ.

JetStream's acknowledgement is the nearest that there is to a confirmed publish on a durable queue:
the message is in a file of the server, though the disk need not have it yet. A request is answered
by whoever subscribes, as its guide shows.
"""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.amq.rabbitmq_setup import BODY
from benchmarks.harness import Measured, Run, Unavailable, in_tasks

STREAM = "bench"
SUBJECT = "bench.key"
START_TIMEOUT = 20.0


@contextmanager
def nats_server() -> Iterator[str]:
    """Run a server that lives as long as this, and give its URL.

    Raises:
        Unavailable: there is none, or it does not start.
    """
    if (command := shutil.which("nats-server")) is None:
        raise Unavailable("nats-server is not on PATH (Debian: apt-get install nats-server)")
    with tempfile.TemporaryDirectory() as folder:
        # -1: a port that is free; a file in the folder says which.
        arguments = ["-a", "127.0.0.1", "-p", "-1", "-js", "-sd", folder]
        process = subprocess.Popen(
            [command, *arguments, "--ports_file_dir", folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield wait_for_url(process, Path(folder))
        finally:
            process.terminate()
            process.wait()


def wait_for_url(process: "subprocess.Popen[bytes]", folder: Path) -> str:
    """Wait until the server has written where it listens."""
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end and process.poll() is None:
        for file in folder.glob("*.ports"):
            try:
                url: str = json.loads(file.read_text())["nats"][0]
            except ValueError:
                continue
            return url
        time.sleep(0.01)
    raise Unavailable("nats-server does not start")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A connection that is closed in order."""
    import nats

    client = await nats.connect(url)
    try:
        yield client
    finally:
        await client.close()


async def publish(run: Run) -> Measured:
    with nats_server() as url:
        async with connected(url) as client:
            stream = client.jetstream()
            await stream.add_stream(name=STREAM, subjects=[SUBJECT])
            return await in_tasks(run, lambda: stream.publish(SUBJECT, BODY))


async def call_server(run: Run) -> None:
    with nats_server() as url:
        async with connected(url) as client:

            async def echo(message: Any) -> None:
                await message.respond(message.data)

            await client.subscribe(SUBJECT, cb=echo)
            await client.flush()
            run.ready(url=url)
            await run.finished()


async def call_client(run: Run) -> Measured:
    async with connected(str(run.partner["url"])) as client:
        return await in_tasks(run, lambda: client.request(SUBJECT, BODY, timeout=10))
