"""A bus that does not run refuses what is sent, at once: nothing would ever come of it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gestalt.amq import Bus, connect
from gestalt.core import StateError


def batch(bus: Bus) -> Callable[[], Awaitable[object]]:
    async def publish() -> None:
        async with bus.publisher("any").batch() as batch:
            await batch.publish(1)

    return publish


ACTIONS: dict[str, Callable[[Bus], Callable[[], Awaitable[object]]]] = {
    "publish": lambda bus: lambda: bus.publisher("any").publish(1, "key"),
    "publish as a user": lambda bus: lambda: bus.publisher("any").publish(1, user_id="guest"),
    "batch": batch,
    "request": lambda bus: lambda: bus.requester("any").request(1),
    "gather": lambda bus: lambda: bus.requester("any").gather(1),
    "ping": lambda bus: lambda: bus.requester("any").ping(),
    "stream": lambda bus: lambda: anext(bus.requester("any").stream(1)),
    "list what is parked": lambda bus: lambda: bus.parked("any").list(),
    "replay what is parked": lambda bus: lambda: bus.parked("any").replay(),
}


@pytest.mark.parametrize("make", ACTIONS.values(), ids=ACTIONS)
async def test_what_is_sent_before_the_start_and_after_the_stop_is_refused_at_once(
    amqp_url: str, make: Callable[[Bus], Callable[[], Awaitable[object]]]
) -> None:
    bus = connect(amqp_url)
    action = make(bus)
    async with asyncio.timeout(2):
        with pytest.raises(StateError, match="is not running: start it before"):
            await action()
        async with bus:
            pass
        with pytest.raises(StateError, match="is not running: start it before"):
            await action()


async def test_what_is_sent_while_a_bus_starts_waits_for_it(amqp_url: str) -> None:
    bus = connect(amqp_url)
    publisher = bus.publisher("any")
    starting = asyncio.create_task(bus.start())
    for _ in range(3):
        await asyncio.sleep(0)
    assert bus.trouble == "it is starting"
    await publisher.publish(1)
    await starting
    assert bus.ready
    await bus.stop()


async def test_a_start_that_fails_refuses_what_waited_for_it(unused_url: str) -> None:
    bus = connect(unused_url, start_timeout=0.2)
    publisher = bus.publisher("any")
    starting = asyncio.create_task(bus.start())
    for _ in range(3):
        await asyncio.sleep(0)
    assert bus.trouble == "it is starting"
    async with asyncio.timeout(3):
        with pytest.raises(StateError):
            await publisher.publish(1)
        with pytest.raises(ConnectionError):
            await starting


@pytest.fixture
def unused_url(unused_tcp_port: int) -> str:
    return f"amqp://127.0.0.1:{unused_tcp_port}/"
