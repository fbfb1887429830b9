"""More failures at once than may await their confirmation by one queue, which refuses them."""

import asyncio
from collections import Counter
from typing import Any

import aio_pika

from gestalt.amq import Bus, BusMessage
from gestalt.amq.pubsub.target_queue import IN_FLIGHT
from tests.support.waiting import until

COUNT = IN_FLIGHT + 50


async def test_those_that_wait_behind_one_that_is_refused_are_parked_when_they_can_be(
    bus: Bus, broker_url: str, unique: str
) -> None:
    tried: Counter[int] = Counter()
    finish = asyncio.Event()

    async def fail(message: BusMessage[Any]) -> None:
        tried[message.body] += 1
        await finish.wait()
        raise ValueError("poison")

    subscription = await bus.subscribe(
        unique, "#", fail, queue=unique, retry=None, concurrency=COUNT, prefetch=COUNT
    )
    parking = f"{unique}.parked"
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(parking)
        full: Any = {"x-max-length": 1, "x-overflow": "reject-publish"}
        await channel.declare_queue(parking, durable=True, arguments=full)
        await channel.default_exchange.publish(aio_pika.Message(b"full"), parking)
        async with bus.publisher(unique).batch() as batch:
            for number in range(COUNT):
                await batch.publish(number)
        await until(lambda: len(tried) == COUNT)
        finish.set()
        await until(lambda: subscription.stats.unmoved >= COUNT)
        assert parking in str(subscription.trouble)
        assert subscription.stats.parked == 0
        await channel.queue_delete(parking)
    await until(lambda: subscription.stats.parked == COUNT)
    assert tried == dict.fromkeys(range(COUNT), 1)
