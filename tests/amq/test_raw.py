"""Messages as the broker delivered them."""

import asyncio
import datetime
from dataclasses import asdict

import aio_pika

from gestalt.amq import Bus, BusMessage, RawMessage, Request, Retry
from tests.support.waiting import until


async def test_a_message_has_all_that_the_broker_delivered(bus: Bus, unique: str) -> None:
    got: list[RawMessage] = []
    subscription = await bus.subscribe(
        unique, "#", lambda message: got.append(message.raw), queue=unique
    )
    sent = aio_pika.Message(
        b"[1]",
        content_type="application/json",
        headers={"n": 1},
        delivery_mode=2,
        priority=3,
        correlation_id="c",
        reply_to="somewhere",
        expiration=60,
        message_id="m",
        timestamp=datetime.datetime.fromtimestamp(5, datetime.UTC),
        type="list",
        user_id="guest",
        app_id="test",
    )
    async with bus.channel() as channel:
        exchange = await channel.get_exchange(unique)
        await exchange.publish(sent, "a.key")
        await exchange.publish(aio_pika.Message(b"2", content_type="application/json"), "b.key")
    await until(lambda: len(got) == 2)
    raw, bare = got
    assert (raw.exchange, raw.routing_key, raw.redelivered) == (unique, "a.key", False)
    assert (raw.delivery_tag, raw.body, raw.unreadable) == (1, b"[1]", None)
    assert raw.consumer_tag
    assert raw.consumer_tag == bare.consumer_tag
    assert asdict(raw.properties) == {
        "content_type": "application/json",
        "content_encoding": None,
        "headers": {"n": 1},
        "delivery_mode": 2,
        "priority": 3,
        "correlation_id": "c",
        "reply_to": "somewhere",
        "expiration": "60000",
        "message_id": "m",
        "timestamp": 5,
        "type": "list",
        "user_id": "guest",
        "app_id": "test",
        "cluster_id": None,
    }
    assert subscription.stats.handled == 2


async def test_a_retried_message_tells_both_its_origin_and_its_way(bus: Bus, unique: str) -> None:
    got: list[BusMessage[int]] = []

    def handle(message: BusMessage[int]) -> None:
        got.append(message)
        if len(got) == 1:
            raise ValueError

    await bus.subscribe(unique, "#", handle, queue=unique, retry=Retry(delay=0.01))
    await bus.publisher(unique).publish(1, "a.key")
    await until(lambda: len(got) == 2)
    first, second = got
    assert (second.exchange, second.routing_key, second.attempt) == (unique, "a.key", 2)
    assert (first.raw.exchange, first.raw.routing_key) == (unique, "a.key")
    assert (second.raw.exchange, second.raw.routing_key) == ("", unique)


async def test_a_request_has_it_too(bus: Bus, unique: str) -> None:
    got: asyncio.Queue[RawMessage] = asyncio.Queue()

    def answer(request: Request[int]) -> int:
        got.put_nowait(request.raw)
        return request.body

    await bus.respond(unique, answer)
    assert await bus.requester(unique).request(1) == 1
    raw = await got.get()
    assert raw.properties.reply_to
    assert raw.body == b"1"
    assert raw.routing_key == unique
    assert raw.consumer_tag
