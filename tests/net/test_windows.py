"""What is missing on Windows degrades, or says so; simulated in a process without it."""

import subprocess
import sys
import textwrap

PROGRAM = """
from tests.support.as_windows import pretend
pretend()
import asyncio
from gestalt.net import *
from gestalt.net.stream.dial import dial

WIRE = Wire(Delimited())

async def shout(message):
    await message.reply(message.body.upper())

async def streams():
    async with StreamServer("tcp://127.0.0.1:0", WIRE, on_message=shout) as server:
        async with StreamClient(server.address, WIRE) as client:
            await client.send(b"stream")
            async for message in client:
                return message.body

async def datagrams():
    async with DatagramEndpoint("udp://127.0.0.1:0", Wire(Raw()), on_message=shout) as server:
        async with DatagramEndpoint(None, Wire(Raw()), peer=server.address) as client:
            async with client.batch() as batch:
                await batch.send(b"datagram")
            async for message in client:
                return message.body

async def refused(component):
    try:
        await component.start()
    except OSError as error:
        return str(error)

async def main():
    assert type(asyncio.get_running_loop()).__name__ == "CompletionLoop"
    print(await streams())
    print(await datagrams())
    shared = DatagramOptions(reuse_port=True)
    for component in (
        StreamServer("tcp://127.0.0.1:9000", WIRE, on_message=shout, reuse_port=True),
        DatagramEndpoint("udp://127.0.0.1:9000", Wire(Raw()), options=shared),
        StreamServer("unix:///tmp/x", WIRE, on_message=shout),
    ):
        print(await refused(component))
    try:
        await dial(asyncio.get_running_loop(), Address.parse("unix:///tmp/x", ("unix",)))
    except OSError as error:
        print(error)

with asyncio.Runner() as runner:
    runner.run(asyncio.wait_for(main(), 20))
"""


def test_streams_and_datagrams_work_and_what_is_missing_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr) == (
        textwrap.dedent("""\
            b'STREAM'
            b'DATAGRAM'
            [Errno 92] tcp://127.0.0.1:9000 cannot be shared: this system has no SO_REUSEPORT
            [Errno 92] udp://127.0.0.1:9000 cannot be shared: this system has no SO_REUSEPORT
            [Errno 97] unix:///tmp/x cannot be listened on: NONE
            [Errno 97] unix:///tmp/x: NONE
        """).replace("NONE", "this system has no unix sockets for Python"),
        "",
    )
