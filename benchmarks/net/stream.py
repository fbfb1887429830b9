"""Messages one way over TCP, from one process to another."""

import asyncio
import time

from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch
from benchmarks.net import grpc_peer, peers, tuned, websockets_peer


async def gestalt_server(run: Run) -> Measured:
    from gestalt.net import Mti, Peer, StreamMessage, StreamServer, Wire

    count = 0
    gone = asyncio.Event()
    watch: Stopwatch | None = None

    def on_connected(peer: Peer) -> None:
        nonlocal watch
        watch = Stopwatch()

    def on_message(message: StreamMessage[bytes]) -> None:
        nonlocal count
        count += 1

    async with StreamServer(
        "tcp://127.0.0.1:0",
        Wire(Mti()),
        on_message=on_message,
        on_connected=on_connected,
        on_disconnected=lambda peer, error: gone.set(),
    ) as server:
        run.ready(port=server.address.port)
        await gone.wait()
    assert watch is not None
    return watch.stop(count)


async def gestalt_client(run: Run) -> None:
    from gestalt.net import Mti, StreamClient, Wire

    payload = bytes(run.options["size"])
    async with StreamClient(f"tcp://127.0.0.1:{run.partner['port']}", Wire(Mti())) as client:
        await client.wait_connected()
        end = time.perf_counter() + run.seconds
        while time.perf_counter() < end:
            for _ in range(100):
                await client.send(payload, 7)


FRAMES = "uint32 length and type, payload"

BENCHMARK = Benchmark(
    title="Messages one way over TCP",
    unit="message",
    reference="tuned by hand",
    seconds=2.0,
    quick_seconds=0.5,
    cases={"64 B": {"size": 64}, "4 KiB": {"size": 4096}},
    contenders=[
        Contender(
            name="tuned by hand",
            bare=True,
            server=tuned.server,
            client=tuned.client,
            work=f"{FRAMES}; one call to send each, cut and counted, handed to nobody",
            guarantees="backpressure",
        ),
        Contender(
            name="gestalt.net",
            package="gestalt-net",
            server=gestalt_server,
            client=gestalt_client,
            work=f"{FRAMES}; a message object to a plain handler, one `await send` per message",
            guarantees="backpressure, limits, errors and stop are handled",
        ),
        Contender(
            name="tuned by hand, uvloop",
            bare=True,
            loop="uvloop",
            package="uvloop",
            server=tuned.server,
            client=tuned.client,
            work=f"{FRAMES}; one call to send each, cut and counted, handed to nobody",
            guarantees="backpressure",
        ),
        Contender(
            name="gestalt.net, uvloop",
            loop="uvloop",
            package="gestalt-net",
            server=gestalt_server,
            client=gestalt_client,
            work=f"{FRAMES}; a message object to a plain handler, one `await send` per message",
            guarantees="backpressure, limits, errors and stop are handled",
        ),
        Contender(
            name="twisted",
            package="twisted",
            server=peers.twisted_server,
            client=peers.twisted_client,
            work="Int32StringReceiver: no type; to its method, one sendString per message",
            guarantees="backpressure by a producer",
        ),
        Contender(
            name="pyzmq",
            package="pyzmq",
            server=peers.zmq_server,
            client=peers.zmq_client,
            work="PUSH and PULL, blocking: no type; one send and one recv per message",
            guarantees="backpressure at 1,000 messages, reconnects; its I/O has threads of its own",
        ),
        Contender(
            name="websockets",
            package="websockets",
            server=websockets_peer.stream_server,
            client=websockets_peer.stream_client,
            work="binary messages: no type; one `await send`, one turn of `async for` per message",
            guarantees="backpressure, limits, keepalive; what a client sends is masked",
        ),
        Contender(
            name="grpc.aio",
            package="grpcio",
            server=grpc_peer.stream_server,
            client=grpc_peer.stream_client,
            work="a stream, no protobuf; one `await write`, one turn of `async for` per message",
            guarantees="backpressure, limits, deadlines; its I/O has threads of its own",
        ),
        Contender(
            name="asyncio streams",
            server=peers.streams_server,
            client=peers.streams_client,
            work=f"{FRAMES}; one write and drain, two readexactly per message",
            guarantees="backpressure",
        ),
        Contender(
            name="gestalt 20.1.1",
            package="gestalt",
            environment="bench-predecessor",
            server=peers.predecessor_server,
            client=peers.predecessor_client,
            work=f"{FRAMES}; to a plain handler, one send per message",
            guarantees="none: what the peer does not take grows in memory",
        ),
    ],
)
