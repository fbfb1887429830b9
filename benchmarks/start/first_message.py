"""The first message and its echo over TCP, from the start of a process to its end."""

from benchmarks.harness import Benchmark, Contender, Function, Measured, Run
from benchmarks.net import echo, grpc_peer, websockets_peer
from benchmarks.start import fresh

STREAMS = """
import asyncio, struct, sys
async def main():
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    writer.write(struct.pack(">II", 64, 7) + bytes(64))
    length, type_id = struct.unpack(">II", await reader.readexactly(8))
    assert await reader.readexactly(length) == bytes(64)
    writer.close()
    await writer.wait_closed()
asyncio.run(main())
"""
GESTALT = """
import asyncio, sys
from gestalt.net import Mti, StreamClient, Wire
async def main():
    async with StreamClient(f"tcp://127.0.0.1:{sys.argv[1]}", Wire(Mti())) as client:
        await client.send(bytes(64), 7)
        async for message in client:
            assert message.body == bytes(64)
            break
asyncio.run(main())
"""
WEBSOCKETS = """
import asyncio, sys
from websockets.asyncio.client import connect
async def main():
    async with connect(f"ws://127.0.0.1:{sys.argv[1]}", compression=None, proxy=None) as connection:
        await connection.send(bytes(64))
        assert await connection.recv() == bytes(64)
asyncio.run(main())
"""
GRPC = """
import asyncio, sys, grpc
async def main():
    async with grpc.aio.insecure_channel(f"127.0.0.1:{sys.argv[1]}") as channel:
        assert await channel.unary_unary("/bench.Bench/Method")(bytes(64)) == bytes(64)
asyncio.run(main())
"""


def streams(run: Run) -> Measured:
    return measure(run, STREAMS)


def gestalt(run: Run) -> Measured:
    return measure(run, GESTALT)


def websockets(run: Run) -> Measured:
    return measure(run, WEBSOCKETS)


def grpc(run: Run) -> Measured:
    return measure(run, GRPC)


def measure(run: Run, text: str) -> Measured:
    """Run a program that finds the server's port in its arguments."""
    return fresh.measure(run, fresh.program(text, run.partner["port"]))


def contender(
    name: str, server: Function, client: Function, work: str, package: str | None = None
) -> Contender:
    return Contender(
        name=name,
        server=server,
        client=client,
        work=work,
        guarantees="the message has come back, the connection is closed",
        package=package,
    )


BENCHMARK = Benchmark(
    title="The first message over TCP",
    unit="run",
    reference="asyncio streams",
    seconds=1.0,
    plot="ms",
    contenders=[
        contender("asyncio streams", echo.tuned_server, streams, "open_connection, by hand"),
        contender(
            "gestalt.net",
            echo.tuned_server,
            gestalt,
            "StreamClient, send, async for",
            "gestalt-net",
        ),
        contender(
            "websockets",
            websockets_peer.echo_server,
            websockets,
            "connect, send, recv",
            "websockets",
        ),
        contender("grpc.aio", grpc_peer.unary_server, grpc, "a channel, a unary call", "grpcio"),
    ],
    note=(
        "ms: the least time from the start of a process, whose interpreter has imported nothing, "
        "to its end; its server runs already."
    ),
)
