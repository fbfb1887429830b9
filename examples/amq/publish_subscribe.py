"""Positions of vehicles on a topic: typed messages, published with confirmation, on RabbitMQ.

GESTALT_AMQP_URL names the broker; without it, the embedded one serves.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass

from gestalt.amq import AmqError, BusMessage, Unroutable, connect
from gestalt.amq.embedded import EmbeddedBroker
from gestalt.codecs import Codec, MessageTypes

types = MessageTypes()


@types.add(1)
@dataclass
class Position:
    lat: float
    lon: float


async def main() -> None:
    async with AsyncExitStack() as stack:
        url = os.environ.get("GESTALT_AMQP_URL")
        if url is None:
            url = (await stack.enter_async_context(EmbeddedBroker(port=0))).url
        bus = await stack.enter_async_context(connect(url, codec=Codec("json", types=types)))

        arrived = asyncio.Event()

        async def track(message: BusMessage[Position]) -> None:
            print(f"{message.routing_key}: {message.body}")
            arrived.set()

        await bus.subscribe("telemetry", "vehicle.*.position", track)
        publisher = bus.publisher("telemetry", mandatory=True)
        await publisher.publish(Position(-34.9, 138.6), "vehicle.42.position")
        try:
            await publisher.publish(Position(0.0, 0.0), "ship.7.position")
        except Unroutable:
            print("nobody is interested in ships")
        async with asyncio.timeout(5):
            await arrived.wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (AmqError, ValueError) as error:
        sys.exit(f"GESTALT_AMQP_URL: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
