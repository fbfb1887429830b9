"""A bus starts, stops and starts again, in any event loop, and leaves nothing behind."""

import asyncio
import contextlib
import gc
import logging
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from gestalt.amq import (
    AccessRefused,
    Bus,
    Connected,
    ConnectError,
    Disconnected,
    NotSent,
    OutcomeUnknown,
    connect,
)
from gestalt.core import Backoff, State, StateError
from tests.support.alarms import Alarm
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, Reported


async def use(bus: Bus, unique: str, publisher: Any, requester: Any) -> None:
    """One of everything."""
    got: asyncio.Queue[int] = asyncio.Queue()
    await bus.subscribe(unique, "#", lambda message: got.put_nowait(message.body))
    await bus.respond(unique, lambda message: message.body + 1)
    async with asyncio.timeout(10):
        await publisher.publish(1)
        assert await got.get() == 1
        assert await requester.request(1) == 2


def test_a_bus_starts_again_in_another_event_loop_with_its_publishers_and_requesters(
    broker_url: str, unique: str
) -> None:
    bus = connect(broker_url, backoff=QUICK)
    publisher = bus.publisher(unique, mandatory=True)
    requester = bus.requester(unique)

    async def run() -> None:
        for _ in range(2):
            async with bus:
                await use(bus, unique, publisher, requester)
            with pytest.raises(StateError, match="not running"):
                await publisher.publish(1)
            with pytest.raises(StateError, match="not running"):
                await requester.request(1)

    for _ in range(3):
        asyncio.run(run())


def test_what_waited_in_one_loop_does_not_bind_the_bus_to_it(broker_url: str, unique: str) -> None:
    bus = connect(broker_url, backoff=QUICK)
    publisher = bus.publisher(unique, timeout=0.05, max_unconfirmed=1)

    async def too_early() -> None:
        with pytest.raises(StateError):
            await publisher.publish(1)

    async def run() -> None:
        async with bus:
            await asyncio.gather(*(publisher.publish(number, timeout=10) for number in range(20)))

    asyncio.run(too_early())
    for _ in range(2):
        asyncio.run(run())


async def test_a_subscription_ends_with_its_bus_and_says_so(broker_url: str, unique: str) -> None:
    bus = connect(broker_url, backoff=QUICK)
    async with bus:
        subscription = await bus.subscribe(unique, "#", print)
        responder = await bus.respond(unique, print)
    for consumer in (subscription, responder):
        assert consumer.state is State.STOPPED
        with pytest.raises(StateError, match="not running"):
            await consumer.start()
    for call in (bus.subscribe(unique, "#", print), bus.respond(unique, print)):
        with pytest.raises(StateError, match="not running"):
            await call


# Stopping


def of_proxy(task: asyncio.Task[Any]) -> bool:
    return getattr(task.get_coro(), "__qualname__", "").startswith("Proxy.")


async def stopped_within(seconds: float, stop: Awaitable[object]) -> None:
    begun = time.monotonic()
    await stop
    assert time.monotonic() - begun < seconds


@pytest.mark.parametrize("what", ["idle", "everything", "a subscription alone"])
async def test_a_stop_in_a_black_hole_ends_in_time_and_nothing_lives_on(
    broker_port: int, unique: str, what: str, reported: Reported
) -> None:
    told: list[object] = []
    before = asyncio.all_tasks()
    async with Proxy(broker_port) as proxy:
        url = f"amqp://127.0.0.1:{proxy.port}/"
        bus = connect(url, stop_timeout=1.0, backoff=QUICK, on_event=told.append)
        await bus.start()
        publisher, requester = bus.publisher(unique), bus.requester(unique)
        sent: list[asyncio.Task[Any]] = []
        if what != "idle":
            await use(bus, unique, publisher, requester)
            subscription = await bus.subscribe(unique, "#", print, queue=unique)
        proxy.freeze()
        if what == "everything":
            sent += [asyncio.create_task(publisher.publish(2)) for _ in range(5)]
            sent += [asyncio.create_task(requester.request(2)) for _ in range(5)]
            await asyncio.sleep(0)
        if what == "a subscription alone":
            await stopped_within(2.2, subscription.stop())
        await stopped_within(2.2, bus.stop())
        errors = await asyncio.gather(*sent, return_exceptions=True)
        assert {type(error) for error in errors} <= {OutcomeUnknown}
        assert bus.state is State.STOPPED
        count, accepted = len(told), proxy.accepted
        proxy.thaw()
        # Longer than any backoff.
        await asyncio.sleep(0.5)
        assert (len(told), proxy.accepted) == (count, accepted)
        await proxy.wait_connections(0)
    left = {task.get_name() for task in asyncio.all_tasks() - before if not of_proxy(task)}
    assert left == set()
    assert reported == []


@pytest.mark.slow
@pytest.mark.parametrize("what", ["publisher", "responder", "subscriber", "requester"])
async def test_a_stop_during_a_memory_alarm_is_clean_and_soon(
    alarm: Alarm, unique: str, what: str, reported: Reported
) -> None:
    before = asyncio.all_tasks()
    bus = connect(alarm.url, stop_timeout=1.0, backoff=QUICK)
    await bus.start()
    waiting: list[asyncio.Task[Any]] = []
    if what == "responder":
        # Its connection publishes nothing before the stop.
        await bus.respond(unique, lambda message: message.body)
    elif what == "subscriber":
        await bus.subscribe(unique, "#", print, queue=unique)
    elif what == "requester":
        await bus.respond(unique, lambda message: message.body)
        assert await bus.requester(unique).request(1) == 1
    await asyncio.to_thread(alarm.begin)
    try:
        if what == "publisher":
            waiting += [asyncio.create_task(bus.publisher(unique).publish(1))]
        elif what == "requester":
            waiting += [asyncio.create_task(bus.requester(unique).request(1))]
        if waiting:
            await asyncio.wait(waiting, timeout=0.3)
        idle = what in ("responder", "subscriber")
        await stopped_within(0.9 if idle else 2.2, bus.stop())
    finally:
        await asyncio.to_thread(alarm.end)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, OutcomeUnknown | StateError) for result in results)
    assert bus.state is State.STOPPED
    assert asyncio.all_tasks() == before
    assert reported == []


async def test_a_handler_that_stops_its_bus_begins_the_stop_and_returns(
    broker_url: str, unique: str
) -> None:
    for way in (lambda stop: stop, lambda stop: asyncio.wait_for(stop, 5), asyncio.gather):
        done = asyncio.Event()
        bus = connect(broker_url, stop_timeout=5.0, backoff=QUICK)
        async with bus:

            async def handle(
                message: object, bus: Bus = bus, way: Any = way, done: asyncio.Event = done
            ) -> None:
                await way(bus.stop())
                done.set()

            await bus.subscribe(unique, "#", handle)
            await bus.publisher(unique).publish(1)
            await stopped_within(3, bus.wait_stopped())
            assert done.is_set()


async def test_a_stop_that_is_cut_before_it_drains_cuts_what_is_handled(
    broker_url: str, unique: str
) -> None:
    begun: asyncio.Queue[None] = asyncio.Queue()

    async def handle(_: object) -> None:
        begun.put_nowait(None)
        await asyncio.Event().wait()

    # Each has 10 s by itself, and the bus 5 s to close.
    bus = connect(broker_url, backoff=QUICK)
    await bus.start()
    await bus.subscribe(unique, "#", handle)
    await bus.respond(unique, handle)
    await bus.publisher(unique).publish(1)
    request = asyncio.create_task(bus.requester(unique).request(1))
    for _ in range(2):
        await begun.get()
    stopping = asyncio.create_task(bus.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await stopped_within(3, asyncio.wait([stopping]))
    assert bus.state is State.STOPPED
    with pytest.raises(OutcomeUnknown):
        await request


async def test_a_request_whose_handler_stops_the_bus_is_replied_to(
    broker_url: str, unique: str
) -> None:
    bus = connect(broker_url, stop_timeout=5.0, backoff=QUICK)

    async def handle(message: object) -> str:
        await bus.stop()
        return "good bye"

    async with connect(broker_url, backoff=QUICK) as caller, bus:
        await bus.respond(unique, handle)
        assert await caller.requester(unique).request(1) == "good bye"
        await stopped_within(3, bus.wait_stopped())


# Starting


def descriptors() -> set[str]:
    """What this process has open, by what it is."""
    found: set[str] = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(str(descriptor.readlink()))
    return {target for target in found if target.startswith("socket:")}


async def use_and_stop(bus: Bus, unique: str) -> None:
    async with bus:
        await bus.subscribe(unique, "#", print)
        await bus.respond(unique, print)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at open files in /proc")
@pytest.mark.parametrize("how", ["cancelled", "stopped"])
async def test_a_start_that_ends_at_any_moment_leaves_nothing(
    amqp_url: str, unique: str, how: str, reported: Reported
) -> None:
    bus = connect(amqp_url, stop_timeout=1.0, backoff=QUICK)
    await use_and_stop(bus, unique)
    gc.collect()
    sockets, tasks = descriptors(), asyncio.all_tasks()
    most, turn, misses = 400, 0, 0
    while turn < most and misses < 3:
        starting = asyncio.ensure_future(use_and_stop(bus, unique))
        for _ in range(turn):
            await asyncio.sleep(0)
        misses += starting.done()
        if how == "cancelled":
            starting.cancel()
        else:
            await bus.stop()
        (result,) = await asyncio.gather(starting, return_exceptions=True)
        assert result is None or isinstance(result, asyncio.CancelledError | StateError), result
        assert asyncio.all_tasks() == tasks, turn
        # The broker, in a thread of this process, closes its ends when it hears of ours.
        async with asyncio.timeout(5):
            while not descriptors() <= sockets:
                await asyncio.sleep(0.01)
        assert bus.state in (State.STOPPED, State.NEW)
        # Each turn at first, where everything is made, and further apart later.
        turn += 1 + turn // 40
    assert reported == []
    await use_and_stop(bus, unique)


# What it tells


async def test_an_on_event_that_raises_is_reported_and_ends_nothing(
    broker_url: str,
    broker_port: int,
    unique: str,
    caplog: pytest.LogCaptureFixture,
    reported: Reported,
) -> None:
    told: list[object] = []

    def on_event(event: object) -> Any:
        told.append(event)
        if len(told) % 3 == 0:
            raise asyncio.CancelledError
        if len(told) % 3 == 1:
            raise KeyError("on_event")
        return asyncio.sleep(0)

    async with Proxy(broker_port) as proxy:
        url = f"amqp://127.0.0.1:{proxy.port}/"
        async with connect(url, name="fleet", backoff=QUICK, on_event=on_event) as bus:
            publisher = bus.publisher(unique)
            for count in range(1, 4):
                await publisher.publish(count, timeout=10)
                await proxy.cut()
                async with asyncio.timeout(10):
                    while len(told) < 2 * count + 1:
                        await asyncio.sleep(0.01)
            assert bus.state is State.RUNNING
            assert bus.reported >= 7
    assert reported == []
    assert "on_event failed on Connected" in caplog.text


async def test_attempts_and_losses_are_lines_with_the_bus_the_host_and_the_port(
    broker_port: int,
    unique: str,
    unused_tcp_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with Proxy(broker_port) as proxy:
        urls = [f"amqp://127.0.0.1:{port}/" for port in (unused_tcp_port, proxy.port)]
        async with connect(urls, name="fleet", backoff=QUICK) as bus:
            await bus.publisher(unique).publish(1)
            proxy.refuse()
            await proxy.cut()
            with pytest.raises(NotSent, match="Connection refused"):
                await bus.publisher(unique, timeout=0.5).publish(1)
            proxy.allow()
            await bus.publisher(unique, timeout=10).publish(1)
    lines = caplog.text.splitlines()
    assert all("gestalt.amq" in line for line in lines), lines
    text = caplog.text
    assert f"fleet publish: 127.0.0.1:{unused_tcp_port} cannot be connected" in text
    assert f"fleet publish: the connection to 127.0.0.1:{proxy.port} is up" in text
    assert f"fleet publish: the connection to 127.0.0.1:{proxy.port} is lost: " in text
    assert "Traceback" not in text


async def test_a_broker_that_stays_away_does_not_flood_the_log(
    unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    bus = connect(
        f"amqp://127.0.0.1:{unused_tcp_port}/",
        start_timeout=1.0,
        backoff=Backoff(initial=0.001, maximum=0.001),
    )
    with pytest.raises(ConnectError, match=f"127.0.0.1:{unused_tcp_port}"):
        await bus.start()
    (line,) = caplog.messages
    assert line.endswith("; it is tried again")


async def test_what_an_application_logs_of_the_client_library_stays(
    broker_url: str, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    import aiormq

    async with connect(broker_url):
        pass
    with pytest.raises(ConnectionError):
        await aiormq.connect(f"amqp://127.0.0.1:{unused_tcp_port}/")
    assert [record.name for record in caplog.records] == ["aiormq.connection"]


async def test_refused_credentials_are_one_line_and_the_reason_of_what_was_not_sent(
    amqp_broker: Any, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = amqp_broker.url.replace("guest:guest", "guest:wrong")
    with pytest.raises(AccessRefused, match="refused the credentials"):
        await connect(url, backoff=QUICK).start()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "tried again" not in caplog.text
    told: list[object] = []
    async with connect(amqp_broker.url, backoff=QUICK, on_event=told.append) as bus:
        amqp_broker.refuse_connections()
        amqp_broker.drop_connections()
        async with asyncio.timeout(10):
            while not any(isinstance(event, Disconnected) for event in told):
                await asyncio.sleep(0.01)
        with pytest.raises(NotSent, match="no connection to a broker: "):
            await bus.publisher(unique, timeout=0.3).publish(1)
        amqp_broker.accept_connections()


async def test_a_bus_whose_supervision_was_cancelled_by_somebody_fails(
    broker_url: str, reported: Reported
) -> None:
    bus = connect(broker_url, name="fleet", backoff=QUICK)
    await bus.start()
    for task in asyncio.all_tasks():
        if task.get_name() == "fleet publish keep":
            task.cancel()
    with pytest.raises(StateError, match="cancelled from outside"):
        await bus.wait_stopped()
    assert bus.state is State.FAILED


# Eager tasks


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_everything_works_with_eager_tasks(
    broker_url: str, broker_port: int, unique: str, reported: Reported
) -> None:
    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    try:
        async with Proxy(broker_port) as proxy:
            url = f"amqp://127.0.0.1:{proxy.port}/"
            bus = connect(url, backoff=QUICK, on_event=told.append)
            async with bus, asyncio.timeout(20):
                publisher, requester = bus.publisher(unique), bus.requester(unique)
                await use(bus, unique, publisher, requester)
                await asyncio.gather(*(publisher.publish(number) for number in range(100)))
                replies = await asyncio.gather(*(requester.request(n) for n in range(100)))
                assert replies == list(range(1, 101))
                async with publisher.batch() as batch:
                    for number in range(10):
                        await batch.publish(number)
                await proxy.cut()
                while sum(isinstance(event, Connected) for event in told) < 6 or not bus.ready:
                    await asyncio.sleep(0.01)
                assert await requester.request(1) == 2

                async def stop(message: object) -> None:
                    await bus.stop()

                await bus.subscribe(f"{unique}-stop", "#", stop)
                await bus.publisher(f"{unique}-stop").publish(1)
                await bus.wait_stopped()
    finally:
        loop.set_task_factory(None)
    assert reported == []
