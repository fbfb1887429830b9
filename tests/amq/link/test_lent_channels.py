"""Channels of aio-pika that a bus lends."""

import asyncio
import logging
import os
from typing import Any

import aio_pika
import aio_pika.abc
import pytest
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError, QueueEmpty

from gestalt.amq import (
    Blocked,
    Bus,
    ChannelsExhausted,
    ConnectError,
    LinkLost,
    OutcomeUnknown,
    Properties,
    Publisher,
    connect,
)
from gestalt.amq.link.address import parse
from gestalt.amq.link.aio_pika_link import connect as connect_link
from gestalt.amq.wire import Delivery
from gestalt.core import StateError
from tests.support.alarms import Alarm
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, Reported, until

from .test_reconnect import through


async def test_it_declares_gets_purges_and_deletes(bus: Bus, unique: str) -> None:
    async with bus.channel() as channel:
        exchange = await channel.declare_exchange(unique, "headers", durable=True)
        queue = await channel.declare_queue(unique, durable=True)
        await queue.bind(exchange, arguments={"x-match": "all", "kind": "a"})
        for kind in "ab":
            message = aio_pika.Message(b"1", headers={"kind": kind})
            await exchange.publish(message, "", mandatory=False)
        got = await queue.get()
        assert (got.body, got.headers["kind"]) == (b"1", "a")
        await got.ack()
        with pytest.raises(QueueEmpty):
            await queue.get()
        for _ in range(3):
            await channel.default_exchange.publish(aio_pika.Message(b"2"), unique)
        assert (await queue.purge()).message_count == 3
        await queue.delete()
        await exchange.delete()
    assert channel.is_closed
    async with bus.channel() as channel:
        with pytest.raises(ChannelNotFoundEntity):
            await channel.get_queue(unique)


async def test_it_consumes_beside_a_subscription_that_shares_the_queue(
    bus: Bus, unique: str
) -> None:
    taken: list[int] = []
    await bus.subscribe(unique, "#", lambda message: taken.append(message.body), queue=unique)
    publisher = bus.publisher(unique)
    numbers = list(range(200))
    async with bus.channel() as channel:
        await channel.set_qos(prefetch_count=10)
        queue = await channel.get_queue(unique)
        async with queue.iterator() as messages:
            publishing = asyncio.gather(*(publisher.publish(number) for number in numbers))
            async for message in messages:
                async with message.process():
                    taken.append(int(message.body))
                if len(taken) > 50:
                    break
        await publishing
    await until(lambda: len(set(taken)) == 200)
    assert sorted(set(taken)) == numbers


@pytest.mark.parametrize("commits", [True, False])
async def test_transactions(bus: Bus, unique: str, commits: bool) -> None:
    async with bus.channel(publisher_confirms=False) as channel:
        queue = await channel.declare_queue(unique, exclusive=True)
        transaction = channel.transaction()
        await transaction.select()
        for number in range(3):
            await channel.default_exchange.publish(aio_pika.Message(b"%d" % number), unique)
        assert await empty(queue)
        await (transaction.commit() if commits else transaction.rollback())
        if not commits:
            assert await empty(queue)
            return
        bodies = [(await queue.get(no_ack=True)).body for _ in range(3)]
        assert bodies == [b"0", b"1", b"2"]


async def empty(queue: aio_pika.abc.AbstractQueue) -> bool:
    return await queue.get(fail=False, no_ack=True) is None


async def test_confirmations_and_returns_reach_it(bus: Bus, unique: str) -> None:
    async with bus.channel(on_return_raises=True) as channel:
        full = {"x-max-length": 1, "x-overflow": "reject-publish"}
        queue = await channel.declare_queue(unique, exclusive=True, arguments=full)
        publish = channel.default_exchange.publish
        with pytest.raises(PublishError):
            await publish(aio_pika.Message(b"", message_id="1"), f"{unique}.nowhere")
        assert await publish(aio_pika.Message(b"1"), unique)
        with pytest.raises(DeliveryError):
            await publish(aio_pika.Message(b"2"), unique)
        assert (await queue.get()).body == b"1"


async def test_frames_of_a_lent_channel_pass_those_of_the_link_on_one_connection(
    broker_url: str, unique: str
) -> None:
    link = await connect_link(parse(broker_url), name="both", heartbeat=5, timeout=10)
    got: list[Delivery] = []
    mine = await link.open_channel(confirms=True, on_delivery=got.append)
    theirs = await link.lend_channel(publisher_confirms=True, on_return_raises=False)
    for name in ("mine", "theirs"):
        await mine.declare_queue(unique + name, durable=False, exclusive=True)
    await mine.consume(unique + "mine", no_ack=True)
    bodies: list[bytes] = []

    async def keep(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        bodies.append(message.body)
        await message.ack()

    await (await theirs.get_queue(unique + "theirs", ensure=False)).consume(keep)
    large = os.urandom(300_000)
    for body in (b"1", large, b""):
        await asyncio.gather(
            mine.publish("", unique + "theirs", Properties(), body),
            theirs.default_exchange.publish(aio_pika.Message(body), unique + "mine"),
        )
    await until(lambda: len(got) == len(bodies) == 3)
    assert [each.body for each in got] == bodies == [b"1", large, b""]
    await link.close(1.0)


async def test_a_refusal_costs_its_channel_alone(bus: Bus, unique: str) -> None:
    async with bus.channel() as kept:
        queue = await kept.declare_queue(unique, exclusive=True)
        with pytest.raises(ChannelNotFoundEntity):
            async with bus.channel() as channel:
                await channel.get_queue(f"{unique}.nowhere")
        await kept.default_exchange.publish(aio_pika.Message(b"1"), unique)
        assert (await queue.get()).body == b"1"
    assert bus.ready


async def test_a_block_that_fails_closes_its_channel(bus: Bus) -> None:
    with pytest.raises(ZeroDivisionError):
        async with bus.channel() as channel:
            raise ZeroDivisionError
    assert channel.is_closed
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), bus.channel() as channel:
            await asyncio.Event().wait()
    assert channel.is_closed


async def wait_for_ever(channel: aio_pika.abc.AbstractChannel, unique: str) -> None:
    await (await channel.declare_queue(exclusive=True)).consume(print)
    await asyncio.Event().wait()


async def iterate(channel: aio_pika.abc.AbstractChannel, unique: str) -> None:
    async for message in (await channel.declare_queue(exclusive=True)).iterator():
        raise AssertionError(message)


async def get(channel: aio_pika.abc.AbstractChannel, unique: str) -> None:
    queue = await channel.declare_queue(exclusive=True)
    while True:
        await queue.get(fail=False)


async def publish(channel: aio_pika.abc.AbstractChannel, unique: str) -> None:
    while True:
        await channel.default_exchange.publish(aio_pika.Message(b"1"), unique)


async def work_side_by_side(channel: aio_pika.abc.AbstractChannel, unique: str) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(get(channel, unique))
        group.create_task(publish(channel, unique))


@pytest.mark.parametrize("work", [wait_for_ever, iterate, get, publish, work_side_by_side])
async def test_a_lost_connection_interrupts_whatever_the_block_does(
    broker_url: str, broker_port: int, unique: str, work: Any, reported: Reported
) -> None:
    async with Proxy(broker_port) as proxy:
        url = through(proxy, broker_url)
        async with connect(url, backoff=QUICK) as bus:
            begun = asyncio.Event()

            async def hold() -> None:
                async with bus.channel() as channel:
                    begun.set()
                    await work(channel, unique)

            holding = asyncio.create_task(hold())
            await begun.wait()
            # A round trip later it is at work.
            await bus.publisher(unique).publish(1)
            await proxy.cut()
            with pytest.raises(LinkLost, match="the channel was lost"):
                async with asyncio.timeout(3):
                    await holding
            if work is not work_side_by_side:  # a TaskGroup of Python 3.11 leaves one of its own
                assert holding.cancelling() == 0
            async with bus.channel() as channel:
                assert await channel.declare_queue(exclusive=True)
    assert reported == []


async def test_whoever_cancels_a_block_sees_that_though_its_connection_is_lost(
    broker_url: str, broker_port: int
) -> None:
    async with Proxy(broker_port) as proxy, connect(through(proxy, broker_url)) as bus:
        begun = asyncio.Event()

        async def hold() -> None:
            async with bus.channel():
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    await asyncio.shield(asyncio.sleep(0.05))

        holding = asyncio.create_task(hold())
        await begun.wait()
        await proxy.cut()
        holding.cancel()
        await asyncio.wait({holding})
        assert holding.cancelled()


async def test_an_error_of_the_block_itself_stays(broker_url: str, broker_port: int) -> None:
    async with Proxy(broker_port) as proxy, connect(through(proxy, broker_url)) as bus:

        async def fail() -> None:
            async with bus.channel() as channel:
                await proxy.cut()
                await until(lambda: channel.is_closed)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()


async def test_a_bus_that_does_not_run_lends_nothing(bus: Bus, broker_url: str) -> None:
    for other in (connect(broker_url), bus):
        await other.stop()
        with pytest.raises(StateError, match="is not running"):
            async with other.channel():
                pass


async def test_a_bus_that_stops_ends_what_it_has_lent(bus: Bus) -> None:
    begun = asyncio.Event()

    async def hold() -> None:
        async with bus.channel():
            begun.set()
            await asyncio.Event().wait()

    holding = asyncio.create_task(hold())
    await begun.wait()
    await bus.stop()
    with pytest.raises(LinkLost, match="the bus was stopped"):
        await holding


async def test_opening_has_a_deadline(
    broker_url: str, broker_port: int, reported: Reported
) -> None:
    async with Proxy(broker_port) as proxy, connect(through(proxy, broker_url)) as bus:
        before = asyncio.all_tasks()
        proxy.freeze()
        with pytest.raises(ConnectError, match=r"no channel within 0\.2 s: there is no connection"):
            async with bus.channel(timeout=0.2):
                pass
        proxy.thaw()
        await until(lambda: asyncio.all_tasks() <= before)
        async with bus.channel():
            proxy.freeze()
            with pytest.raises(ConnectError, match=r"no channel within 0\.2 s: the broker did not"):
                async with bus.channel(timeout=0.2):
                    pass
            proxy.thaw()
        async with bus.channel() as channel:
            assert await channel.declare_queue(exclusive=True)
    assert reported == []
    with pytest.raises(ValueError, match="timeout"):
        bus.channel(timeout=-1)
    with pytest.raises(ValueError, match="publisher_confirms"):
        bus.channel(on_return_raises=True, publisher_confirms=False)


async def test_channels_may_run_out(broker_url: str) -> None:
    async with connect(f"{broker_url}?channel_max=2") as bus, bus.channel():
        async with bus.channel():
            with pytest.raises(ChannelsExhausted, match="all 2 channels"):
                async with bus.channel():
                    pass
        async with bus.channel():
            pass


async def until_blocked(publisher: Publisher[Any]) -> None:
    """Publish until nothing is confirmed any more: an alarm takes a moment to be in force."""
    async with asyncio.timeout(15):
        while True:
            try:
                await publisher.publish(2)
            except (Blocked, OutcomeUnknown):
                return


async def test_publishers_that_the_broker_blocks_hold_up_no_channel_that_consumes(
    alarm: Alarm, unique: str
) -> None:
    blocked = asyncio.Event()
    async with (
        connect(alarm.url, on_event=lambda _: blocked.set()) as bus,
        bus.channel() as channel,
    ):
        queue = await channel.declare_queue(unique, exclusive=True)
        await bus.publisher(unique).publish(1)
        blocked.clear()
        alarm.begin()
        try:
            await until_blocked(bus.publisher(unique, timeout=0.5))
            await blocked.wait()
            assert await queue.get(fail=False) is None
        finally:
            alarm.end()


async def test_what_a_callback_raises_or_logs_is_logged(
    bus: Bus, unique: str, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    called = asyncio.Event()

    async def fail(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        try:
            await aio_pika.connect(f"amqp://127.0.0.1:{unused_tcp_port}/")
        finally:
            called.set()

    async with bus.channel() as channel:
        queue = await channel.declare_queue(unique, exclusive=True)
        await queue.consume(fail, no_ack=True)
        await channel.default_exchange.publish(aio_pika.Message(b"1"), unique)
        await called.wait()
        # By aiormq, or by asyncio where aiormq is older than 7.2.
        await until(
            lambda: any(
                said in caplog.text for said in ("Consumer callback failed", "was never retrieved")
            )
        )
    levels = {record.name: record.levelno for record in caplog.records}
    assert levels.pop("aiormq.connection") == logging.ERROR
    assert set(levels.values()) == {logging.ERROR}
