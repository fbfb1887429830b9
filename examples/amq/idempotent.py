"""A message that may be sent twice, and a consumer that handles it once.

GESTALT_AMQP_URL names the broker; without it, the embedded one serves.
"""

import asyncio
import os
import sqlite3
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass

from gestalt.amq import AmqError, BusMessage, connect
from gestalt.amq.embedded import EmbeddedBroker
from gestalt.codecs import Codec, MessageTypes

types = MessageTypes()


@types.add(1)
@dataclass
class Order:
    number: int


database = sqlite3.connect(":memory:")
database.execute("CREATE TABLE seen (message_id TEXT PRIMARY KEY)")
database.execute("CREATE TABLE orders (number INTEGER)")
handled_all = asyncio.Event()


def take(message: BusMessage[Order]) -> None:
    # One transaction: an order is stored and its message remembered, or neither.
    with database:
        try:
            database.execute("INSERT INTO seen VALUES (?)", [message.properties.message_id])
        except sqlite3.IntegrityError:
            print(f"order {message.body.number} came again")
        else:
            database.execute("INSERT INTO orders VALUES (?)", [message.body.number])
            print(f"order {message.body.number} is stored")
    if message.body.number == 2:
        handled_all.set()


async def main() -> None:
    async with AsyncExitStack() as stack:
        url = os.environ.get("GESTALT_AMQP_URL")
        if url is None:
            url = (await stack.enter_async_context(EmbeddedBroker(port=0))).url
        bus = await stack.enter_async_context(connect(url, codec=Codec("json", types=types)))
        await bus.subscribe("example.orders", "created", take)
        publisher = bus.publisher("example.orders", mandatory=True, idempotent=True)
        await publisher.publish(Order(1), "created", message_id="order-1")
        # As when the connection was lost before the confirmation came.
        await publisher.publish(Order(1), "created", message_id="order-1")
        await publisher.publish(Order(2), "created")
        async with asyncio.timeout(5):
            await handled_all.wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (AmqError, ValueError) as error:
        sys.exit(f"GESTALT_AMQP_URL: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
