"""A reader of a stream that is stopped, and goes on behind what it has handled.

GESTALT_AMQP_URL names the broker; without it, the embedded one serves.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from tempfile import TemporaryDirectory

from gestalt.amq import AmqError, Binding, Bus, BusMessage, FileOffsets, Queue, connect
from gestalt.amq.embedded import EmbeddedBroker

EXCHANGE = f"readings-{os.getpid()}"
HISTORY = Queue(f"history-{os.getpid()}", type="stream")


async def read(url: str, store: FileOffsets, count: int) -> list[int]:
    """What one run of the reader handles, until that is so many messages."""
    handled: list[int] = []
    enough = asyncio.Event()

    def handle(message: BusMessage[int]) -> None:
        handled.append(message.body)
        if len(handled) == count:
            enough.set()

    async with connect(url) as bus:
        await bus.subscribe(
            EXCHANGE,
            "#",
            handle,
            queue=HISTORY,
            # Where to begin while nothing is saved.
            consumer_arguments={"x-stream-offset": "first"},
            offsets=store,
        )
        async with asyncio.timeout(15):
            await enough.wait()
    # The offset was saved when the bus stopped.
    return handled


async def publish(bus: Bus, *numbers: int) -> None:
    async with bus.publisher(EXCHANGE).batch() as batch:
        for number in numbers:
            await batch.publish(number, "boiler.7")


async def main() -> None:
    async with AsyncExitStack() as stack:
        url = os.environ.get("GESTALT_AMQP_URL")
        if url is None:
            url = (await stack.enter_async_context(EmbeddedBroker(port=0))).url
        store = FileOffsets(stack.enter_context(TemporaryDirectory()))
        bus = await stack.enter_async_context(connect(url))
        await bus.declare(Binding(EXCHANGE, "#", to=HISTORY))
        await publish(bus, 0, 1, 2)
        print("first run:", await read(url, store, 3))
        await publish(bus, 3, 4, 5)
        print("second run:", await read(url, store, 3))
        print("saved:", store.load(HISTORY.name))
        await leave_nothing(bus)


async def leave_nothing(bus: Bus) -> None:
    name = HISTORY.name
    async with bus.channel() as channel:
        for queue in (name, HISTORY.parking_name, f"{name}.bindings"):
            await channel.queue_delete(queue)
        await channel.exchange_delete(EXCHANGE)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (AmqError, ValueError) as error:
        sys.exit(f"GESTALT_AMQP_URL: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
