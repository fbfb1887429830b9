"""An event loop that did not run is named as what cost the connection."""

import asyncio
import re
import time

from gestalt.amq import Connected, Disconnected, connect
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK


async def test_a_handler_that_blocks_the_loop_is_named_with_its_seconds(
    broker_url: str, unique: str
) -> None:
    lost = asyncio.Event()
    reasons: list[str] = []

    def note(event: object) -> None:
        if isinstance(event, Disconnected):
            reasons.append(str(event.reason))
            lost.set()

    async with connect(f"{broker_url}?heartbeat=1", backoff=QUICK, on_event=note) as bus:
        publisher = bus.publisher(unique)
        await publisher.publish(1)
        time.sleep(6.0)  # noqa: ASYNC251 - the fault itself
        async with asyncio.timeout(10):
            await lost.wait()
            await publisher.publish(2)
    found = re.search(r"this process's event loop did not run for (\d+\.\d) s", reasons[0])
    assert found is not None, reasons
    assert 5.0 <= float(found[1]) <= 8.0


async def test_a_network_that_fails_is_not_blamed_on_the_loop(
    broker_port: int, unique: str
) -> None:
    lost = asyncio.Event()
    reasons: list[str] = []

    def note(event: object) -> None:
        if isinstance(event, Disconnected):
            reasons.append(str(event.reason))
            lost.set()

    async with Proxy(broker_port) as proxy:
        url = f"amqp://127.0.0.1:{proxy.port}/?heartbeat=1"
        async with connect(url, backoff=QUICK, on_event=note) as bus, asyncio.timeout(10):
            await bus.publisher(unique).publish(1)
            proxy.freeze()
            await lost.wait()
            proxy.thaw()
    assert reasons
    assert "did not run" not in reasons[0]
    assert "nothing was heard from the broker" in reasons[0]


async def test_a_short_stall_costs_nothing(broker_url: str, unique: str) -> None:
    told: list[object] = []
    async with connect(f"{broker_url}?heartbeat=2", on_event=told.append) as bus:
        await bus.publisher(unique).publish(1)
        time.sleep(1.0)  # noqa: ASYNC251 - the fault itself
        await bus.publisher(unique).publish(2)
    assert [type(event) for event in told] == [Connected]
