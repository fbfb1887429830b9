"""Patterns that a queue is bound by, and that the application does not name any more."""

import asyncio
import logging
from collections.abc import AsyncIterator

import aio_pika
import aio_pika.abc
import pytest

from gestalt.amq import Binding, Bus, Event, Exchange, Plan, StaleBindings, Unroutable, connect
from tests.support.collector import Collector


@pytest.fixture
async def admin(broker_url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(broker_url) as connection:
        yield await connection.channel()


@pytest.fixture
def events() -> list[Event]:
    return []


def stale(events: list[Event]) -> list[StaleBindings]:
    return [each for each in events if isinstance(each, StaleBindings)]


async def routes(url: str, exchange: str, key: str) -> bool:
    async with connect(url) as bus:
        try:
            await bus.publisher(exchange, mandatory=True).publish(key, key)
        except Unroutable:
            return False
        return True


async def run(
    url: str, events: list[Event], name: str, *patterns: str, exact: bool = False
) -> None:
    """One version of an application, which subscribes and ends."""
    async with connect(url, on_event=events.append) as bus:
        await bus.subscribe(name, patterns, Collector(), queue=name, exact=exact)


async def test_patterns_of_an_earlier_version_are_told_and_stay(
    broker_url: str, unique: str, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    await run(broker_url, events, unique, "a.*", "b.*")
    await run(broker_url, events, unique, "b.*", "a.*")
    assert stale(events) == []
    for _ in range(2):
        await run(broker_url, events, unique, "b.*", "c.*")
        (told,) = stale(events)
        assert told.queue == unique
        assert not told.unbound
        assert "'a.*'" in told.bindings[0]
        events.clear()
    assert "not named any more" in caplog.text
    assert await routes(broker_url, unique, "a.x")


async def test_with_exact_they_are_unbound_and_nothing_else_is(
    broker_url: str, unique: str, events: list[Event]
) -> None:
    await run(broker_url, events, unique, "a.*", "b.*")
    await run(broker_url, events, unique, "b.*", exact=True)
    (told,) = stale(events)
    assert told.unbound
    assert not await routes(broker_url, unique, "a.x")
    assert await routes(broker_url, unique, "b.x")
    events.clear()
    await run(broker_url, events, unique, "b.*")
    assert stale(events) == []


async def test_a_version_that_still_runs_keeps_its_patterns_unless_exact_was_asked_for(
    broker_url: str, unique: str, events: list[Event]
) -> None:
    async with connect(broker_url, on_event=events.append) as old:
        await old.subscribe(unique, "a.*", Collector(), queue=unique)
        await run(broker_url, events, unique, "b.*")
        assert await routes(broker_url, unique, "a.x")
        # The old version, started again, tells of the new one's, and leaves them alone.
        events.clear()
        await run(broker_url, events, unique, "a.*")
        assert len(stale(events)) == 1
        assert await routes(broker_url, unique, "b.x")


async def test_what_the_same_bus_names_elsewhere_is_not_stale(
    broker_url: str, unique: str, events: list[Event]
) -> None:
    for _ in range(2):
        bus = connect(broker_url, on_event=events.append)
        bus.subscription(unique, "a.*", Collector(), queue=unique, exact=True)
        bus.declare(Binding(unique, "b.*", to=unique), Binding(unique, "c.*", to=unique))
        async with bus:
            pass
    assert stale(events) == []
    for key in ("a.x", "b.x", "c.x"):
        assert await routes(broker_url, unique, key)


async def test_bindings_with_arguments_are_told_apart_and_unbound(
    broker_url: str, unique: str, events: list[Event]
) -> None:
    exchange = Exchange(unique, type="headers")
    one, two = {"x-match": "all", "kind": "a"}, {"x-match": "all", "kind": "b"}
    async with connect(broker_url, on_event=events.append) as bus:
        await bus.declare(
            Binding(exchange, "", to=unique, arguments=one),
            Binding(exchange, "", to=unique, arguments=two),
        )
    async with connect(broker_url, on_event=events.append) as bus:
        await bus.declare(Binding(exchange, "", to=unique, arguments=one), exact=True)
        (told,) = stale(events)
        assert "'kind': 'b'" in told.bindings[0]
        publisher = bus.publisher(exchange, mandatory=True)
        await publisher.publish("x", headers={"kind": "a"})
        with pytest.raises(Unroutable):
            await publisher.publish("x", headers={"kind": "b"})


async def test_records_of_several_that_begin_at_once_are_joined(
    broker_url: str, unique: str, events: list[Event]
) -> None:
    await asyncio.gather(*(run(broker_url, [], unique, f"{number}.*") for number in range(5)))
    await run(broker_url, events, unique, "last.*")
    (told,) = stale(events)
    assert len(told.bindings) == 5


async def test_a_record_that_cannot_be_kept_or_read_keeps_nothing_from_its_work(
    bus: Bus,
    broker_url: str,
    admin: aio_pika.abc.AbstractChannel,
    unique: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await bus.declare(Binding(unique, "#", to=unique))
    for odd in (b"\xff", b"[]", b'[{"exchange": 1, "key": 2, "arguments": 3}]', b'{"a": 1}'):
        await admin.default_exchange.publish(aio_pika.Message(odd), f"{unique}.bindings")
    got = Collector()
    await bus.subscribe(unique, "#", got, queue=unique)
    other = f"{unique}.other"
    await admin.declare_queue(f"{other}.bindings", exclusive=True)
    with caplog.at_level(logging.WARNING, "gestalt.amq"):
        await bus.subscribe(unique, "#", got, queue=other)
    assert "are not recorded" in caplog.text
    await bus.publisher(unique).publish("x", "any")
    assert await got.wait(2) == ["x", "x"]


async def test_applying_tells_what_is_bound_beyond_the_plan_and_unbinds_it_where_that_is_asked_for(
    broker_url: str, unique: str
) -> None:
    def plan(*patterns: str) -> Plan:
        bus = connect(broker_url, declare=False)
        bus.subscription(unique, patterns, Collector(), queue=unique)
        return bus.topology.plan()

    admin = connect(broker_url)
    assert await admin.topology.apply(plan("a.*", "b.*")) == []
    (told,) = await admin.topology.apply(plan("b.*"))
    assert told.key == "a.*"
    assert await routes(broker_url, unique, "a.x")
    assert await admin.topology.apply(plan("b.*"), exact=True) == [told]
    assert not await routes(broker_url, unique, "a.x")
    assert await admin.topology.apply(plan("b.*")) == []
