"""Two instances that share a queue: the messages of each key in order, whoever handles them.

GESTALT_AMQP_URL names the broker; without it, the embedded one serves. A RabbitMQ needs its plugin
rabbitmq_consistent_hash_exchange.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

from gestalt.amq import AmqError, Bus, BusMessage, Partitioned, Plan, connect
from gestalt.amq.embedded import EmbeddedBroker

EXCHANGE = f"positions-{os.getpid()}"
QUEUE = Partitioned(f"tracker-{os.getpid()}", partitions=4)


async def publish(bus: Bus, numbers: Iterable[int]) -> None:
    async with bus.publisher(EXCHANGE).batch() as batch:
        for number in numbers:
            for vehicle in "abc":
                await batch.publish(number, f"vehicle.{vehicle}")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - there is no event of its parts
            await asyncio.sleep(0.01)


async def main() -> None:
    async with AsyncExitStack() as stack:
        url = os.environ.get("GESTALT_AMQP_URL")
        if url is None:
            url = (await stack.enter_async_context(EmbeddedBroker(port=0))).url
        handled: dict[str, list[int]] = {f"vehicle.{vehicle}": [] for vehicle in "abc"}

        async def track(message: BusMessage[int]) -> None:
            await asyncio.sleep(0.01)
            handled[message.routing_key].append(message.body)

        # Usually in processes of their own.
        staying = await stack.enter_async_context(connect(url))
        mine = await staying.subscribe(EXCHANGE, "vehicle.*", track, queue=QUEUE)
        print(f"alone: {len(mine.partitions)} parts")
        async with connect(url) as leaving:
            others = await leaving.subscribe(EXCHANGE, "vehicle.*", track, queue=QUEUE)
            await until(lambda: len(mine.partitions) == len(others.partitions) == 2)
            print(f"two of them: {len(mine.partitions)} and {len(others.partitions)} parts")
            await publish(staying, range(5))
            await until(lambda: any(handled.values()))
        # It has left amid its work: what it had not begun comes to the one that stays.
        await until(lambda: len(mine.partitions) == 4)
        print(f"alone again: {len(mine.partitions)} parts")
        await publish(staying, range(5, 10))
        await until(lambda: sum(map(len, handled.values())) == 30)
        for vehicle, numbers in handled.items():
            print(f"{vehicle}: {numbers}")
        plan = staying.topology.plan()
        await staying.stop()
        await leave_nothing(url, plan)


async def leave_nothing(url: str, plan: Plan) -> None:
    async with connect(url) as bus, bus.channel() as channel:
        for queue in plan.queues:
            await channel.queue_delete(queue.name)
        for exchange in plan.exchanges:
            await channel.exchange_delete(exchange.name)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (AmqError, ValueError) as error:
        sys.exit(f"GESTALT_AMQP_URL: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
