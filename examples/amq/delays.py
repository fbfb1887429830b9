"""Reminders that are delivered later, in the order of their times, on RabbitMQ.

GESTALT_AMQP_URL names the broker; without it, the embedded one serves.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from gestalt.amq import AmqError, BusMessage, connect
from gestalt.amq.embedded import EmbeddedBroker


async def main() -> None:
    async with AsyncExitStack() as stack:
        url = os.environ.get("GESTALT_AMQP_URL")
        if url is None:
            url = (await stack.enter_async_context(EmbeddedBroker(port=0))).url
        bus = await stack.enter_async_context(connect(url))

        all_read = asyncio.Event()

        async def remind(message: BusMessage[str]) -> None:
            print(f"{message.routing_key}: {message.body}")
            if message.body == "go":
                all_read.set()

        await bus.subscribe("reminders", "user.*", remind)
        publisher = bus.publisher("reminders")
        start = datetime.now(UTC) + timedelta(seconds=2.5)
        await publisher.publish("go", "user.42", at=start)
        await publisher.publish("steady", "user.42", at=start - timedelta(seconds=0.5))
        await publisher.publish("ready", "user.42", delay=0.1)
        async with asyncio.timeout(20):
            await all_read.wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (AmqError, ValueError) as error:
        sys.exit(f"GESTALT_AMQP_URL: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
