"""What type checkers are to say of mistakes: an error where a line ends in `# error`, and no other.

What only one of them sees is marked as such.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from gestalt.amq import (
    Bus,
    BusBatch,
    BusMessage,
    Exchange,
    Offsets,
    Partitioned,
    Publisher,
    Queue,
    Request,
    Requester,
    Retry,
    Subscription,
    connect,
)
from gestalt.amq.embedded import EmbeddedBroker
from gestalt.codecs import Codec, Codecs, MessageTypes
from gestalt.core import Backoff, Batch, Component, Group, Handlers, Message, Supervisor, Timer
from gestalt.core.metrics import Counter, register
from gestalt.net import (
    DatagramEndpoint,
    DatagramOptions,
    Limits,
    Mti,
    Peer,
    StreamClient,
    StreamMessage,
    StreamServer,
    Tls,
    Wire,
)
from gestalt.runner import run


@dataclass
class Position:
    lat: float


@dataclass
class Route:
    length: float


types = MessageTypes()
types.add(1, Position)
wire = Wire(Mti(), Codec("json", types=types))


def nothing() -> None: ...


def two(message: Message[Any], other: int) -> None: ...


def by_name(*, message: Message[Any]) -> None: ...


async def key(message: BusMessage[Any]) -> list[int]:
    return [1]


# Codecs and framings
Codec(5)  # error
Codec("json", compress=9)  # error
Codec("json", max_size="1 MiB")  # error
Codec("json", type=types)  # error
Codecs("json")  # error
Mti("largest")  # error
Wire("mti")  # error
Wire(Mti(), "json")  # error
Wire(Mti(), Codec("json"), types)  # error

# Components, timers, backoff
Timer.every("1s", nothing)  # error
Timer.every(1.0, nothing())  # error
Timer.every(1.0, nothing, overlap="drop")  # error
Timer.every(1.0, nothing, on_error="ignore")  # error
Timer.cron("* * * * *", nothing, zone=1)  # error
Backoff(1.0, 30.0)  # error
Backoff(initial="1")  # error
Group(nothing)  # error
Supervisor(Position)  # error
Supervisor(restart="sometimes")  # error
Batch(size="many")  # error
register("reports")  # error
Counter("reports", unit="minutes")  # error


class Abstract(Component):
    async def _open(self) -> None: ...


Abstract()  # error

# Streams and datagrams
StreamServer(9000, wire)  # error
StreamServer("tcp://:0", Mti(), on_message=print)  # error
StreamServer("tcp://:0", wire, on_message=nothing)  # error
StreamServer("tcp://:0", wire, on_message=two)  # error
StreamServer("tcp://:0", wire, on_message=by_name)  # error
StreamServer("tcp://:0", wire, on_message=print, on_connected=nothing)  # error
StreamServer("tcp://:0", wire, on_message=print, on_disconnected=nothing)  # error
StreamServer("tcp://:0", wire, on_message=print, on_error=nothing)  # error
StreamServer("tcp://:0", wire, on_message=print, limits=100)  # error
StreamServer("tcp://:0", wire, on_message=print, tls=True)  # error
StreamServer("tcp://:0", wire, on_message=print, key="vehicle")  # error
StreamServer("tcp://:0", wire, handler=print)  # error
StreamClient("tcp://:0", wire, backoff=1.0)  # error
Limits(max_peers="all")  # error
Tls(cert=1)  # error
DatagramEndpoint("udp://:0", wire, overflow="block")  # error
DatagramEndpoint("udp://:0", wire, options=1)  # error
DatagramOptions(reuse_port=True, ttl="1")  # error


async def streams(server: StreamServer, client: StreamClient, peer: Peer) -> None:
    await server.broadcast(Position(1.0), slow="kick")  # error
    await server.broadcast(Position(1.0), to=peer)  # error
    await server.send(peer, Position(1.0))  # error
    await client.send(Position(1.0), "1")  # error
    await client.send_nowait(Position(1.0))  # error
    print(*client)  # error
    peer.address.port = 1  # error


async def not_awaited(message: StreamMessage[Position], client: StreamClient) -> None:
    message.reply(message.body)  # error
    client.send(message.body)  # error
    client.send_many([message.body])  # error
    client.wait_connected()  # error
    print(message.body.speed)  # error


# RabbitMQ
connect(5)  # error
connect("amqp://", heartbeat="5")  # error
connect("amqp://", on_event=nothing)  # error
connect("amqp://", user="guest")  # error
Queue("tracker", type="fast")  # error
Queue("tracker", delivery_limit="5")  # error
Exchange("telemetry", durable=1.5)  # error
Partitioned("orders", parts="8")  # error
Retry(attempts="5")  # error
Retry(delays=1.0)  # error
Offsets("folder")  # error


async def buses(bus: Bus, publisher: Publisher[Any], requester: Requester[Any, Any]) -> None:
    bus.publisher("telemetry", mandatory="yes")  # error
    bus.publisher("telemetry", confirm=True)  # error
    bus.publisher(["telemetry"])  # error
    bus.requester("hub", max_pending="1")  # error
    await bus.subscribe("telemetry", "#", nothing)  # error
    await bus.subscribe("telemetry", "#", two)  # error
    await bus.subscribe("telemetry", 5, print)  # error
    await bus.subscribe("telemetry", "#", print, concurrent=8)  # error
    await bus.subscribe("telemetry", "#", print, queue=5)  # error
    await bus.subscribe("telemetry", "#", print, batch=100)  # error
    await bus.subscribe("telemetry", "#", print, retry=5)  # error
    await bus.subscribe("telemetry", "#", print, key=nothing)  # error
    await bus.subscribe("telemetry", "#", print, key=key)  # error of mypy
    await bus.respond("hub", nothing)  # error
    await bus.respond("hub", print, errors=ValueError)  # error
    await publisher.publish("key", Position(1.0))  # error
    await publisher.publish(Position(1.0), "key", headers=["a"])  # error
    await publisher.publish(Position(1.0), "key", priority="high")  # error
    await publisher.publish(Position(1.0), "key", expires=5)  # error
    await requester.request(Position(1.0), timeout="5 s")  # error
    requester.stream(Position(1.0), buffer="10")  # error
    await requester.stream(Position(1.0))  # error
    async with aclosing(requester.request(Position(1.0))):  # error
        pass
    async with bus.publisher("telemetry"):  # error
        pass
    with bus:  # error
        pass
    of_a_declaration: Subscription = bus.subscription("telemetry", "#", print)  # error
    print(of_a_declaration)
    bus.declare("telemetry", 5)  # error


async def never_awaited(
    bus: Bus, publisher: Publisher[Any], requester: Requester[Any, Any]
) -> None:
    publisher.publish(Position(1.0), "key")  # error
    requester.request(Position(1.0))  # error
    bus.subscribe("telemetry", "#", print)  # error
    bus.start()  # error
    bus.declare(Queue("tracker"))
    requester.stream(Position(1.0))


bus = connect("amqp://localhost")
positions: Publisher[Position] = bus.publisher("telemetry")
planner: Requester[Position, Route] = bus.requester("planner")


async def typed() -> None:
    await positions.publish(Route(1.0), "key")  # error
    await positions.publish("key")  # error
    async with positions.batch() as batch:
        await batch.publish(Route(1.0), "key")  # error
    await planner.request(Route(1.0))  # error
    await planner.gather(5)  # error
    planner.stream(Route(1.0))  # error
    position: Position = await planner.request(Position(1.0))  # error
    print(position, (await planner.request(Position(1.0))).lat)  # error
    async for route in planner.stream(Position(1.0)):
        print(route.lat)  # error
    more: Publisher[Position | Route] = positions  # error
    backwards: Requester[Route, Position] = planner  # error
    print(more, backwards, bus.publisher("telemetry", message=Position))  # error


@bus.subscriber("telemetry", "#")  # error
def of_nothing() -> None: ...


@bus.subscriber("telemetry", "#", queues="tracker")  # error
def of_a_wrong_option(message: BusMessage[Any]) -> None: ...


@bus.responder("hub", concurrency="many")  # error
async def of_a_wrong_number(request: Request[Position]) -> AsyncIterator[int]:
    yield 1


async def batches(batch: BusBatch[Position]) -> None:
    batch.fail(0, ValueError())  # error
    batch.fail(batch[0], "wrong")  # error
    print(batch.bodies[0].speed)  # error
    batch[0].redelivered()  # error


# Embedded broker, runner
EmbeddedBroker(port="5672")  # error
run(5)  # error
run(Timer.every(1.0, nothing), loop="trio")  # error
run(asyncio.sleep(1), on_exception="ignore")  # error
run(asyncio.sleep(1), attendants=nothing)  # error
run(asyncio.sleep(1), timeout=5.0)  # error
Handlers(Position)  # error
