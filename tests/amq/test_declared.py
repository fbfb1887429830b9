"""What is declared before a bus starts: it starts with the bus, every time, and stops with it."""

import asyncio
import dataclasses
import inspect
from typing import Any

import pytest

from gestalt.amq import (
    Bus,
    BusMessage,
    Publisher,
    PublisherOptions,
    Queue,
    Requester,
    RequesterOptions,
    ResponderDeclaration,
    RespondOptions,
    Retry,
    SubscribeOptions,
    SubscriptionDeclaration,
    TopologyError,
    connect,
)
from gestalt.amq.topology import Exchange
from gestalt.codecs import Codec
from gestalt.core import Handlers, State, StateError
from tests.support.waiting import QUICK


@pytest.fixture
def idle(broker_url: str) -> Bus:
    """A bus that is not started."""
    return connect(broker_url, stop_timeout=5.0, backoff=QUICK)


async def test_declared_functions_are_left_as_they_are_and_called_when_the_bus_runs(
    idle: Bus, unique: str
) -> None:
    got: asyncio.Queue[int] = asyncio.Queue()

    async def track(message: BusMessage[int]) -> None:
        await got.put(message.body)

    def double(message: Any) -> int:
        return 2 * int(message.body)

    assert idle.subscriber(unique, "number.*", queue=unique)(track) is track
    assert idle.responder(unique, concurrency=3)(double) is double
    async with idle:
        assert idle.ready
        await idle.publisher(unique).publish(5, "number.five")
        async with asyncio.timeout(10):
            assert await got.get() == 5
            assert await idle.requester(unique).request(21) == 42


async def test_a_declared_table_of_handlers_has_its_consumer_while_the_bus_runs(
    idle: Bus, unique: str
) -> None:
    handlers = Handlers()
    handlers.on(int)(lambda message: message.body + 1)
    tracker = idle.subscription(unique, "#", handlers, queue=unique)
    service = idle.service(unique, handlers)
    assert tracker.consumer is service.consumer is None
    async with idle:
        await idle.publisher(unique, mandatory=True).publish(1)
        assert await idle.requester(unique).request(1) == 2
        assert tracker.consumer is not None
        assert service.consumer is not None
        assert service.consumer.stats.replied == 1
        async with asyncio.timeout(10):
            while not tracker.consumer.stats.handled:
                await asyncio.sleep(0)
    assert tracker.consumer.state is service.consumer.state is State.STOPPED


def test_what_is_declared_starts_again_with_each_start_in_any_event_loop(
    idle: Bus, unique: str
) -> None:
    bodies: list[int] = []
    handled: asyncio.Event

    @idle.subscriber(unique, "#", queue=unique)
    async def track(message: BusMessage[int]) -> None:
        bodies.append(message.body)
        handled.set()

    @idle.responder(unique)
    def answer(message: Any) -> int:
        return len(bodies)

    publisher, requester = idle.publisher(unique), idle.requester(unique)

    async def run(number: int) -> None:
        nonlocal handled
        for _ in range(2):
            handled = asyncio.Event()
            async with idle, asyncio.timeout(10):
                await publisher.publish(number)
                await handled.wait()
                assert await requester.request(None) == len(bodies)

    for number in range(3):
        asyncio.run(run(number))
    assert bodies == [0, 0, 1, 1, 2, 2]


async def test_one_that_cannot_start_fails_the_start_and_takes_back_what_came_before(
    idle: Bus, bus: Bus, unique: str
) -> None:
    before = asyncio.all_tasks()
    first = idle.subscription(unique, "#", print, queue=f"{unique}.first")
    refused = idle.subscription(unique, "#", print, queue=Queue(f"{unique}.absent", declare=False))
    last = idle.subscription(unique, "#", print, queue=f"{unique}.last")
    with pytest.raises(TopologyError, match=f"subscription {unique}.absent"):
        await idle.start()
    assert idle.state is State.FAILED
    assert first.consumer is not None
    assert refused.consumer is not None
    assert first.consumer.state is State.STOPPED
    assert refused.consumer.state is State.FAILED
    assert last.consumer is None, "they start one after the other, in the order declared"
    assert asyncio.all_tasks() <= before
    # What was against it is gone: the same bus starts.
    await bus.subscribe(unique, "#", print, queue=f"{unique}.absent")
    async with idle:
        assert idle.ready
        assert last.consumer is not None  # type: ignore[unreachable]  # it has been made by now


async def test_a_bus_that_is_stopped_while_it_starts_leaves_none_of_them(
    idle: Bus, unique: str
) -> None:
    before = asyncio.all_tasks()
    declared = [idle.subscription(unique, "#", print) for _ in range(20)]
    starting = asyncio.create_task(idle.start())
    async with asyncio.timeout(10):
        while declared[1].consumer is None:
            await asyncio.sleep(0)
    await idle.stop()
    with pytest.raises(StateError, match="stopped while it was starting"):
        await starting
    assert declared[-1].consumer is None
    assert all(
        each.consumer is None or each.consumer.state is not State.RUNNING for each in declared
    )
    assert asyncio.all_tasks() <= before


async def test_a_started_bus_takes_no_declarations_and_says_what_does_it(
    idle: Bus, unique: str
) -> None:
    async with idle:
        for declare, instead in (
            (lambda: idle.subscriber(unique, "#")(print), "subscribe"),
            (lambda: idle.subscription(unique, "#", print), "subscribe"),
            (lambda: idle.responder(unique)(print), "respond"),
            (lambda: idle.service(unique, print), "respond"),
        ):
            with pytest.raises(StateError, match=rf"declare before the start, or await {instead}"):
                declare()
    assert idle.declarations == []
    idle.subscription(unique, "#", print)
    assert len(idle.declarations) == 1


def test_a_declaration_is_plain_data_that_can_be_read_before_the_start() -> None:
    bus = connect("amqp://localhost")
    codec = Codec("text")
    bus.subscription("telemetry", "vehicle.*", print, queue="tracker", prefetch=7, codec=codec)
    bus.service("tracker", print, version="2", codec=codec)
    bus.subscription(Exchange("events", "fanout"), ["a", "b"], print, retry=None)
    assert bus.declarations == [
        SubscriptionDeclaration(
            Exchange("telemetry"),
            ("vehicle.*",),
            print,
            queue=Queue("tracker"),
            prefetch=7,
            codec=codec,
            retry=Retry(),
        ),
        ResponderDeclaration("tracker", print, version="2", codec=(codec,)),
        SubscriptionDeclaration(Exchange("events", "fanout"), ("a", "b"), print, retry=None),
    ]


def test_what_makes_no_sense_is_refused_where_it_is_declared() -> None:
    bus = connect("amqp://localhost")
    with pytest.raises(ValueError, match="concurrency must be at least 1"):
        bus.subscription("telemetry", "#", print, concurrency=0)
    with pytest.raises(TypeError, match="is a function or Handlers, got an object of type int"):
        bus.subscription("telemetry", "#", 5)  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(TypeError, match="a handler is a function"):
        bus.service("tracker", None)  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(TypeError, match="no option 'prefech'; did you mean 'prefetch'"):
        bus.subscriber("telemetry", "#", prefech=1)(print)  # type: ignore[call-arg]  # the same
    with pytest.raises(TypeError, match="no option 'x'; there are codec, version"):
        bus.service("tracker", print, x=1)  # type: ignore[call-arg]  # what the test is about
    assert bus.declarations == []


@pytest.mark.parametrize(
    ("options", "described"),
    [
        (SubscribeOptions, {field.name for field in dataclasses.fields(SubscriptionDeclaration)}),
        (RespondOptions, {field.name for field in dataclasses.fields(ResponderDeclaration)}),
        (PublisherOptions, set(inspect.signature(Publisher).parameters)),
        (RequesterOptions, set(inspect.signature(Requester).parameters)),
    ],
)
def test_every_option_has_its_default_and_is_explained(options: type, described: set[str]) -> None:
    names = set(options.__annotations__)
    given = {"exchange", "patterns", "service", "handler"}
    made = {"keeper", "backoff", "tracing", "codec", "delays"} if "keeper" in described else set()
    assert names == described - given - made
    documented = inspect.getdoc(options)
    assert documented is not None
    assert all(f"\n    {name}: " in documented for name in names)
