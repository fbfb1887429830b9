"""Handlers that take many messages at a time: one acknowledgement, and nobody pays for another."""

import asyncio
from collections.abc import Callable
from typing import Any

import aio_pika
import pytest

from gestalt.amq import (
    Bus,
    BusBatch,
    BusMessage,
    ParkedMessage,
    Queue,
    Retry,
    Subscription,
    connect,
)
from gestalt.amq.pubsub.batch_worker import BatchWorker
from gestalt.core import Batch, Discard, Handlers, MessageBatch, Park, RetryLater
from gestalt.core.metrics import measure
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, until
from tests.support.wire_headers import publish_raw

SOON = Retry(attempts=3, delay=0.02, factor=1)


async def publish(bus: Bus, exchange: str, count: int, start: int = 0) -> None:
    async with bus.publisher(exchange).batch() as batch:
        for number in range(start, start + count):
            await batch.publish(number, f"key.{number}")


async def parked(bus: Bus, queue: str, count: int = 1) -> list[ParkedMessage]:
    async with asyncio.timeout(15):
        while len(found := await bus.parked(queue).list()) < count:
            await asyncio.sleep(0.05)
    return found


def in_the_making(subscription: Subscription) -> int:
    """How many messages a subscription has taken, and has not handled yet."""
    (metric,) = (each for each in measure(subscription) if each.name == "in_flight")
    return int(metric.value)


def cancel_workers() -> None:
    """What a library does that takes a handler's task for its own."""
    for task in asyncio.all_tasks():
        if "worker" in task.get_name():
            task.cancel()


class Batches:
    """Keeps what it gets, and does with it what it is told."""

    def __init__(self, act: Callable[[BusBatch[Any]], None] = lambda _: None) -> None:
        self.bodies: list[list[Any]] = []
        self._act = act

    async def __call__(self, batch: BusBatch[Any]) -> None:
        self.bodies.append(batch.bodies)
        await asyncio.sleep(0.005)
        self._act(batch)

    @property
    def all(self) -> list[Any]:
        return sorted(body for bodies in self.bodies for body in bodies)


async def test_messages_come_in_batches_and_are_acknowledged(
    bus: Bus, broker_url: str, unique: str
) -> None:
    batches = Batches()
    subscription = await bus.subscribe(
        unique, "#", batches, queue=unique, batch=Batch(size=100, within=5)
    )
    await publish(bus, unique, 1000)
    await until(lambda: subscription.stats.handled == 1000)
    assert batches.all == list(range(1000))
    assert [len(bodies) for bodies in batches.bodies] == [100] * 10
    await subscription.stop()
    async with await aio_pika.connect(broker_url) as connection:
        queue = await (await connection.channel()).declare_queue(unique, passive=True)
        assert queue.declaration_result.message_count == 0


async def test_a_batch_is_what_core_calls_so_and_has_what_came_with_each_message(
    bus: Bus, unique: str
) -> None:
    got: list[BusBatch[int]] = []
    await bus.subscribe(unique, "#", got.append, batch=Batch(size=2, within=60))
    publisher = bus.publisher(unique)
    await publisher.publish(1, "a", headers={"n": 1})
    await publisher.publish(2, "b", headers={"n": 2})
    await until(lambda: got)
    (batch,) = got
    assert isinstance(batch, MessageBatch)
    assert batch.sources == ["a", "b"]
    assert batch.source is None
    assert [message.headers["n"] for message in batch] == [1, 2]
    assert isinstance(batch[0], BusMessage)


async def test_an_incomplete_batch_is_handled_in_time(bus: Bus, unique: str) -> None:
    batches = Batches()
    subscription = await bus.subscribe(
        unique, "#", batches, queue=unique, batch=Batch(size=100, within=0.3)
    )
    begun = asyncio.get_running_loop().time()
    await publish(bus, unique, 3)
    await until(lambda: subscription.stats.handled == 3)
    assert batches.bodies == [[0, 1, 2]]
    assert 0.3 <= asyncio.get_running_loop().time() - begun < 3


async def test_a_batch_in_the_making_is_handled_when_the_subscription_stops(
    bus: Bus, unique: str
) -> None:
    batches = Batches()
    subscription = await bus.subscribe(
        unique, "#", batches, queue=unique, batch=Batch(size=100, within=60)
    )
    await publish(bus, unique, 7)
    await until(lambda: in_the_making(subscription) == 7)
    assert batches.bodies == []
    await subscription.stop()
    assert batches.bodies == [[*range(7)]]
    assert subscription.stats.handled == 7


async def test_several_batches_are_handled_at_once_and_none_acknowledges_anothers_messages(
    bus: Bus, broker_url: str, unique: str
) -> None:
    first = asyncio.Event()
    batches: list[list[int]] = []

    async def handle(batch: BusBatch[int]) -> None:
        batches.append(batch.bodies)
        if 0 in batch.bodies:
            await first.wait()

    async with connect(broker_url, stop_timeout=0.2) as short:
        subscription = await short.subscribe(
            unique, "#", handle, queue=unique, batch=Batch(size=10, within=5), concurrency=3
        )
        await publish(bus, unique, 100)
        await until(lambda: subscription.stats.handled == 90)
    # The first batch was cut, and comes again.
    again = Batches()
    await bus.subscribe(unique, "#", again, queue=unique, batch=Batch(size=10, within=0.2))
    await until(lambda: len(again.all) == 10)
    assert again.all == list(range(10))


async def test_single_messages_of_a_batch_fail_alone(bus: Bus, unique: str) -> None:
    def act(batch: BusBatch[int]) -> None:
        for message in batch:
            if message.body % 10 == 3 and message.attempt == 1:
                batch.fail(message, ValueError("not yet"))
            if message.body == 55:
                batch.fail(message, Park("never"))
            if message.body == 66:
                batch.fail(message, Discard("not ours"))
            if message.body == 77 and message.attempt == 1:
                batch.fail(message, RetryLater(0.05))

    batches = Batches(act)
    subscription = await bus.subscribe(
        unique, "#", batches, queue=unique, batch=Batch(size=50, within=1), retry=SOON
    )
    await publish(bus, unique, 100)
    await until(lambda: subscription.stats.handled == 98)
    # What has failed comes alone.
    for number in (*range(3, 100, 10), 77):
        assert [number] in batches.bodies
    assert len(batches.bodies) < 16
    (message,) = await parked(bus, unique)
    assert (message.error, message.reason, message.attempts) == ("Park", "never", 1)
    stats = subscription.stats
    assert (stats.retried, stats.parked, stats.discarded) == (11, 1, 1)


async def test_after_an_exception_they_come_one_at_a_time_and_only_the_bad_one_is_parked(
    bus: Bus, unique: str
) -> None:
    def act(batch: BusBatch[int]) -> None:
        if 17 in batch.bodies:
            raise ValueError("17")

    batches = Batches(act)
    subscription = await bus.subscribe(
        unique, "#", batches, queue=unique, batch=Batch(size=50, within=1), retry=SOON
    )
    await publish(bus, unique, 50)
    await until(lambda: subscription.stats.handled == 49)
    (message,) = await parked(bus, unique)
    assert message.attempts == 3
    assert len(batches.bodies[0]) == 50
    assert all(len(bodies) == 1 for bodies in batches.bodies[1:])


@pytest.mark.parametrize(
    "retry", [None, Retry(attempts=1), Retry(unless=(ValueError,))], ids=["none", "one", "unless"]
)
async def test_where_one_failure_is_enough_good_ones_are_not_parked_with_a_bad_one(
    bus: Bus, unique: str, retry: Retry | None, caplog: pytest.LogCaptureFixture
) -> None:
    def act(batch: BusBatch[int]) -> None:
        if 17 in batch.bodies:
            raise ValueError("seventeen")

    batches = Batches(act)
    subscription = await bus.subscribe(
        unique, "#", batches, queue=unique, batch=Batch(size=50, within=1), retry=retry
    )
    await publish(bus, unique, 50)
    await until(lambda: subscription.stats.handled == 49)
    await until(lambda: subscription.stats.parked == 1)
    assert [each.routing_key for each in await parked(bus, unique)] == ["key.17"]
    assert "a batch of 50 messages failed" in caplog.text


async def test_a_decision_that_is_raised_is_one_about_all(bus: Bus, unique: str) -> None:
    def act(_: BusBatch[int]) -> None:
        raise Park("all")

    subscription = await bus.subscribe(
        unique, "#", Batches(act), queue=unique, batch=Batch(size=5, within=0.2)
    )
    await publish(bus, unique, 5)
    await until(lambda: subscription.stats.parked == 5)


async def test_what_cannot_be_decoded_is_parked_alone_and_the_rest_make_the_batch(
    bus: Bus, broker_url: str, unique: str
) -> None:
    batches = Batches()
    subscription = await bus.subscribe(
        unique, "#", batches, queue=unique, batch=Batch(size=5, within=0.5)
    )
    await publish(bus, unique, 2)
    await publish_raw(broker_url, unique, b"{no json", {})
    await publish(bus, unique, 2, start=2)
    await until(lambda: subscription.stats.handled == 4)
    assert batches.bodies == [[0, 1, 2, 3]]
    assert (await parked(bus, unique))[0].error == "DecodeError"


async def test_a_handler_that_exceeds_its_time_fails_its_batch(bus: Bus, unique: str) -> None:
    async def handle(batch: BusBatch[int]) -> None:
        if len(batch) > 1:
            await asyncio.sleep(60)

    subscription = await bus.subscribe(
        unique, "#", handle, queue=unique, batch=Batch(3, 0.2), timeout=0.1, retry=SOON
    )
    await publish(bus, unique, 3)
    await until(lambda: subscription.stats.handled == 3)
    assert subscription.stats.retried == 3


async def test_a_batch_whose_connection_is_lost_comes_again(
    broker_url: str, broker_port: int, unique: str
) -> None:
    async with Proxy(broker_port) as proxy:
        url = broker_url.replace(f":{broker_port}", f":{proxy.port}")
        seen: list[list[tuple[int, bool]]] = []
        go_on = asyncio.Event()

        async def handle(batch: BusBatch[int]) -> None:
            seen.append([(message.body, message.redelivered) for message in batch])
            if len(seen) == 1:
                await go_on.wait()

        async with connect(url, backoff=QUICK) as bus:
            subscription = await bus.subscribe(
                unique, "#", handle, queue=unique, batch=Batch(size=20, within=60)
            )
            await publish(bus, unique, 20)
            await until(lambda: seen)
            await proxy.cut()
            await until(lambda: not subscription.consuming)
            go_on.set()
            await until(lambda: sum(map(len, seen)) == 40)
            await until(lambda: subscription.stats.handled == 40)
    assert seen[0] == [(n, False) for n in range(20)]
    assert [each for batch in seen[1:] for each in batch] == [(n, True) for n in range(20)]


async def test_a_task_that_a_library_cancels_loses_nothing_of_the_batch_in_the_making(
    bus: Bus, unique: str
) -> None:
    batches = Batches()
    subscription = await bus.subscribe(
        unique, "#", batches, queue=unique, batch=Batch(size=10, within=60)
    )
    await publish(bus, unique, 5)
    await until(lambda: in_the_making(subscription) == 5)
    cancel_workers()
    await until(lambda: subscription.reported)
    await publish(bus, unique, 5, start=5)
    await until(lambda: subscription.stats.handled == 10)
    assert batches.bodies == [list(range(10))]


async def test_a_batch_in_the_making_whose_task_is_cancelled_while_it_stops_goes_back(
    bus: Bus, unique: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end = BatchWorker.end

    def end_and_cancel(worker: BatchWorker) -> None:
        end(worker)
        cancel_workers()

    monkeypatch.setattr(BatchWorker, "end", end_and_cancel)
    first, second = Batches(), Batches()
    subscription = await bus.subscribe(
        unique, "#", first, queue=unique, batch=Batch(size=5, within=60)
    )
    await publish(bus, unique, 3)
    await until(lambda: in_the_making(subscription) == 3)
    await subscription.stop()
    assert "cut short" not in caplog.text
    await bus.subscribe(unique, "#", second, queue=unique, batch=Batch(size=5, within=60))
    await publish(bus, unique, 2, start=3)
    await until(lambda: second.all)
    assert (first.all, second.all) == ([], [*range(5)])


async def test_batches_of_a_stream(bus: Bus, unique: str) -> None:
    batches = Batches()
    subscription = await bus.subscribe(
        unique,
        "#",
        batches,
        queue=Queue(unique, type="stream"),
        batch=Batch(size=10, within=0.5),
        consumer_arguments={"x-stream-offset": "first"},
    )
    await publish(bus, unique, 30)
    await until(lambda: subscription.stats.handled == 30)
    assert batches.all == list(range(30))


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"batch": 100}, TypeError, "Batch"),
        ({"batch": Batch(), "key": lambda message: message.body}, ValueError, "exclude"),
        ({"batch": Batch(size=50_000)}, ValueError, "65535"),
        ({"batch": Batch(within=301)}, ValueError, "300"),
    ],
)
async def test_options_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], said: str
) -> None:
    bus = connect("amqp://127.0.0.1:1")
    with pytest.raises(error, match=said):
        bus.subscription("e", "#", lambda _: None, **options)


async def test_a_table_of_handlers_takes_no_batches() -> None:
    with pytest.raises(TypeError, match="MessageBatch"):
        connect("amqp://127.0.0.1:1").subscription("e", "#", Handlers(), batch=Batch())
