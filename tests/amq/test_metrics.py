"""What a bus and what consumes on it count, in the words that all components have."""

import asyncio
from typing import Any

import pytest

from gestalt.amq import (
    Bus,
    BusMessage,
    DeadlineExceeded,
    NoResponder,
    Partitioned,
    Queue,
    Request,
    Retry,
    Unroutable,
    connect,
)
from gestalt.core import Component, Discard
from gestalt.core.census import components, parent_of
from gestalt.core.metrics import Histogram, measure
from tests.support.alarms import Alarm
from tests.support.waiting import QUICK, until

SOON = Retry(attempts=3, delay=0.02, factor=1)


def counted(component: Component, **labels: str) -> dict[str, Any]:
    """The metrics of a component that have these labels, those that are not 0 alone."""
    found: dict[str, Any] = {}
    for metric in measure(component):
        rest = dict(metric.labels)
        if any(rest.pop(name, None) != value for name, value in labels.items()):
            continue
        name = " ".join([metric.name, *rest.values()])
        value = metric.value.count if isinstance(metric.value, Histogram) else metric.value
        if value and name not in ("running", "ready", "up"):
            found[name] = value
    return found


async def test_publishes_and_deliveries_are_counted(bus: Bus, unique: str) -> None:
    bodies: list[object] = []
    subscription = await bus.subscribe(
        unique, "#", lambda each: bodies.append(each.body), queue=unique
    )
    publisher = bus.publisher(unique)
    for number in range(10):
        await publisher.publish(number)
    async with bus.publisher(unique).batch() as batch:
        for number in range(10):
            await batch.publish(number)
    await until(lambda: len(bodies) == 20)
    await until(lambda: counted(subscription).get("duration") == 20)
    await until(lambda: "unconfirmed" not in counted(bus, exchange=unique))
    published = counted(bus, exchange=unique)
    assert (published["published"], published["confirmed"]) == (20, 20)
    assert 10 < published.pop("latency") <= 20
    assert published == {"published": 20, "confirmed": 20}
    assert counted(subscription) == {
        "received": 20, "received_bytes": 20, "handled": 20, "duration": 20
    }  # fmt: skip


async def test_what_waits_for_a_handler_is_counted(bus: Bus, unique: str) -> None:
    opened, begun = asyncio.Event(), 0

    async def handle(message: BusMessage[object]) -> None:
        nonlocal begun
        begun += 1
        await opened.wait()

    subscription = await bus.subscribe(unique, "#", handle, queue=unique, concurrency=2)
    async with bus.publisher(unique).batch() as batch:
        for number in range(5):
            await batch.publish(number)
    await until(lambda: begun == 2)
    found = counted(subscription)
    assert found["in_flight"] == 2
    assert found.get("backlog", 0) == found["received"] - 2
    assert "handled" not in found
    opened.set()
    await until(lambda: counted(subscription).get("handled") == 5)
    found = counted(subscription)
    assert "in_flight" not in found
    assert "backlog" not in found


async def test_what_becomes_of_failures_is_counted(bus: Bus, unique: str) -> None:
    def handle(message: BusMessage[str]) -> None:
        if message.body == "bad":
            raise LookupError("bad")
        if message.body == "old":
            raise Discard("old")
        if message.body == "once" and message.attempt == 1:
            raise LookupError("once")

    subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=SOON)
    for body in ("good", "bad", "old", "once"):
        await bus.publisher(unique).publish(body)
    await until(lambda: counted(subscription).get("parked") and subscription.stats.handled == 2)
    found = counted(subscription)
    assert (found["handled"], found["parked"], found["discarded"]) == (2, 1, 1)
    # Two attempts of the bad one, and one of the other, were retried.
    assert (found["retried"], found["failed"]) == (3, 4)


async def test_what_no_queue_takes_is_counted_as_returned(bus: Bus, unique: str) -> None:
    publisher = bus.publisher(unique)
    with pytest.raises(Unroutable):
        await publisher.publish("nobody", "nowhere", mandatory=True)
    await publisher.publish("nobody", "nowhere")
    found = counted(bus, exchange=unique)
    assert (found["published"], found["returned"], found["confirmed"]) == (2, 1, 1)


async def test_what_is_not_confirmed_is_counted_by_its_reason(alarm: Alarm, unique: str) -> None:
    async with connect(alarm.url, backoff=QUICK, stop_timeout=1.0) as bus:
        publisher = bus.publisher(unique)
        await publisher.publish("before")
        publishing = asyncio.ensure_future(publisher.publish("cancelled"))
        while not counted(bus, exchange=unique).get("unconfirmed"):
            await asyncio.sleep(0)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        await until(lambda: "unconfirmed" not in counted(bus, exchange=unique))
        found = counted(bus, exchange=unique)
        assert (found["published"], found["confirmed"]) == (2, 1)
        assert found["failed cancelled"] == 1


async def test_delayed_messages_are_counted_by_their_exchange(bus: Bus, unique: str) -> None:
    await bus.publisher(unique).publish("later", delay=30)
    found = counted(bus, exchange=unique)
    assert (found["published"], found["confirmed"]) == (1, 1)


async def test_calls_and_answers_are_counted(bus: Bus, unique: str) -> None:
    async def handle(request: Request[Any]) -> object:
        if request.body == "bad":
            raise LookupError("bad")
        if request.body == "slow":
            await asyncio.sleep(30)
        return request.body

    responder = await bus.respond(unique, handle)
    requester = bus.requester(unique)
    for body in ("a", "b"):
        assert await requester.request(body) == body
    with pytest.raises(Exception, match="bad"):
        await requester.request("bad")
    with pytest.raises(DeadlineExceeded):
        await requester.request("slow", timeout=0.05)
    found = counted(bus, service=unique)
    assert (found["calls"], found["answered"]) == (4, 3)
    assert found["timed_out"] == 1
    assert found["latency"] == 4
    await until(lambda: counted(responder).get("dropped expired"))
    await until(lambda: "in_flight" not in counted(responder))
    found = counted(responder)
    assert (found["received"], found["handled"], found["failed"]) == (4, 2, 1)
    assert found["dropped expired"] == 1
    # The last one may come when it is too late to begin it.
    assert found["duration"] in (3, 4)


async def test_calls_that_nobody_serves_are_counted(bus: Bus, unique: str) -> None:
    with pytest.raises(NoResponder):
        await bus.requester(unique).request("anybody?")
    found = counted(bus, service=unique)
    assert (found["calls"], found["failed no_responder"]) == (1, 1)
    assert "in_flight" not in found


async def test_what_was_in_flight_when_the_bus_stopped_is_not_for_ever(
    amqp_url: str, unique: str
) -> None:
    bus = connect(amqp_url, backoff=QUICK, stop_timeout=0.0)
    publisher = bus.publisher(unique)
    async with bus:
        publishing = asyncio.ensure_future(publisher.publish("lost?"))
        while not counted(bus, exchange=unique).get("unconfirmed"):
            await asyncio.sleep(0)
    await asyncio.wait([publishing])
    assert publishing.done()
    publishing.exception()
    async with bus:
        await publisher.publish("again")
        found = counted(bus, exchange=unique)
    assert "unconfirmed" not in found
    lost = sum(value for name, value in found.items() if name.startswith("failed"))
    assert found["published"] == found["confirmed"] + lost == 2


async def test_connections_and_consumers_are_in_the_census_within_their_bus(
    bus: Bus, unique: str
) -> None:
    subscription = await bus.subscribe(unique, "#", lambda each: None, queue=Queue(unique))
    await bus.publisher(unique).publish("one")
    found = [each for each in components() if parent_of(each) is bus]
    assert subscription in found
    connections = [each for each in found if "connected" in counted(each)]
    assert len(connections) == 2
    assert {counted(each)["connected"] for each in connections} == {1}
    assert next(each.value for each in measure(bus) if each.name == "ready") == 1


async def test_parts_of_a_queue_count_each_for_itself(bus: Bus, unique: str) -> None:
    bodies: list[object] = []
    whole = await bus.subscribe(
        unique, "#", lambda each: bodies.append(each.body), queue=Partitioned(unique, 2)
    )
    for number in range(8):
        await bus.publisher(unique).publish(number, f"key.{number}")
    await until(lambda: len(bodies) == 8)
    assert counted(whole) == {"partitions": 2, "members": 1}
    parts = [
        each
        for each in components()
        if each.name in (f"subscription {unique}.0", f"subscription {unique}.1")
    ]
    assert len(parts) == 2
    assert sum(counted(each)["handled"] for each in parts) == 8
