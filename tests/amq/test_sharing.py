"""Publishers and requesters made wherever they are needed: cheap, and none at another's cost."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import aio_pika
import pytest

from gestalt.amq import (
    Blocked,
    Bus,
    ChannelsExhausted,
    DeadlineExceeded,
    Disconnected,
    Event,
    NotSent,
    OutcomeUnknown,
    connect,
)
from gestalt.amq.channel_pool import MAX_IDLE
from gestalt.amq.embedded import EmbeddedBroker, Settings, ThreadedBroker
from gestalt.amq.link import aio_pika_calls, aio_pika_link
from gestalt.amq.link.address import parse
from gestalt.amq.wire import Properties
from gestalt.core import StateError
from tests.support.callers import echo
from tests.support.collector import Collector
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import QUICK, Reported


async def test_requesters_and_publishers_made_for_each_message_share_a_channel(
    bus: Bus, unique: str
) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    await bus.respond(unique, echo)
    kept = bus.requester(unique)
    before = len(asyncio.all_tasks())
    count = 2500
    for number in range(count):
        assert await bus.requester(unique, timeout=5.0 + number).request(number) == number
        await bus.publisher(unique, timeout=5.0 + number).publish(number)
    assert await kept.request("still") == "still"
    assert await got.wait(count) == list(range(count))
    # Of two channels, however many messages there were.
    assert len(asyncio.all_tasks()) < before + 20


async def test_a_hundred_thousand_cost_next_to_nothing() -> None:
    async with (
        EmbeddedBroker(settings=Settings(channel_max=10)) as broker,
        connect(broker.url) as bus,
    ):
        await bus.respond("s", echo)
        for _ in range(100):
            made = [bus.requester("s") for _ in range(500)]
            made[-1].pending  # noqa: B018 - kept until here
            publishers = [bus.publisher("t") for _ in range(500)]
            await publishers[-1].publish(1)
            assert await made[-1].request(1) == 1
        made, publishers = [], []
        gc.collect()
        assert len(bus.publisher("t")._keeper.users) < 10


async def test_exchanges_that_nobody_uses_any_more_cost_no_channels() -> None:
    limited = Settings(channel_max=MAX_IDLE + 10)
    async with EmbeddedBroker(settings=limited) as broker, connect(broker.url) as bus:
        got = Collector()
        await bus.subscribe("kept", "#", got)
        kept = bus.publisher("kept")
        for number in range(500):
            await bus.publisher(f"exchange {number}").publish(number)
            await kept.publish(number)
        assert await got.wait(500) == list(range(500))


async def test_running_out_of_channels_is_an_error_of_its_own_and_harms_nobody_else(
    reported: Reported,
) -> None:
    async with (
        EmbeddedBroker(settings=Settings(channel_max=10)) as broker,
        connect(broker.url, backoff=QUICK) as bus,
    ):
        first = bus.publisher("first")
        await first.publish(0)
        made = [bus.publisher(f"exchange {number}") for number in range(20)]
        results = await asyncio.gather(
            *(publisher.publish(1, timeout=1.0) for publisher in made), return_exceptions=True
        )
        refused = [each for each in results if each is not None]
        assert 10 < len(refused) < 20
        assert {type(each) for each in refused} == {ChannelsExhausted}
        assert isinstance(refused[0], NotSent)
        assert "10 channels" in str(refused[0])
        await first.publish(1)
        kept = [each for each, result in zip(made, results, strict=True) if result is None]
        await asyncio.gather(*(each.publish(2) for each in kept))
        # What is given up makes room for others.
        made.clear()
        kept.clear()
        # Errors hold the frames that they came through, and those their publishers.
        refused.clear()
        results.clear()
        gc.collect()
        for number in range(20):
            await bus.publisher(f"another {number}").publish(3)
        assert reported == []


async def test_channels_that_come_and_go_never_reach_the_limit_of_their_numbers() -> None:
    async with EmbeddedBroker(settings=Settings(channel_max=20)) as broker:
        link = await aio_pika_link.connect(parse(broker.url), name="test", heartbeat=0, timeout=5.0)
        publishing = await link.open_channel(confirms=True)
        await publishing.publish("", "q", Properties(), b"0")
        older = await link.open_channel()
        for _ in range(100):
            newer = await link.open_channel()
            await older.close()
            older = newer
        assert not link.lost.done()
        await publishing.publish("", "q", Properties(), b"1")
        await link.close(1.0)


async def test_many_refusals_cost_no_channels(bus: Bus, broker_url: str, unique: str) -> None:
    publisher = bus.publisher(unique)
    for number in range(100):
        with pytest.raises(Exception, match="user_id"):
            await publisher.publish(number, user_id="somebody")
    async with await aio_pika.connect(broker_url):
        await publisher.publish(1)
    assert bus.ready


async def test_a_bus_that_is_started_again_takes_what_was_made_before(
    broker_url: str, unique: str
) -> None:
    bus = connect(broker_url, backoff=QUICK)
    publisher = bus.publisher(unique)
    for number in range(3):
        async with bus:
            got = Collector()
            await bus.subscribe(unique, "#", got)
            await publisher.publish(number)
            assert await got.wait(1) == [number]
        with pytest.raises(StateError):
            await publisher.publish(number)


async def test_what_is_sent_without_a_connection_ends_with_the_reason(unique: str) -> None:
    async with BrokerGone() as bus:
        with pytest.raises(NotSent, match=r"connection|connected") as raised:
            await bus.publisher(unique).publish(1, timeout=0.3)
        assert raised.value.__cause__ is not None
        with pytest.raises(NotSent) as raised:
            await bus.requester(unique).request(1, timeout=0.3)


@pytest.mark.parametrize("broker", ["embedded", "rabbitmq"])
async def test_what_is_new_on_a_blocked_connection_is_blocked_and_cuts_nothing(
    request: pytest.FixtureRequest, broker: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin: Callable[[], None]
    end: Callable[[], None]
    if broker == "embedded":
        embedded: ThreadedBroker = request.getfixturevalue("amqp_broker")
        url, begin, end = embedded.url, embedded.block_publishers, embedded.unblock_publishers
    else:
        node: RabbitMQNode = request.getfixturevalue("rabbitmq_node")
        url, begin, end = node.url, node.raise_memory_alarm, node.clear_memory_alarm
    # A broker that blocks is silent for longer than one may be that does not.
    monkeypatch.setattr(aio_pika_calls, "ANSWER_TIMEOUT", 2.0)
    events: list[Event] = []
    async with connect(url, backoff=QUICK, on_event=events.append) as bus:
        await bus.respond(unique, echo)
        known = bus.publisher(unique)
        await known.publish(0)
        assert await bus.requester(unique).request(0) == 0
        await asyncio.to_thread(begin)
        try:
            # The broker tells one that it blocks when he sends something.
            for _ in range(2):
                with pytest.raises((Blocked, OutcomeUnknown)):
                    await known.publish(1, timeout=0.5)
            for number in range(3):
                new = bus.publisher(f"{unique}.{number}")
                with pytest.raises(Blocked, match="blocks publishers"):
                    await new.publish(1, timeout=0.5)
            for number in range(2):
                with pytest.raises((Blocked, DeadlineExceeded)):
                    await bus.requester(f"{unique}{number}").request(1, timeout=0.5)
        finally:
            await asyncio.to_thread(end)
        await new.publish(2)
        await known.publish(2)
        assert await bus.requester(unique).request(2) == 2
    assert not [event for event in events if isinstance(event, Disconnected)]


class BrokerGone:
    """A bus whose broker has gone."""

    async def __aenter__(self) -> Bus:
        broker = EmbeddedBroker()
        await broker.start()
        self.bus = connect(broker.url, backoff=QUICK, start_timeout=0.2)
        await self.bus.start()
        await broker.stop()
        return self.bus

    async def __aexit__(self, *_: object) -> None:
        await self.bus.stop()


async def test_whatever_makes_tasks_takes_what_is_awaited(bus: Bus, unique: str) -> None:
    got = Collector()
    await bus.subscribe(unique, "#", got)
    await bus.respond(unique, echo)
    publisher, requester = bus.publisher(unique), bus.requester(unique)
    batch = publisher.batch()
    makers: list[Any] = [
        lambda: publisher.publish(1),
        lambda: batch.publish(1),
        lambda: requester.request(1),
        lambda: requester.gather(1, count=1),
        lambda: requester.ping(),
        lambda: requester.info(count=1),
        lambda: anext(requester.stream(1)),
    ]
    loop = asyncio.get_running_loop()
    for make in makers:
        await asyncio.create_task(make())
        await asyncio.ensure_future(make())
        await asyncio.wait_for(make(), 5)
        await asyncio.gather(make(), make())
        await asyncio.shield(make())
        async with asyncio.TaskGroup() as group:
            group.create_task(make())
        await asyncio.to_thread(
            lambda make=make: asyncio.run_coroutine_threadsafe(make(), loop).result(5)
        )
    assert len(await got.wait(14 + 2)) >= 16
    async with batch:
        pass
