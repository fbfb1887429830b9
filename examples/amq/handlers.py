"""Handlers that decide about their messages, take them by the hundred, or in the order of a key.

GESTALT_AMQP_URL names the broker; without it, the embedded one serves.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass

from gestalt.amq import AmqError, BusBatch, BusMessage, connect
from gestalt.amq.embedded import EmbeddedBroker
from gestalt.codecs import Codec, MessageTypes
from gestalt.core import Batch, Discard, Park, RetryLater

types = MessageTypes()


@types.add(1)
@dataclass
class Position:
    vehicle: str
    number: int


async def until(condition: asyncio.Event) -> None:
    async with asyncio.timeout(15):
        await condition.wait()


async def main() -> None:
    async with AsyncExitStack() as stack:
        url = os.environ.get("GESTALT_AMQP_URL")
        if url is None:
            url = (await stack.enter_async_context(EmbeddedBroker(port=0))).url
        bus = await stack.enter_async_context(connect(url, codec=Codec("json", types=types)))
        stored, tracked = asyncio.Event(), asyncio.Event()
        count = 0

        async def store(batch: BusBatch[Position]) -> None:
            nonlocal count
            for message in batch:
                if message.body.number < 0:
                    batch.fail(message, Discard("no position"))
            count += len(batch) - len(batch.failures)
            if count == 300:
                print(f"stored {count} positions")
                stored.set()

        orders: dict[str, list[int]] = {"a": [], "b": []}

        async def track(message: BusMessage[Position]) -> None:
            position = message.body
            if position.number < 0:
                raise Park(f"position {position.number} of {position.vehicle}")
            if position.number == 0 and message.attempt == 1:
                raise RetryLater(0.2, "the map is not loaded yet")
            orders[position.vehicle].append(position.number)
            if sum(map(len, orders.values())) == 300:
                for vehicle, numbers in orders.items():
                    print(f"{vehicle}: in order: {numbers == sorted(numbers)}")
                tracked.set()

        archive = f"archive-{os.getpid()}"
        tracker = f"tracker-{os.getpid()}"
        await bus.subscribe(
            "positions", "#", store, queue=archive, batch=Batch(size=100, within=0.5)
        )
        tracking = await bus.subscribe(
            "positions",
            "#",
            track,
            queue=tracker,
            concurrency=8,
            key=lambda message: message.body.vehicle,
        )
        async with bus.publisher("positions").batch() as batch:
            await batch.publish(Position("a", -1), "a")
            for number in range(150):
                for vehicle in "ab":
                    await batch.publish(Position(vehicle, number), vehicle)
        await until(stored)
        await until(tracked)
        await tracking.stop()
        for parked in await bus.parked(tracker).list():
            print(f"parked: {parked.reason}")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (AmqError, ValueError) as error:
        sys.exit(f"GESTALT_AMQP_URL: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
