"""What fits into what: handlers, batches, timers, requests and parts of an application.

Wrong lines end in `# error`, and all others are right.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, assert_type

from gestalt.amq import Bus, BusBatch, BusMessage, Publisher, Request, Requester
from gestalt.core import (
    Batch,
    Component,
    CronTimer,
    Group,
    Message,
    MessageBatch,
    Supervisor,
    Timer,
    TimerStats,
)
from gestalt.net import (
    DatagramEndpoint,
    DatagramMessageBatch,
    Limits,
    Mti,
    Peer,
    StreamBatch,
    StreamClient,
    StreamServer,
    Wire,
)
from gestalt.runner import run
from gestalt.runner.attendants import Attendant, View
from gestalt.runner.health import Health
from gestalt.runner.watchdog import Watchdog


@dataclass
class Position:
    lat: float


@dataclass
class Route:
    length: float


def plain(message: Message[Any]) -> None: ...


async def later(message: BusMessage[Position]) -> int:
    return 1


async def batch_later(batch: MessageBatch[Any]) -> None:
    assert_type(len(batch), int)
    for message in batch:
        assert_type(message, Message[Any])


def batch_plain(batch: MessageBatch[Any]) -> None: ...


async def stream_batch(batch: StreamBatch[Position]) -> None:
    for message in batch:
        assert_type(message.peer, Peer)
    assert_type(batch.source, Peer)
    batch.fail(batch[0], ValueError())
    batch.fail(batch[0], ValueError)  # error
    print(batch[0].body.speed)  # error
    batch.extend([])  # error


async def datagram_batch(batch: DatagramMessageBatch[Position]) -> None: ...


async def bus_batch(batch: BusBatch[Position]) -> None: ...


async def two(message: Message[Any], other: int) -> None: ...


async def of_nothing() -> None: ...


async def yields(request: Request[Position]) -> AsyncIterator[Route]:
    yield Route(request.body.lat)


def made() -> Component:
    return Group()


async def made_later() -> Component:
    return Group()


def number() -> int:
    return 1


# Streams and datagrams
wire = Wire(Mti())
StreamServer("tcp://:0", wire, on_message=plain)
StreamServer("tcp://:0", wire, on_messages=stream_batch, limits=Limits(first_message_timeout=5.0))
StreamClient("tcp://:0", wire, on_messages=batch_plain, limits=Limits(first_message_timeout=None))
DatagramEndpoint("udp://:0", wire, on_messages=datagram_batch)
StreamServer("tcp://:0", wire, on_messages=two)  # error
StreamServer("tcp://:0", wire, on_messages=of_nothing)  # error
StreamServer("tcp://:0", wire, on_messages=[stream_batch])  # error
StreamClient("tcp://:0", wire, on_messages=of_nothing)  # error
DatagramEndpoint("udp://:0", wire, on_messages=of_nothing)  # error
Limits(first_message_timeout="5 s")  # error
Limits(5.0)  # error


async def send(server: StreamServer, client: StreamClient, udp: DatagramEndpoint) -> None:
    await client.send_many([Position(1.0)], 7)
    await client.send_many(Position(lat) for lat in (1.0, 2.0))
    await udp.send_many([Position(1.0)], to="udp://192.0.2.1:9")
    for peer in server.peers.values():
        await peer.send_many([Position(1.0)])
        if peer.tls is not None:
            print(peer.tls.names.common_name)
        print(peer.tls.names)  # error
        peer.send_many([Position(1.0)])  # error
    await client.send_many(Position(1.0))  # error
    await client.send_many([Position(1.0)], ["7"])  # error
    await client.send_many([Position(1.0)], to="udp://192.0.2.1:9")  # error
    await udp.send_many([Position(1.0)], to=9)  # error
    udp.send_many([Position(1.0)])  # error


# Timers
timer = Timer.every(1.0, number)
assert_type(timer, Timer)
assert_type(Timer.after(1.0, of_nothing), Timer)
assert_type(Timer.cron("* * * * *", number), CronTimer)
assert_type(timer.stats, TimerStats)
Timer(1.0, number, times=3, delay=0.0, jitter=0.1, overlap="queue", on_error="continue")
Timer.after(1.0, number, times=3)  # error
Timer.after(1.0, later)  # error
Timer.every(1.0, of_nothing, interval=1.0)  # error
Timer.every(1.0, of_nothing, times="3")  # error
Timer(1.0)  # error
timer.stats.fired = None  # error


# RabbitMQ
async def bus(bus: Bus) -> None:
    await bus.subscribe("telemetry", "#", plain)
    await bus.subscribe("telemetry", "#", later)
    await bus.subscribe("telemetry", "#", bus_batch, batch=Batch(size=10))
    await bus.subscribe("telemetry", "#", batch_later, batch=Batch(size=10))
    await bus.respond("planner", yields)
    await bus.subscribe("telemetry", "#", of_nothing, batch=Batch(size=10))  # error
    await bus.subscribe("telemetry", "#", [later])  # error
    await bus.respond("planner", two)  # error


async def typed(publisher: Publisher[Position], requester: Requester[Position, Route]) -> None:
    await publisher.publish(Position(1.0), "key")
    assert_type(await requester.request(Position(1.0)), Route)
    for reply in await requester.gather(Position(1.0)):
        if reply.body is None:
            assert_type(reply.error, Exception | None)
        else:
            assert_type(reply.body, Route)
        print(reply.body.length)  # error
    replies: AsyncGenerator[Route, None] = requester.stream(Position(1.0))
    async with aclosing(requester.stream(Position(1.0))) as stream:
        async for route in stream:
            assert_type(route, Route)
    await replies.aclose()
    wrong: AsyncGenerator[Position, None] = requester.stream(Position(1.0))  # error
    list(requester.stream(Position(1.0)))  # error
    await publisher.publish(Route(1.0), "key")  # error
    await requester.request(Route(1.0))  # error
    print(wrong, (await requester.request(Position(1.0))).lat)  # error


# The runner
class Probe(Attendant):
    async def begin(self, view: View) -> None:
        assert_type(view.components, list[Component])

    def started(self) -> None: ...


class WrongProbe(Attendant):
    def started(self, seconds: float) -> None: ...  # error


def parts(component: Component) -> None:
    health = Health("127.0.0.1:0", checks={"number": number, "nothing": of_nothing})
    run(
        component,
        Supervisor(made),
        of_nothing(),
        of_nothing,
        made,
        made_later,
        attendants=[Probe()],
    )
    run(component, finalize=[number, of_nothing], on_reload=of_nothing, attendants=[health])
    run(component, attendants=[Watchdog(5.0)], on_exception=lambda error, context: print(error))
    run(number)  # error
    run(component, [component])  # error
    run(later)  # error
    run(component, finalize=later)  # error
    run(component, on_exception=number)  # error
    run(component, attendants=[Probe])  # error
    run(component, attendants=[made])  # error
    run(component, drain_delay="5 s")  # error
    Health(8080)  # error
    Health(checks=[number])  # error
    Health(checks={"two": two})  # error
    Watchdog("5 s")  # error
    Supervisor(number)  # error
    Group(component, name=5)  # error
