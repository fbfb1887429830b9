"""What happens to an application in a round: churn, floods and faults, each bounded."""

import asyncio
import contextlib
import os
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aio_pika

from gestalt.amq import AmqError, BusMessage, Queue, Request, Retry, connect
from gestalt.amq.embedded import EmbeddedBroker
from gestalt.codecs import Codec, MessageTypes
from gestalt.core import Backoff, Handlers, Message, Timer
from gestalt.net import DatagramEndpoint, Mti, StreamClient, StreamServer, Wire
from tests.support.proxy import Proxy

types = MessageTypes()


@types.add(1)
@dataclass
class Position:
    lat: float
    lon: float


@types.add(2)
@dataclass
class Unhandled:
    text: str


CODEC = Codec("json", types=types)
WIRE = Wire(Mti(max_size=64 * 1024), CODEC)
FAST = Backoff(initial=0.01, maximum=0.1)
CALLS = 300
HERE = Position(-34.9, 138.6)


class Application:
    """A server, a datagram endpoint and a bus that live through all rounds.

    Attributes:
        handled: how many messages its handlers have taken.
    """

    def __init__(self, server: StreamServer, endpoint: DatagramEndpoint, broker: Proxy) -> None:
        self.server = server
        self.endpoint = endpoint
        self.broker = broker
        self.handled = 0


@contextlib.asynccontextmanager
async def application() -> AsyncIterator[Application]:
    """An application that runs, against a broker of its own behind a proxy."""
    handlers = Handlers()

    @handlers.on(Position)
    async def take(message: Message[Position]) -> None:
        app.handled += 1
        if message.body.lat > 90:
            raise ValueError("no such latitude")
        if message.body.lat > 0:
            await asyncio.sleep(0)
        await message.reply(message.body)

    async with contextlib.AsyncExitStack() as stack:
        server = StreamServer("tcp://127.0.0.1:0", WIRE, on_message=handlers)
        endpoint = DatagramEndpoint("udp://127.0.0.1:0", WIRE, on_message=handlers)
        broker = await stack.enter_async_context(EmbeddedBroker())
        proxy = await stack.enter_async_context(Proxy(broker.port))
        app = Application(server, endpoint, proxy)
        await stack.enter_async_context(server)
        await stack.enter_async_context(endpoint)
        yield app


async def churn(app: Application) -> None:
    """Peers that come, exchange a few messages and go, well-behaved or not."""

    async def visit(number: int) -> None:
        async with StreamClient(app.server.address, WIRE) as client:
            for _ in range(5):
                await client.send(HERE if number % 2 else Position(1.0, 1.0))
            left = 5
            async for _ in client:
                left -= 1
                if not left or number % 7 == 0:
                    break

    for _ in range(5):
        await asyncio.gather(*(visit(number) for number in range(30)))


async def flood(app: Application) -> None:
    """Strangers that send garbage, what nobody handles, half of a message, or nothing."""
    address = app.server.address
    unknown = WIRE.encode(Unhandled("?"))
    failing = WIRE.encode(Position(91.0, 0.0))
    undecodable = struct.pack(">II", 4, 1) + b"{{{{"
    oversized = struct.pack(">II", 2**31, 1)

    async def pester(data: bytes) -> None:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        with contextlib.suppress(OSError):
            writer.write(data)
            await writer.drain()
            if random.random() < 0.5:
                writer.write_eof()
                async with asyncio.timeout(5):
                    await reader.read()
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    garbage = [unknown, failing * 200, undecodable, oversized, os.urandom(500), failing[:7], b""]
    for data in garbage:
        await asyncio.gather(*(pester(data) for _ in range(20)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        target = app.endpoint.address.host, app.endpoint.address.port
        for number in range(2000):
            sock.sendto(random.choice(garbage[:3] + garbage[4:6])[:1000], target)
            if number % 100 == 0:
                await asyncio.sleep(0)


async def faults(app: Application) -> None:
    """A bus whose connection is cut while it publishes, consumes, fails, retries and asks."""
    outcomes = asked = 0

    async def consume(message: BusMessage[Position]) -> None:
        if message.body.lat > 90:
            raise ValueError("no such latitude")

    async def locate(_: Request[Position]) -> Position:
        return HERE

    url = f"amqp://guest:guest@127.0.0.1:{app.broker.port}"
    retry = Retry(attempts=2, delay=0.05)
    async with connect(url, codec=CODEC, backoff=FAST, stop_timeout=2.0) as bus:
        await bus.subscribe("soak", "#", consume, queue="soak", retry=retry)
        await bus.subscribe("soak", "#", consume)
        await bus.respond("locator", locate)
        publisher = bus.publisher("soak")
        requester = bus.requester("locator", timeout=2.0)

        async def attempt(call: Callable[[], Awaitable[object]]) -> None:
            nonlocal outcomes
            with contextlib.suppress(AmqError):
                await call()
            outcomes += 1

        async with Timer.every(0.2, app.broker.cut, times=3) as cuts:
            for number in range(CALLS):
                position = Position(91.0, 0.0) if number % 50 == 0 else HERE
                await attempt(lambda body=position: publisher.publish(body, "a.b"))
                if number % 10 == 0:
                    await attempt(lambda: requester.request(HERE))
                    asked += 1
            await cuts.wait()
    assert outcomes == CALLS + asked, "a call has neither come to an end nor failed"
    # What is parked is kept for ever, which is no leak.
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        parking = await channel.get_queue(Queue("soak").parking_name)
        assert (await parking.purge()).message_count, "nothing failed"


LOADS: tuple[Callable[[Application], Awaitable[None]], ...] = (churn, flood, faults)
