"""What a codec and an asynchronous handler add to the cost of a message, beyond its framing."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch

BATCH = 500
LAPS = 5


@dataclass
class Position:
    """A small typed message."""

    vehicle: int
    lat: float
    lon: float
    speed: float


VALUE = Position(42, -34.9285, 138.6007, 13.5)


class Pipe:
    """A server and a client in this process, so that its CPU time is that of both."""

    def __init__(self, wire: Any, *, suspendable: bool = False) -> None:
        from gestalt.net import StreamClient, StreamServer

        self.count = 0
        self._target = 0
        self._arrived = asyncio.Event()
        handler = self._handle_async if suspendable else self._handle
        self.server = StreamServer("tcp://127.0.0.1:0", wire, on_message=handler)
        self._client_type = StreamClient
        self._wire = wire
        self.client: Any = None

    async def start(self) -> None:
        await self.server.start()
        self.client = self._client_type(f"tcp://127.0.0.1:{self.server.address.port}", self._wire)
        await self.client.start()
        await self.client.wait_connected()

    async def stop(self) -> None:
        await self.client.stop()
        await self.server.stop()

    def _handle(self, message: Any) -> None:
        self.count += 1
        if self.count == self._target:
            self._arrived.set()

    async def _handle_async(self, message: Any) -> None:
        self.count += 1
        if self.count == self._target:
            self._arrived.set()

    async def carry(self, body: Any, type_id: int | None) -> float:
        """Send BATCH messages, wait for the last one; return the CPU seconds for each."""
        self._arrived.clear()
        self._target = self.count + BATCH
        began = time.process_time()
        for _ in range(BATCH):
            await self.client.send(body, type_id)
        await self._arrived.wait()
        return (time.process_time() - began) / BATCH


async def compare(
    run: Run,
    wire: Any,
    body: Any,
    payload: bytes,
    *,
    bare: Callable[[], Any] = lambda: None,
    suspendable: bool = False,
) -> Measured:
    """Measure in turns: plain bytes of the same size, what is to be measured, the bare calls."""
    from gestalt.net import Mti, Wire

    plain, full = Pipe(Wire(Mti())), Pipe(wire, suspendable=suspendable)
    await plain.start()
    await full.start()
    type_id = 1 if wire.codec is None else None
    base: list[float] = []
    added: list[float] = []
    end = time.perf_counter() + run.seconds
    watch = Stopwatch()
    while time.perf_counter() < end or len(base) < LAPS:
        base.append(await plain.carry(payload, 1))
        began = time.process_time()
        for _ in range(BATCH):
            bare()
        library = (time.process_time() - began) / BATCH
        added.append(await full.carry(body, type_id) - library)
    # Least of many: what a machine does beside this only ever adds.
    result = watch.stop(full.count, {"added µs": (min(added) - min(base)) * 1e6})
    await full.stop()
    await plain.stop()
    return result


async def plain(run: Run) -> Measured:
    from gestalt.net import Mti, Wire

    return await compare(run, Wire(Mti()), bytes(64), bytes(64))


async def asynchronous(run: Run) -> Measured:
    from gestalt.net import Mti, Wire

    return await compare(run, Wire(Mti()), bytes(64), bytes(64), suspendable=True)


async def typed_msgpack(run: Run) -> Measured:
    import msgpack
    import msgspec

    def encode(value: Position) -> bytes:
        packed: bytes = msgpack.packb(msgspec.to_builtins(value))
        return packed

    def decode(data: bytes) -> Position:
        return msgspec.convert(msgpack.unpackb(data), Position)

    return await typed(run, "msgpack", encode, decode)


async def typed_json(run: Run) -> Measured:
    import msgspec

    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(Position).decode
    return await typed(run, "json", encode, decode)


async def typed(
    run: Run, serializer: str, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]
) -> Measured:
    """Send VALUE by a serializer; the bare calls are its library's, typed, bound in advance."""
    from gestalt.codecs import Codec, MessageTypes
    from gestalt.net import Mti, Wire

    types = MessageTypes()
    types.add(1, Position)
    codec = Codec(serializer, types=types)
    payload = codec.encode(VALUE).body

    def bare() -> None:
        decode(encode(VALUE))

    return await compare(run, Wire(Mti(), codec), VALUE, payload, bare=bare)


BENCHMARK = Benchmark(
    title="What codecs and asynchronous handlers add to a message",
    unit="message",
    reference="bytes, plain handler",
    plot="added µs",
    contenders=[
        Contender(
            name="bytes, plain handler",
            run=plain,
            work="64 B of bytes from a client to a server in one process",
            guarantees="as any stream of gestalt.net",
        ),
        Contender(
            name="bytes, async handler",
            run=asynchronous,
            work="the same; the handler is async and does not suspend",
            guarantees="the same; a slow handler stalls its own peer only",
        ),
        Contender(
            name="msgpack, plain handler",
            run=typed_msgpack,
            work="a dataclass of four numbers, encoded and decoded",
            guarantees="the same; limits of size and depth, types are checked",
        ),
        Contender(
            name="json, plain handler",
            run=typed_json,
            work="a dataclass of four numbers, encoded and decoded",
            guarantees="the same; limits of size and depth, types are checked",
        ),
    ],
    note=(
        "added µs: CPU time per message, both ends, over plain bytes of the same size, less that "
        "of encoding and decoding the dataclass by the bare library; least of all turns."
    ),
)
