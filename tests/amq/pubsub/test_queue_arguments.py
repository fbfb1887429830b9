"""What a queue's arguments and a message's properties make the broker do."""

import asyncio
from collections.abc import Sequence

from gestalt.amq import Bus, ParkedMessage, Queue


async def declare(bus: Bus, queue: Queue) -> None:
    subscription = await bus.subscribe(queue.name, "#", print, queue=queue)
    await subscription.stop()


async def handled(bus: Bus, queue: Queue, count: int) -> list[int]:
    got: asyncio.Queue[int] = asyncio.Queue()
    await bus.subscribe(
        queue.name, "#", lambda message: got.put_nowait(message.body), queue=queue, prefetch=1
    )
    async with asyncio.timeout(10):
        return [await got.get() for _ in range(count)]


async def parked(bus: Bus, name: str) -> Sequence[ParkedMessage]:
    async with asyncio.timeout(10):
        while not (found := await bus.parked(name).list()):
            await asyncio.sleep(0.05)
    return found


async def test_an_expired_message_is_parked_in_place_of_handled(bus: Bus, unique: str) -> None:
    queue = Queue(unique)
    await declare(bus, queue)
    publisher = bus.publisher(unique, mandatory=True)
    await publisher.publish(1, "a.key", expiration=0.05)
    await publisher.publish(2, expiration=600)
    (expired,) = await parked(bus, unique)
    assert (expired.body, expired.routing_key) == (1, "a.key")
    assert expired.reason == "parked by the broker: expired"
    assert await handled(bus, queue, 1) == [2]


async def test_messages_come_by_priority_where_the_queue_has_any(bus: Bus, unique: str) -> None:
    queue = Queue(unique, type="classic", arguments={"x-max-priority": 5})
    await declare(bus, queue)
    publisher = bus.publisher(unique, mandatory=True)
    for priority in (1, 5, 0, 3):
        await publisher.publish(priority, priority=priority)
    assert await handled(bus, queue, 4) == [5, 3, 1, 0]


async def test_the_consumer_of_the_higher_priority_is_served_first(bus: Bus, unique: str) -> None:
    queue = Queue(unique, type="classic")
    low: list[int] = []
    high: asyncio.Queue[int] = asyncio.Queue()
    await bus.subscribe(unique, "#", lambda message: low.append(message.body), queue=queue)
    await bus.subscribe(
        unique,
        "#",
        lambda message: high.put_nowait(message.body),
        queue=queue,
        consumer_arguments={"x-priority": 10},
    )
    publisher = bus.publisher(unique)
    async with asyncio.timeout(10):
        for number in range(10):
            await publisher.publish(number)
            assert await high.get() == number
    assert low == []


async def test_what_a_bounded_queue_drops_is_parked(bus: Bus, unique: str) -> None:
    queue = Queue(unique, type="classic", arguments={"x-max-length": 2})
    await declare(bus, queue)
    publisher = bus.publisher(unique, mandatory=True)
    for number in range(3):
        await publisher.publish(number)
    (dropped,) = await parked(bus, unique)
    assert (dropped.body, dropped.reason) == (0, "parked by the broker: maxlen")
    assert await handled(bus, queue, 2) == [1, 2]
