"""What applications of one kind in a hundred ask of a bus."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from gestalt.amq import (
    Bus,
    BusBatch,
    Exchange,
    Partitioned,
    Plan,
    PlannedQueue,
    Queue,
    Refused,
    TopologyError,
    Unroutable,
    connect,
)
from gestalt.amq.embedded import EmbeddedBroker, Settings
from gestalt.core import Batch, Park
from gestalt.core.census import components
from gestalt.core.details import PeerRow, read
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, until


@pytest.fixture
async def bus() -> Any:
    async with EmbeddedBroker() as broker, connect(broker.url, backoff=QUICK) as bus:
        yield bus


async def test_a_connection_tells_where_it_leads(bus: Bus) -> None:
    told = [row for each in components() for row in read(each) if isinstance(row, PeerRow)]
    assert any(row.address.startswith("127.0.0.1:") for row in told)


async def test_a_connection_that_is_lost_leads_nowhere() -> None:
    async with (
        EmbeddedBroker() as broker,
        Proxy(urlsplit(broker.url).port or 0) as proxy,
        connect(f"amqp://guest:guest@127.0.0.1:{proxy.port}", backoff=QUICK),
    ):
        place = f"127.0.0.1:{proxy.port}"

        def leading() -> int:
            rows = [row for each in components() for row in read(each)]
            return sum(isinstance(row, PeerRow) and row.address == place for row in rows)

        assert leading() > 0
        proxy.refuse()
        await proxy.cut()
        await until(lambda: not leading())
        proxy.allow()
        await until(leading)


async def test_what_a_batch_has_failed_before_its_error_fails_by_its_own(bus: Bus) -> None:
    def handle(batch: BusBatch[int]) -> None:
        batch.fail(batch[0], Park("its own"))
        raise Park("all of it")

    await bus.subscribe("things", "#", handle, queue="things", batch=Batch(size=2, within=60))
    for number in range(2):
        await bus.publisher("things").publish(number)

    async def reasons() -> list[str]:
        return [each.reason for each in await bus.parked("things").list()]

    async with asyncio.timeout(10):
        while len(found := await reasons()) < 2:
            await asyncio.sleep(0.01)
    assert sorted("its own" in each for each in found) == [False, True]


async def test_parked_messages_whose_queue_has_gone_stay(bus: Bus) -> None:
    def park(message: Any) -> None:
        raise Park

    subscription = await bus.subscribe("things", "#", park, queue="things")
    await bus.publisher("things").publish("x")
    parking = bus.parked("things")
    async with asyncio.timeout(10):
        while not await parking.list():
            await asyncio.sleep(0.01)
    await subscription.stop()
    async with bus.channel() as channel:
        await (await channel.get_queue("things", ensure=False)).delete(
            if_unused=False, if_empty=False
        )
    with pytest.raises(Unroutable):
        await parking.replay()
    assert len(await parking.list()) == 1


async def test_a_private_queue_of_an_exchange_that_is_another_is_refused(bus: Bus) -> None:
    await bus.publisher(Exchange("things", "fanout")).publish("x")
    with pytest.raises(TopologyError, match="things"):
        await bus.subscribe("things", "#", print)


async def test_what_delays_need_is_declared_once_and_again_on_the_next_connection() -> None:
    got: list[Any] = []
    async with (
        EmbeddedBroker() as broker,
        Proxy(urlsplit(broker.url).port or 0) as proxy,
    ):
        bus = connect(f"amqp://guest:guest@127.0.0.1:{proxy.port}", backoff=QUICK)
        publishers = [bus.publisher("things", delayed=True) for _ in range(2)]
        bus.publisher("", delayed=True)
        async with bus:
            await bus.subscribe("things", "#", lambda message: got.append(message.body), queue="q")
            for publisher in publishers:
                await publisher.publish(1, delay=0.01)
            await until(lambda: got == [1, 1])
            await proxy.cut()
            await publishers[0].publish(2, delay=0.01)
            await until(lambda: 2 in got)


def test_the_default_exchange_has_no_bindings_to_plan() -> None:
    bus: Bus = connect("amqp://localhost")
    bus.subscription("", "q", print, queue="q")
    plan = bus.topology.plan()
    assert plan.bindings == ()
    assert "q" in plan.permissions().read


def test_queues_of_a_connection_of_its_own_need_no_permission() -> None:
    plan = Plan(queues=(PlannedQueue("one", exclusive=True), PlannedQueue("two")))
    assert plan.permissions().configure == "^(two)$"


async def test_queues_beside_one_of_others_are_declared_where_they_are_missing(bus: Bus) -> None:
    async with bus.channel() as channel:
        await channel.declare_queue("theirs", durable=True)
    for _ in range(2):
        await bus.subscribe("amq.topic", "#", print, queue=Queue("theirs", declare=False))
        await bus.topology.apply()
    assert await bus.topology.verify() == []


async def test_a_message_that_the_broker_finds_too_large_costs_no_other() -> None:
    settings = Settings(max_message_size=1000)
    async with (
        EmbeddedBroker(settings=settings) as broker,
        connect(broker.url, backoff=QUICK) as bus,
    ):
        publisher = bus.publisher("things")
        await publisher.publish("x")
        sizes = *([10] * 5), 2000, *([20] * 5)
        found = await asyncio.gather(
            *(publisher.publish(b"x" * size) for size in sizes), return_exceptions=True
        )
        assert [type(each) for each in found] == [type(None)] * 5 + [Refused] + [type(None)] * 5


async def test_large_messages_that_wait_for_a_connection_leave_one_after_the_other() -> None:
    got: list[int] = []
    async with (
        EmbeddedBroker() as broker,
        Proxy(urlsplit(broker.url).port or 0) as proxy,
        connect(f"amqp://guest:guest@127.0.0.1:{proxy.port}", backoff=QUICK) as bus,
    ):
        await bus.subscribe("things", "#", lambda message: got.append(len(message.body)), queue="q")
        publisher = bus.publisher("things")
        await publisher.publish(b"")
        proxy.refuse()
        await proxy.cut()
        await until(lambda: not bus.ready)
        waiting = asyncio.gather(*(publisher.publish(b"x" * 2**21) for _ in range(8)))
        proxy.allow()
        await waiting
        await until(lambda: len(got) == 9)


async def test_a_batch_whose_connection_is_lost_meanwhile_is_sent_again() -> None:
    got: set[int] = set()
    async with (
        EmbeddedBroker() as broker,
        Proxy(urlsplit(broker.url).port or 0) as proxy,
        connect(f"amqp://guest:guest@127.0.0.1:{proxy.port}", backoff=QUICK) as bus,
    ):
        await bus.subscribe("things", "#", lambda message: got.add(message.body), queue="q")
        async with bus.publisher("things").batch() as batch:
            for number in range(300):
                if number == 100:
                    proxy.freeze()
                if number == 200:
                    await proxy.cut()
                    proxy.thaw()
                await batch.publish(number, idempotent=True)
        await until(lambda: len(got) == 300)


async def test_a_partitioned_subscription_has_the_name_of_the_whole(bus: Bus) -> None:
    queue = Partitioned("parts", partitions=2)
    subscription = await bus.subscribe("things", "#", print, queue=queue)
    assert subscription.queue_name == "parts"
