"""Round trips over TCP, with one and with 64 messages in flight."""

import asyncio
import time
from typing import Any

from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch
from benchmarks.net import grpc_peer, websockets_peer
from benchmarks.net.tuned import HEADER

PAYLOAD = bytes(64)


class Framed(asyncio.Protocol):
    """Cuts frames; what they draw is gathered, and written once per read."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.lost = asyncio.get_running_loop().create_future()
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        replies = []
        total = len(data)
        position = 0
        while position + 8 <= total:
            length, type_id = HEADER.unpack_from(data, position)
            end = position + 8 + length
            if end > total:
                break
            payload = self.take(data[position + 8 : end])
            if payload is not None:
                replies.append(HEADER.pack(len(payload), type_id) + payload)
            position = end
        self._rest = data[position:]
        if replies:
            self.transport.write(b"".join(replies))

    def take(self, payload: bytes) -> bytes | None:
        """Return what to answer."""
        return payload

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


class Requester(Framed):
    """Answers each reply by the next request, until the time is over."""

    count = 0
    end = 0.0
    pending = 0

    def begin(self, run: Run) -> None:
        self.end = time.perf_counter() + run.seconds
        self.pending = run.options["in_flight"]
        for _ in range(self.pending):
            self.transport.write(HEADER.pack(len(PAYLOAD), 7) + PAYLOAD)

    def take(self, payload: bytes) -> bytes | None:
        self.count += 1
        if time.perf_counter() < self.end:
            return payload
        self.pending -= 1
        if not self.pending:
            self.transport.close()
        return None


async def tuned_server(run: Run) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Framed, "127.0.0.1", 0)
    run.ready(port=server.sockets[0].getsockname()[1])
    await run.finished()
    server.close()


async def tuned_client(run: Run) -> Measured:
    loop = asyncio.get_running_loop()
    _, requester = await loop.create_connection(Requester, "127.0.0.1", run.partner["port"])
    watch = Stopwatch()
    requester.begin(run)
    await requester.lost
    return watch.stop(requester.count)


async def gestalt_server(run: Run) -> None:
    from gestalt.net import Mti, StreamMessage, StreamServer, Wire

    def on_message(message: StreamMessage[bytes]) -> None:
        message.peer.send_nowait(message.body, message.type_id)

    async with StreamServer("tcp://127.0.0.1:0", Wire(Mti()), on_message=on_message) as server:
        run.ready(port=server.address.port)
        await run.finished()


async def gestalt_client(run: Run) -> Measured:
    from gestalt.net import Mti, StreamClient, StreamMessage, Wire

    count = 0
    pending: int = run.options["in_flight"]
    done = asyncio.Event()
    end = time.perf_counter() + run.seconds

    def on_message(message: StreamMessage[bytes]) -> None:
        nonlocal count, pending
        count += 1
        if time.perf_counter() < end:
            message.peer.send_nowait(message.body, message.type_id)
        else:
            pending -= 1
            if not pending:
                done.set()

    address = f"tcp://127.0.0.1:{run.partner['port']}"
    async with StreamClient(address, Wire(Mti()), on_message=on_message) as client:
        await client.wait_connected()
        watch = Stopwatch()
        end = time.perf_counter() + run.seconds
        for _ in range(pending):
            await client.send(PAYLOAD, 7)
        await done.wait()
        return watch.stop(count)


def contenders(suffix: str, loop: str) -> list[Contender]:
    """The tuned protocol and ours on one event loop."""
    return [
        Contender(
            name=f"tuned by hand{suffix}",
            bare=True,
            loop=loop,
            server=tuned_server,
            client=tuned_client,
            work="uint32 length and type, payload; a method per message, one write per read",
            guarantees="none",
        ),
        Contender(
            name=f"gestalt.net{suffix}",
            loop=loop,
            package="gestalt-net",
            server=gestalt_server,
            client=gestalt_client,
            work="the same frames; a message object to a plain handler, which sends by send_nowait",
            guarantees="memory is bounded; limits, errors and stop are handled",
        ),
    ]


BENCHMARK = Benchmark(
    title="Echo of 64 B over TCP",
    unit="round trip",
    reference="tuned by hand",
    cases={
        "1 in flight": {"in_flight": 1, "size": 64},
        "64 in flight": {"in_flight": 64, "size": 64},
    },
    contenders=[
        *contenders("", "asyncio"),
        *contenders(", uvloop", "uvloop"),
        Contender(
            name="websockets",
            package="websockets",
            server=websockets_peer.echo_server,
            client=websockets_peer.echo_client,
            work="binary messages: no type; `await send` and `await recv`",
            guarantees="backpressure, limits, keepalive; what a client sends is masked",
        ),
        Contender(
            name="grpc.aio stream",
            package="grpcio",
            server=grpc_peer.echo_server,
            client=grpc_peer.echo_client,
            work="one stream each way, no protobuf; `await write` and `await read`",
            guarantees="backpressure, limits, deadlines; its I/O has threads of its own",
        ),
        Contender(
            name="grpc.aio unary",
            package="grpcio",
            server=grpc_peer.unary_server,
            client=grpc_peer.unary_client,
            work="a call each, no protobuf; from a task for each in flight",
            guarantees="a deadline told to the server, limits; its I/O has threads of its own",
        ),
    ],
)
