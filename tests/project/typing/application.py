"""A program as users write it, of every distribution: it runs, and type checkers find nothing.

Vehicles report over TCP, and announce themselves by datagrams; a hub publishes what they report,
keeps it, and answers questions; the broker is the embedded one.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_type

from gestalt.amq import (
    Binding,
    Bus,
    BusBatch,
    BusMessage,
    Event,
    NoResponder,
    Publisher,
    PublishError,
    Queue,
    Request,
    Requester,
    Retry,
    SqliteOffsets,
    connect,
)
from gestalt.amq.embedded import EmbeddedBroker
from gestalt.codecs import Codec, Codecs, MessageTypes, ValidationError
from gestalt.core import (
    Backoff,
    Batch,
    Call,
    Component,
    Discard,
    Group,
    Handlers,
    Message,
    Park,
    Readiness,
    Supervisor,
    Timer,
    handles,
)
from gestalt.core.metrics import Counter, Metric, measure, register
from gestalt.net import (
    ConnectionLost,
    DatagramEndpoint,
    DatagramMessage,
    FrameTooLarge,
    Limits,
    Mti,
    NetError,
    Netstring,
    Peer,
    StreamBatch,
    StreamClient,
    StreamMessage,
    StreamServer,
    Wire,
)
from gestalt.runner import run
from gestalt.runner.attendants import Attendant, View

types = MessageTypes()


@types.add(1)
@dataclass(frozen=True)
class Position:
    vehicle: str
    lat: float
    lon: float


@types.add(2)
@dataclass(frozen=True)
class Locate:
    vehicle: str


@types.add(3, name="hello")
@dataclass(frozen=True)
class Hello:
    vehicle: str


codec = Codec("json", compress="zlib", types=types, max_size=1 << 20)
wire = Wire(Mti(max_size=1 << 16), codec)
reports = register(Counter("reports", help="What vehicles have reported.", labels={"to": "hub"}))


class Hub(Component, Readiness):
    """Keeps where vehicles are: its methods are the handlers."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(name="hub", stop_timeout=2.0)
        self.known: dict[str, Position] = {}
        self.seen = asyncio.Event()
        self._publisher: Publisher[Position | Hello] = bus.publisher(
            "telemetry", mandatory=True, timeout=5.0
        )

    @property
    def trouble(self) -> str | None:
        return None if self.known else "no vehicle has reported"

    async def _open(self) -> None:
        self._spawn(self._watch(), name="watch")

    async def _close(self) -> None:
        self.seen.clear()

    @property
    def reporting(self) -> Publisher[Position]:
        return self._publisher

    async def _watch(self) -> None:
        await self.seen.wait()

    @handles(Position)
    async def report(self, message: StreamMessage[Position]) -> None:
        reports.add()
        position = message.body
        assert_type(position, Position)
        if not -90 <= position.lat <= 90:
            raise Discard("no such latitude")
        try:
            await self.reporting.publish(position, f"vehicle.{position.vehicle}.position")
        except PublishError as error:
            raise Park("not published") from error
        await message.reply(Hello(position.vehicle))

    @handles(default=True)
    def other(self, message: Message[Any]) -> None:
        print("not expected:", message.type_id, message.source)

    async def keep(self, message: BusMessage[Position]) -> None:
        self.known[message.body.vehicle] = message.body
        self.seen.set()

    async def locate(self, request: Request[Locate]) -> Position:
        return self.known[request.body.vehicle]

    async def follow(self, request: Request[Locate]) -> AsyncIterator[Position]:
        for _ in range(3):
            yield self.known[request.body.vehicle]


def gone(peer: Peer, error: ConnectionLost | None) -> None:
    cause = error.__cause__ if error is not None else None
    if isinstance(cause, (FrameTooLarge, ValidationError)):
        print(f"peer {peer.id} of {peer.address}: {cause}")


def on_error(error: NetError) -> None:
    print("not delivered:", error)


def on_event(event: Event) -> None:
    assert str(event)


async def around(message: Message[Any], call: Call) -> Any:
    return await call(message)


def vehicle(message: BusMessage[Position]) -> str:
    return message.body.vehicle


async def store(batch: BusBatch[Position]) -> None:
    for message, body in zip(batch, batch.bodies, strict=True):
        assert_type(body, Position)
        if body.vehicle != message.body.vehicle:
            batch.fail(message, ValueError("of another vehicle"))


async def count(batch: StreamBatch[Hello]) -> None:
    await batch.reply_many([Hello(body.vehicle) for body in batch.bodies])


def heard(message: DatagramMessage[Hello]) -> None:
    message.reply_nowait(message.body)


class Told(Attendant):
    async def begin(self, view: View) -> None:
        assert view.state


async def use(hub: Hub, bus: Bus, server: StreamServer, folder: Path) -> None:
    """Be the vehicles, and somebody who asks."""
    await bus.subscribe(
        "telemetry", ["vehicle.*.position"], store, queue=Queue("kept", delivery_limit=3),
        batch=Batch(size=10, within=0.01), retry=Retry(attempts=2),
    )  # fmt: skip
    log = Queue("log", type="stream")
    await bus.declare(Binding("telemetry", "#", to=log))
    offsets = SqliteOffsets(folder / "offsets")
    await bus.subscribe("telemetry", "#", lambda message: None, queue=log, offsets=offsets)
    async with StreamClient(server.address, wire, backoff=Backoff(maximum=5.0)) as vehicles:
        peer: Peer = await vehicles.wait_connected(5.0)
        assert_type(peer.connected, bool)
        await vehicles.send(Position("42", -34.9, 138.6))
        async for message in vehicles:
            assert message.body == Hello("42")
            break
        await hub.seen.wait()
    requester: Requester[Locate, Position] = bus.requester("hub", timeout=5.0)
    located = await requester.request(Locate("42"), idempotent=True)
    assert_type(located, Position)
    assert located.lat < 0
    async with aclosing(requester.stream(Locate("42"), buffer=10)) as positions:
        async for position in positions:
            assert_type(position, Position)
            assert position == located
    assert [reply.body for reply in await requester.gather(Locate("42"), count=1)] == [located]
    with suppress(NoResponder):
        answer: Hello = await bus.requester("nobody").request(Locate("42"))
        print(answer)
    async with bus.channel() as channel:
        await (await channel.get_queue("kept")).purge()


async def main(folder: Path) -> None:
    bare = Wire(Netstring())
    async with EmbeddedBroker() as broker:
        codecs = Codecs(codec, Codec("msgpack", types=types))
        bus = connect([broker.url], codec=codecs, on_event=on_event)
        hub = Hub(bus)
        table = Handlers(of=hub)
        table.use(around)
        bus.subscription("telemetry", "vehicle.*.position", hub.keep, queue="keeper", key=vehicle)
        bus.service("hub", hub.locate, version="1.0")
        bus.responder("following", concurrency=2)(hub.follow)
        server = StreamServer(
            "tcp://127.0.0.1:0", wire, on_message=table, on_disconnected=gone, on_error=on_error,
            limits=Limits(max_peers=100, idle_timeout=60.0),
        )  # fmt: skip
        counting = StreamServer("tcp://127.0.0.1:0", bare, on_messages=count)
        ticks: list[float] = []
        timer = Timer.every(0.01, lambda: ticks.append(1.0), times=2)
        group = Group(bus, server, counting, Supervisor(hub), timer, name="all")
        async with group, DatagramEndpoint("udp://127.0.0.1:0", wire, on_message=heard) as udp:
            async with DatagramEndpoint(None, wire, peer=udp.address) as vehicles:
                await vehicles.send(Hello("42"))
                answer = await anext(aiter(vehicles))
                assert_type(answer, DatagramMessage[Any])
            await use(hub, bus, server, folder)
            await timer.wait()
            metrics: list[Metric] = list(measure(server))
            values: Mapping[str, Any] = {metric.name: metric.value for metric in metrics}
            assert values
            assert ticks
            assert hub.trouble is None


if __name__ == "__main__":
    run(main(Path(sys.argv[1])), attendants=[Told()], shutdown_timeout=5.0)
