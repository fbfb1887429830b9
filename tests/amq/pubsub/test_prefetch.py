"""Messages are not sent before, and not kept after, handlers can take them."""

import asyncio
from typing import Any

import aio_pika
import pytest

from gestalt.amq import Bus, BusMessage, Queue, connect
from gestalt.amq.pubsub import flow_control, stalls
from gestalt.amq.pubsub.prefetch import AHEAD, Prefetch, WaitingTime
from tests.support.collector import Collector
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import until


async def ready(broker_url: str, queue: str) -> int:
    """How many messages the broker has not sent to anybody."""
    async with await aio_pika.connect(broker_url) as connection:
        declared = await (await connection.channel()).declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


@pytest.mark.parametrize(
    ("each", "concurrency", "window"),
    [(1e-5, 1, 100), (0.01, 1, 100), (0.1, 1, 10), (0.1, 8, 80), (18, 1, 1), (18, 8, 8)],
)
def test_about_a_second_of_work_is_sent_ahead(each: float, concurrency: int, window: int) -> None:
    prefetch = Prefetch(100, concurrency)
    assert prefetch.window == concurrency
    prefetch.note(1, each)
    assert prefetch.window == pytest.approx(window, abs=1)


def test_slowness_is_believed_sooner_than_speed() -> None:
    prefetch = Prefetch(100, 1)
    prefetch.note(1000, 0.1)
    prefetch.note(1, 20)
    assert prefetch.window == 1
    prefetch.note(1, 0.001)
    assert prefetch.window == 1
    for _ in range(100):
        prefetch.note(1, 0.001)
    assert prefetch.window == 100
    assert AHEAD <= 2


def test_the_wait_of_the_first_is_known_from_looks_now_and_then() -> None:
    waiting = WaitingTime()
    assert waiting.look(10, begun=0, waiting=0) == 0
    assert waiting.look(11, begun=0, waiting=5) == 0
    assert waiting.look(12, begun=3, waiting=50) == 1
    # Those that waited at first have begun.
    assert waiting.look(13, begun=5, waiting=48) == 0
    assert waiting.look(20, begun=5, waiting=80) == 7


@pytest.mark.parametrize("queue", ["shared", None])
async def test_behind_a_slow_handler_messages_stay_at_the_broker(
    bus: Bus, broker_url: str, unique: str, queue: str | None
) -> None:
    begun: list[int] = []
    done = asyncio.Event()

    async def handle(message: BusMessage[int]) -> None:
        begun.append(message.body)
        await done.wait()

    name = queue and unique
    consuming = await bus.subscribe(unique, "#", handle, queue=name, concurrency=2)
    async with bus.publisher(unique).batch() as batch:
        for number in range(50):
            await batch.publish(number)
    await until(lambda: len(begun) == 2)
    if name is not None:
        assert await ready(broker_url, name) == 48
    done.set()
    await until(lambda: consuming.stats.handled == 50)
    assert sorted(begun) == list(range(50))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_control, "PATIENCE", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
async def test_what_was_not_begun_behind_a_handler_that_got_slow_is_given_back_uncounted(
    bus: Bus, broker_url: str, unique: str, queue_type: Any
) -> None:
    done = asyncio.Event()
    slow = Collector()

    async def handle(message: BusMessage[int]) -> None:
        slow(message)
        if message.body == 200:
            await done.wait()

    queue = Queue(unique, type=queue_type)
    one = await bus.subscribe(unique, "#", handle, queue=queue)
    async with bus.publisher(unique).batch() as batch:
        for number in range(250):
            await batch.publish(number)
    await until(lambda: one.stats.returned)
    async with connect(broker_url) as bus_of_another:
        other = Collector()
        two = await bus_of_another.subscribe(unique, "#", other, queue=queue)
        await until(lambda: one.stats.handled + two.stats.handled == 249)
        assert {message.attempt for message in other.messages} == {1}
        await two.stop()
    assert bus.ready
    done.set()
    await until(lambda: one.stats.handled + two.stats.handled == 250)
    assert sorted(slow.bodies + other.bodies) == list(range(250))
    # It goes on at full speed.
    async with bus.publisher(unique).batch() as batch:
        for number in range(200):
            await batch.publish(number)
    await until(lambda: one.stats.handled + two.stats.handled == 450)


@pytest.mark.usefixtures("impatient")
async def test_a_stop_while_nothing_is_taken_is_clean(bus: Bus, unique: str) -> None:
    done = asyncio.Event()

    async def handle(message: BusMessage[int]) -> None:
        if message.body == 50:
            await done.wait()

    one = await bus.subscribe(unique, "#", handle, queue=unique)
    async with bus.publisher(unique).batch() as batch:
        for number in range(60):
            await batch.publish(number)
    await until(lambda: one.stats.returned)
    stopping = asyncio.create_task(one.stop())
    await asyncio.sleep(0)
    done.set()
    await stopping
    got = Collector()
    await bus.subscribe(unique, "#", got, queue=unique)
    assert sorted(await got.wait(9)) == list(range(51, 60))


async def test_an_exclusive_consumer_stays_the_only_one(bus: Bus, unique: str) -> None:
    got = Collector()
    queue = Queue(unique, type="classic")
    await bus.subscribe(unique, "#", got, queue=queue, exclusive=True)
    async with bus.publisher(unique).batch() as batch:
        for number in range(300):
            await batch.publish(number)
    assert await got.wait(300) == list(range(300))
    with pytest.raises(ValueError, match="exclusive"):
        await bus.subscribe(unique, "#", got, queue=queue)


async def test_no_message_runs_out_of_the_brokers_patience_behind_slow_ones(
    rabbitmq_node: RabbitMQNode, unique: str
) -> None:
    """At a thirtieth of the broker's patience for each, as 100 of them would take an hour."""
    node = rabbitmq_node
    settings = (
        "begin application:set_env(rabbit, consumer_timeout, {}), "
        "application:set_env(rabbit, channel_tick_interval, {}) end"
    )
    node.evaluate(settings.format(1500, 1500))
    try:
        async with connect(node.url) as bus:
            handled: list[int] = []

            async def handle(message: BusMessage[int]) -> None:
                await asyncio.sleep(0.05)
                handled.append(message.body)

            await bus.subscribe(unique, "#", handle, queue=Queue(unique, delivery_limit=1))
            async with bus.publisher(unique).batch() as batch:
                for number in range(100):
                    await batch.publish(number)
            await until(lambda: len(handled) == 100, 20)
            assert handled == list(range(100))
            assert await bus.parked(unique).list() == []
    finally:
        node.evaluate(settings.format(1_800_000, 60_000))


async def test_a_consumer_that_gets_nothing_of_what_there_is_begins_anew(
    bus: Bus, unique: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stalls, "STALL", 0.1)
    got = Collector()
    stalling = await bus.subscribe(unique, "#", got, queue=unique)
    publisher = bus.publisher(unique, mandatory=True)
    await publisher.publish(0)
    assert await got.wait(1) == [0]
    session = stalling._session
    assert session is not None
    await until(lambda: session.consumer.window == 100)
    # As a broker does that has lost its consumer, and says nothing.
    await session.receiver.channel.cancel(session.receiver.consumer_tag)
    async with publisher.batch() as batch:
        for number in range(1, 20):
            await batch.publish(number)
    assert await got.wait(20) == list(range(20))
    assert "the broker delivers none of the" in caplog.text
    await until(lambda: bus.ready)


async def test_however_often_it_has_grown_it_is_looked_by_one_timer(
    bus: Bus, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_control, "INTERVAL", 0.0321)
    loop = asyncio.get_running_loop()
    call_later, looks, pending, most = loop.call_later, 0, 0, 0

    def counting(delay: float, callback: Any, *args: Any, **options: Any) -> asyncio.TimerHandle:
        nonlocal pending, most
        if delay != flow_control.INTERVAL:
            return call_later(delay, callback, *args, **options)
        pending += 1
        most = max(most, pending)

        def look() -> None:
            nonlocal looks, pending
            looks, pending = looks + 1, pending - 1
            callback(*args)

        return call_later(delay, look)

    monkeypatch.setattr(loop, "call_later", counting)
    finish = asyncio.Event()
    handled = 0

    async def handle(message: BusMessage[int]) -> None:
        nonlocal handled
        if message.body:
            handled += 1
        else:
            await finish.wait()

    subscription = await bus.subscribe(unique, "#", handle, queue=unique, concurrency=2)
    publisher = bus.publisher(unique)
    await publisher.publish(0)
    async with publisher.batch() as batch:
        for number in range(1, 1001):
            await batch.publish(number)
    await until(lambda: handled == 1000)
    assert subscription._flow.window > 32
    before = looks
    await until(lambda: looks >= before + 5)
    assert most == 1
    finish.set()
    await until(lambda: not pending)
