"""The same stream by other libraries: what a program on each of them does for one message."""

import asyncio
import importlib
import threading
import time
from struct import Struct
from typing import Any

from benchmarks.harness import Measured, Run, Stopwatch, Unavailable

BATCH = 64 * 1024
# How long gestalt 20.1.1 sends, in seconds: its server takes some twenty times as long to read it.
QUEUEING = 0.5
HEADER = Struct(">II")


def per_batch(run: Run) -> int:
    """How many messages make up BATCH bytes."""
    return max(1, BATCH // (int(run.options["size"]) + 8))


# asyncio streams


async def streams_server(run: Run) -> Measured:
    result: asyncio.Future[Measured] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        watch = Stopwatch()
        count = 0
        try:
            while True:
                length, _ = HEADER.unpack(await reader.readexactly(8))
                await reader.readexactly(length)
                count += 1
        except asyncio.IncompleteReadError:
            result.set_result(watch.stop(count))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    run.ready(port=server.sockets[0].getsockname()[1])
    measured = await result
    server.close()
    return measured


async def streams_client(run: Run) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", run.partner["port"])
    payload = bytes(run.options["size"])
    end = time.perf_counter() + run.seconds
    while time.perf_counter() < end:
        for _ in range(100):
            writer.write(HEADER.pack(len(payload), 7) + payload)
            await writer.drain()
    writer.close()
    await writer.wait_closed()


# Twisted: its reactor starts once in a process, so it runs in a thread for both calls.


def reactor() -> Any:
    """The running reactor."""
    from twisted.internet import reactor as running

    found: Any = running
    if not found.running:
        threading.Thread(
            target=found.run, kwargs={"installSignalHandlers": False}, daemon=True
        ).start()
        started = threading.Event()
        found.callFromThread(started.set)
        started.wait(10)
    return found


def twisted_server(run: Run) -> Measured:
    from twisted.internet.protocol import ServerFactory
    from twisted.protocols.basic import Int32StringReceiver

    lost = threading.Event()
    results: list[Measured] = []

    class Receiver(Int32StringReceiver):
        MAX_LENGTH = 1 << 20
        count = 0

        def connectionMade(self) -> None:
            self.watch = Stopwatch()

        def stringReceived(self, string: bytes) -> None:
            self.count += 1

        def connectionLost(self, reason: Any = None) -> None:
            results.append(self.watch.stop(self.count))
            lost.set()

    loop = reactor()
    listening = threading.Event()
    ports: list[Any] = []

    def listen() -> None:
        ports.append(loop.listenTCP(0, ServerFactory.forProtocol(Receiver), interface="127.0.0.1"))
        listening.set()

    loop.callFromThread(listen)
    listening.wait(10)
    run.ready(port=ports[0].getHost().port)
    lost.wait(3 * run.seconds + 20)
    loop.callFromThread(ports[0].stopListening)
    return results[0]


def twisted_client(run: Run) -> None:
    from twisted.internet.interfaces import IPushProducer
    from twisted.internet.protocol import ClientFactory
    from twisted.protocols.basic import Int32StringReceiver
    from zope.interface import implementer

    lost = threading.Event()
    payload = bytes(run.options["size"])
    batch = per_batch(run)
    loop = reactor()

    @implementer(IPushProducer)
    class Sender(Int32StringReceiver):
        transport: Any
        sendString: Any
        paused = False

        def connectionMade(self) -> None:
            self.end = time.perf_counter() + run.seconds
            self.transport.registerProducer(self, True)
            self.resumeProducing()

        def pauseProducing(self) -> None:
            self.paused = True

        def resumeProducing(self) -> None:
            self.paused = False
            loop.callLater(0, self.send)

        def stopProducing(self) -> None:
            self.paused = True

        def send(self) -> None:
            if self.paused:
                return
            for _ in range(batch):
                self.sendString(payload)
            if time.perf_counter() < self.end:
                loop.callLater(0, self.send)
            else:
                self.paused = True
                self.transport.unregisterProducer()
                self.transport.loseConnection()

        def connectionLost(self, reason: Any = None) -> None:
            lost.set()

    factory = ClientFactory.forProtocol(Sender)
    loop.callFromThread(loop.connectTCP, "127.0.0.1", run.partner["port"], factory)
    lost.wait(3 * run.seconds + 20)


# pyzmq, blocking


def zmq_server(run: Run) -> Measured:
    import zmq

    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        run.ready(port=socket.bind_to_random_port("tcp://127.0.0.1"))
        socket.recv()
        watch, count = Stopwatch(), 1
        while socket.recv():
            count += 1
        return watch.stop(count)


def zmq_client(run: Run) -> None:
    import zmq

    payload = bytes(run.options["size"])
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.connect(f"tcp://127.0.0.1:{run.partner['port']}")
        end = time.perf_counter() + run.seconds
        while time.perf_counter() < end:
            for _ in range(100):
                socket.send(payload)
        # An empty message is the end.
        socket.send(b"")


# gestalt 20.1.1


async def predecessor_server(run: Run) -> Measured:
    if run.options["size"] > 1024:
        raise Unavailable("without backpressure, large messages pile up faster than they leave")
    endpoints = importlib.import_module("gestalt.stream.mti")

    count = 0
    gone = asyncio.Event()
    watch: Stopwatch | None = None

    def started(*_: Any, **__: Any) -> None:
        nonlocal watch
        watch = Stopwatch()

    def message(*_: Any, **__: Any) -> None:
        nonlocal count
        count += 1

    server = endpoints.MtiStreamServer(
        on_message=message,
        on_peer_available=started,
        on_peer_unavailable=lambda *_, **__: gone.set(),
    )
    await server.start(addr="127.0.0.1", port=0)
    run.ready(port=server.bindings[0][1])
    await gone.wait()
    assert watch is not None
    measured = watch.stop(count)
    await server.stop()
    return measured


async def predecessor_client(run: Run) -> None:
    endpoints = importlib.import_module("gestalt.stream.mti")

    connected = asyncio.Event()
    client = endpoints.MtiStreamClient(on_peer_available=lambda *_, **__: connected.set())
    await client.start(addr="127.0.0.1", port=run.partner["port"])
    await connected.wait()
    payload = bytes(run.options["size"])
    # What is queued beyond that would keep its server busy past every deadline.
    end = time.perf_counter() + min(run.seconds, QUEUEING)
    while time.perf_counter() < end:
        # It has no backpressure: without a turn of the loop for each batch, nothing leaves.
        for _ in range(100):
            client.send(payload, type_identifier=7)
        await asyncio.sleep(0)
    await client.stop()
