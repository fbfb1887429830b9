"""An application that declares nothing: what it needs is shown, found missing, and applied.

GESTALT_AMQP_URL names the broker; without it, the embedded one serves.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack

from gestalt.amq import AmqError, Binding, Bus, BusMessage, TopologyError, connect
from gestalt.amq.embedded import EmbeddedBroker


def make_bus(url: str, arrived: asyncio.Event) -> Bus:
    """The application, as `python -m gestalt.amq topology plan app:bus` would find it."""
    bus = connect(url, declare=False)
    bus.declare(Binding("readings", "#", to="archive"))

    @bus.subscriber("readings", "boiler.*", queue="boilers")
    async def watch(message: BusMessage[float]) -> None:
        print(f"{message.routing_key}: {message.body}")
        arrived.set()

    return bus


async def main() -> None:
    async with AsyncExitStack() as stack:
        url = os.environ.get("GESTALT_AMQP_URL")
        if url is None:
            url = (await stack.enter_async_context(EmbeddedBroker(port=0))).url
        arrived = asyncio.Event()
        bus = make_bus(url, arrived)
        publisher = bus.publisher("readings")
        print("queues:", ", ".join(each.name for each in bus.topology.plan().queues))
        try:
            await bus.start()
        except TopologyError:
            missing = [each for each in await bus.topology.verify() if each.problem == "missing"]
            print(f"{len(missing)} things are missing")
        await bus.topology.apply()
        print("drift:", await bus.topology.verify())
        async with bus:
            await publisher.publish(71.5, "boiler.7")
            async with asyncio.timeout(5):
                await arrived.wait()
        await leave_nothing(url, [each.name for each in bus.topology.plan().queues])


async def leave_nothing(url: str, queues: list[str]) -> None:
    async with connect(url) as bus, bus.channel() as channel:
        for queue in (*queues, "archive.bindings", "boilers.bindings"):
            await channel.queue_delete(queue)
        await channel.exchange_delete("readings")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (AmqError, ValueError) as error:
        sys.exit(f"GESTALT_AMQP_URL: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
