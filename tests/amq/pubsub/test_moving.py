"""A failure that cannot be moved out of the way holds up nobody."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aio_pika
import aio_pika.abc
import pytest

from gestalt.amq import (
    AmqError,
    Bus,
    BusMessage,
    Event,
    MessageOptions,
    MovingFailed,
    MovingResumed,
    PlannedQueue,
    Queue,
    Retry,
    TopologyError,
    connect,
)
from gestalt.amq.embedded import ThreadedBroker
from gestalt.amq.pubsub import failed_message, failures
from gestalt.amq.pubsub.target_queue import FIRST_PAUSE, LONGEST_PAUSE, TargetQueue
from gestalt.amq.wire import Delivery, Properties
from tests.support.collector import Collector
from tests.support.proxy import Proxy
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import QUICK, until

SOON = Retry(attempts=3, delay=0.05, factor=1)
RETRY = "retry.50"
REFUSING = {"x-max-length": 1, "x-overflow": "reject-publish"}


@pytest.fixture
async def admin(broker_url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(broker_url) as connection:
        yield await connection.channel()


async def fill(admin: aio_pika.abc.AbstractChannel, queue: str) -> None:
    """Put a queue that takes nothing more in the place of one."""
    await admin.queue_delete(queue)
    await admin.declare_queue(queue, durable=True, arguments=REFUSING)
    await admin.default_exchange.publish(aio_pika.Message(b"full"), queue)


class Handler:
    """Fails for all but the good ones."""

    def __init__(self) -> None:
        self.attempts: dict[int, list[int]] = {}
        self.good = Collector()

    def __call__(self, message: BusMessage[Any]) -> None:
        if message.body == "good":
            self.good(message)
            return
        self.attempts.setdefault(message.body, []).append(message.attempt)
        raise ValueError("poison")


async def publish(bus: Bus, exchange: str, poison: int, good: int) -> None:
    async with bus.publisher(exchange, mandatory=True).batch() as batch:
        for number in range(poison):
            await batch.publish(number)
        for _ in range(good):
            await batch.publish("good")


@pytest.mark.parametrize("which", [RETRY, "parked"])
async def test_a_queue_that_failures_could_not_be_moved_to_is_refused_at_the_start(
    bus: Bus, admin: aio_pika.abc.AbstractChannel, unique: str, which: str
) -> None:
    await admin.declare_queue(f"{unique}.{which}", durable=True, arguments=REFUSING)
    with pytest.raises(TopologyError, match=rf"{which}'.* exists with other properties") as caught:
        await bus.subscribe(unique, "#", print, queue=unique, retry=SOON)
    assert caught.value.code == 406


async def test_a_name_too_long_for_its_retry_queues_is_refused_at_the_start(
    bus: Bus, unique: str
) -> None:
    with pytest.raises(TopologyError, match="255 bytes"):
        await bus.subscribe(unique, "#", print, queue="q" * 248, retry=SOON)


async def test_queues_of_others_are_used_as_they_are(
    bus: Bus, admin: aio_pika.abc.AbstractChannel, unique: str
) -> None:
    for name in (unique, f"{unique}.parked"):
        await admin.declare_queue(name, durable=True)
    await admin.declare_queue(
        f"{unique}.{RETRY}",
        durable=True,
        arguments={
            "x-message-ttl": 1,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": unique,
        },
    )
    handle = Handler()
    subscription = await bus.subscribe(
        unique, "#", handle, queue=Queue(unique, declare=False), retry=SOON
    )
    await publish(bus, unique, 1, 0)
    await until(lambda: subscription.stats.parked == 1)
    assert handle.attempts == {0: [1, 2, 3]}


@pytest.mark.parametrize("concurrency", [1, 20])
@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
async def test_with_a_retry_queue_that_refuses_good_messages_are_handled_and_attempts_counted(
    bus: Bus, admin: aio_pika.abc.AbstractChannel, unique: str, queue_type: Any, concurrency: int
) -> None:
    handle = Handler()
    subscription = await bus.subscribe(
        unique,
        "#",
        handle,
        queue=Queue(unique, type=queue_type),
        retry=SOON,
        concurrency=concurrency,
    )
    await fill(admin, f"{unique}.{RETRY}")
    begun = time.monotonic()
    await publish(bus, unique, 150, 20)
    await handle.good.wait(20)
    assert time.monotonic() - begun < 2
    await until(lambda: subscription.stats.parked == 150)
    assert set(map(tuple, handle.attempts.values())) == {(1, 2, 3)}
    assert not bus.ready
    assert f"{unique}.{RETRY}" in str(subscription.trouble)
    assert subscription.reported > 0


async def test_with_a_parking_that_refuses_good_messages_are_handled_and_poison_only_once(
    bus: Bus, admin: aio_pika.abc.AbstractChannel, unique: str
) -> None:
    handle = Handler()
    subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=None, prefetch=10)
    await fill(admin, f"{unique}.parked")
    await publish(bus, unique, 150, 20)
    await handle.good.wait(20)
    assert not bus.ready
    await admin.queue_delete(f"{unique}.parked")
    await until(lambda: subscription.stats.parked == 150, 30)
    await until(lambda: bus.ready)
    assert set(map(tuple, handle.attempts.values())) == {(1,)}
    assert len(await bus.parked(unique).list(1000)) == 150


async def test_a_retry_queue_that_was_deleted_is_made_again_without_a_word(
    bus: Bus, admin: aio_pika.abc.AbstractChannel, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    handle = Handler()
    subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=SOON)
    await admin.queue_delete(f"{unique}.{RETRY}")
    await publish(bus, unique, 150, 0)
    await until(lambda: subscription.stats.parked == 150)
    assert set(map(tuple, handle.attempts.values())) == {(1, 2, 3)}
    assert bus.ready
    assert "can be moved" not in caplog.text


async def test_trouble_ends_when_its_cause_does_though_nothing_is_to_be_moved(
    bus: Bus, admin: aio_pika.abc.AbstractChannel, unique: str
) -> None:
    handle = Handler()
    subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=SOON)
    await fill(admin, f"{unique}.{RETRY}")
    await publish(bus, unique, 1, 0)
    await until(lambda: subscription.stats.parked == 1)
    assert not bus.ready
    await admin.queue_delete(f"{unique}.{RETRY}")
    await until(lambda: bus.ready, 20)


async def test_no_more_is_taken_than_may_wait_to_be_moved(
    bus: Bus,
    admin: aio_pika.abc.AbstractChannel,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "MOST_HELD", 30)
    handle = Handler()
    subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=None, prefetch=10)
    await fill(admin, f"{unique}.parked")
    await publish(bus, unique, 100, 0)
    await until(lambda: len(handle.attempts) >= 30)
    await admin.queue_delete(f"{unique}.parked")
    taken = len(handle.attempts)
    assert taken <= 50
    await until(lambda: subscription.stats.parked == 100, 30)


async def test_stop_does_not_wait_for_what_cannot_be_moved_and_leaves_it_in_its_queue(
    bus: Bus, admin: aio_pika.abc.AbstractChannel, unique: str
) -> None:
    handle = Handler()
    subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=None)
    await fill(admin, f"{unique}.parked")
    await publish(bus, unique, 20, 0)
    await until(lambda: len(handle.attempts) == 20)
    await until(lambda: not bus.ready)
    begun = time.monotonic()
    await subscription.stop()
    assert time.monotonic() - begun < 3
    got = Collector()
    await admin.queue_delete(f"{unique}.parked")
    await bus.subscribe(unique, "#", got, queue=unique, retry=None)
    assert sorted(await got.wait(20)) == list(range(20))


async def test_a_message_that_the_broker_refuses_whatever_is_done_is_parked_bare_and_alone(
    bus: Bus, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = failures.copy_properties

    def careless(delivery: Delivery, *args: Any, bare: bool, **others: Any) -> Properties:
        properties = made(delivery, *args, bare=bare, **others)
        culprit = "culprit" in (delivery.properties.headers or {}) and not bare
        return replace(properties, user_id="nobody") if culprit else properties

    monkeypatch.setattr(failures, "copy_properties", careless)
    handle = Handler()
    subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=None)
    async with bus.publisher(unique).batch() as batch:
        for number in range(50):
            headers = {"culprit": "yes"} if number == 25 else {}
            await batch.publish(number, headers=headers)
    await until(lambda: subscription.stats.parked == 50)
    parked = await bus.parked(unique).list()
    # What was under way beside it may have arrived, and is sent again: none is lost.
    assert {int(each.body) for each in parked} == set(range(50))
    (culprit,) = [each for each in parked if each.body == 25]
    assert culprit.headers["x-gestalt-left-out"] == "culprit"
    assert culprit.error == "ValueError"
    assert bus.ready


@pytest.mark.parametrize("kind", ["embedded", "rabbitmq"])
async def test_a_broker_that_confirms_no_move_does_not_slow_good_messages_down(
    kind: str, unique: str, request: pytest.FixtureRequest
) -> None:
    if kind == "embedded":
        broker: ThreadedBroker = request.getfixturevalue("amqp_broker")
        url, begin, end = broker.url, broker.block_publishers, broker.unblock_publishers
    else:
        node: RabbitMQNode = request.getfixturevalue("rabbitmq_node")
        url, begin, end = node.url, node.raise_memory_alarm, node.clear_memory_alarm
    handle = Handler()
    async with connect(url) as other:
        before = await other.subscribe(unique, "#", print, queue=unique, retry=SOON)
        await before.stop()
        await publish(other, unique, 300, 20)
        async with connect(url) as bus:
            await asyncio.to_thread(begin)
            try:
                subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=SOON)
                await handle.good.wait(20)
                await until(lambda: len(handle.attempts) == 300)
                assert subscription.stats.parked == 0
                assert not bus.ready
            finally:
                await asyncio.to_thread(end)
            await until(lambda: subscription.stats.parked == 300, 30)
            await until(lambda: bus.ready)
    # A copy for each, and no more, whatever the wait was.
    assert Counter(map(tuple, handle.attempts.values())) == {(1, 2, 3): 300}


async def test_what_cannot_be_moved_for_long_is_given_back(
    bus: Bus,
    admin: aio_pika.abc.AbstractChannel,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(failed_message, "LONGEST_HOLD", 0.2)
    handle = Handler()
    subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=None)
    await fill(admin, f"{unique}.parked")
    await publish(bus, unique, 1, 0)
    await until(lambda: subscription.stats.returned >= 1)
    assert any(
        "given back" in each.message and each.levelno == logging.ERROR for each in caplog.records
    )
    await admin.queue_delete(f"{unique}.parked")
    await until(lambda: subscription.stats.parked == 1)


@pytest.fixture
def events() -> list[Event]:
    return []


async def test_what_cannot_be_moved_is_told_by_events_and_counted(
    broker_url: str, admin: aio_pika.abc.AbstractChannel, unique: str, events: list[Event]
) -> None:
    async with connect(broker_url, on_event=events.append) as bus:
        handle = Handler()
        subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=None)
        await fill(admin, f"{unique}.parked")
        await publish(bus, unique, 3, 0)
        await until(lambda: subscription.stats.unmoved > 0)
        (failed,) = (each for each in events if isinstance(each, MovingFailed))
        assert (failed.queue, failed.target) == (unique, f"{unique}.parked")
        assert not bus.ready
        await admin.queue_delete(f"{unique}.parked")
        await until(lambda: subscription.stats.parked == 3)
        await until(lambda: MovingResumed(unique, f"{unique}.parked") in events)
        assert [
            type(each) for each in events if isinstance(each, MovingFailed | MovingResumed)
        ] == [
            MovingFailed,
            MovingResumed,
        ]
        assert bus.ready


@pytest.mark.parametrize("message_id", ["given", None])
async def test_attempts_are_counted_on_when_a_message_is_given_back(
    bus: Bus,
    admin: aio_pika.abc.AbstractChannel,
    unique: str,
    message_id: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failed_message, "LONGEST_HOLD", 0.3)
    handle = Handler()
    subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=SOON)
    for which in (RETRY, "parked"):
        await fill(admin, f"{unique}.{which}")
    options: MessageOptions = {} if message_id is None else {"message_id": message_id}
    await bus.publisher(unique).publish(0, "any", **options)
    await until(lambda: subscription.stats.returned >= 2)
    for which in (RETRY, "parked"):
        await admin.queue_delete(f"{unique}.{which}")
    await until(lambda: subscription.stats.parked == 1)
    attempts = handle.attempts[0]
    # It never begins anew; and where it is known for certain, it is not handled once too often.
    assert attempts == sorted(set(attempts))
    assert attempts[:3] == [1, 2, 3]
    assert (len(attempts) == 3) == (message_id is not None)


async def test_attempts_are_counted_on_when_the_connection_is_lost(
    broker_port: int, admin: aio_pika.abc.AbstractChannel, unique: str
) -> None:
    async with Proxy(broker_port) as proxy:
        url = f"amqp://guest:guest@127.0.0.1:{proxy.port}/"
        async with connect(url, backoff=QUICK) as bus:
            handle = Handler()
            slow = Retry(attempts=3, delay=0.5, factor=1)
            subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=slow)
            await fill(admin, f"{unique}.retry.500")
            await publish(bus, unique, 1, 0)
            await until(lambda: subscription.stats.unmoved > 0)
            await proxy.cut()
            await until(lambda: len(handle.attempts[0]) == 2)
            await proxy.cut()
            await until(lambda: subscription.stats.parked == 1, 20)
            assert handle.attempts == {0: [1, 2, 3]}


async def test_pauses_grow_though_the_queue_can_be_declared(unique: str) -> None:
    queue = TargetQueue(PlannedQueue(unique))
    pauses = []
    for _ in range(4):
        assert queue.fail(AmqError("full"))
        pauses.append(queue.delay)
        queue.recover()
        assert queue.trouble is None
        assert queue.pause is None
    assert pauses == [1.0, 2.0, 4.0, 8.0]
    for _ in range(10):
        queue.fail(AmqError("full"))
        queue.recover()
    assert queue.delay == LONGEST_PAUSE
    queue.fail(AmqError("full"))
    queue.succeed()
    assert queue.fail(AmqError("full"))
    assert queue.delay == FIRST_PAUSE
    queue.forget()


@pytest.mark.timeout(180)  # four commands to the node, each of which is a process of its own
async def test_a_permission_that_is_withdrawn_holds_messages_here_until_it_is_given_back(
    rabbitmq_node: RabbitMQNode, unique: str, events: list[Event]
) -> None:
    node = rabbitmq_node

    async def permit(write: str) -> None:
        command = ("set_permissions", "-p", "/", unique, ".*", write, ".*")
        await asyncio.to_thread(node.control, *command)

    await asyncio.to_thread(node.control, "add_user", unique, "secret")
    await permit(".*")
    url = f"amqp://{unique}:secret@127.0.0.1:{node.port}/"
    async with connect(url, on_event=events.append, backoff=QUICK) as bus:
        handle = Handler()
        subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=SOON)
        await permit(f"^{unique}")
        await publish(bus, unique, 10, 5)
        await handle.good.wait(5)
        await until(lambda: len(handle.attempts) == 10 and not bus.ready)
        await until(lambda: all(each == [1, 2, 3] for each in handle.attempts.values()))
        failed = [each for each in events if isinstance(each, MovingFailed)]
        assert any("access to exchange 'amq.default'" in str(each.reason) for each in failed)
        await permit(".*")
        await until(lambda: subscription.stats.parked == 10, 20)
        await until(lambda: bus.ready, 20)
        assert all(each == [1, 2, 3] for each in handle.attempts.values())
