"""Handlers of a subscription give way to the event loop, however many run at once."""

import asyncio
import time
from itertools import pairwise
from typing import Any

import pytest

from gestalt.amq import connect
from gestalt.core import Batch
from tests.support.waiting import until

COUNT = 60


@pytest.mark.parametrize(
    "options",
    [{}, {"key": lambda message: message.body}, {"batch": Batch(size=1, within=1)}],
    ids=["one by one", "by key", "in batches"],
)
@pytest.mark.parametrize("waits", [False, True])
async def test_handlers_that_run_at_once_have_one_turn_between_them(
    amqp_url: str, unique: str, options: dict[str, Any], waits: bool
) -> None:
    handled = 0
    seen_between = {0, COUNT}

    async def handle(_: object) -> None:
        nonlocal handled
        time.sleep(0.002)  # noqa: ASYNC251 - it is to keep the event loop
        handled += 1
        if waits:
            await asyncio.sleep(0)

    async def watch() -> None:
        while True:
            seen_between.add(handled)
            await asyncio.sleep(0)

    async with connect(amqp_url) as bus:
        # They wait in the queue, and come by few reads.
        first = await bus.subscribe(unique, "#", handle, queue=unique)
        await first.stop()
        publisher = bus.publisher(unique)
        await asyncio.gather(*(publisher.publish(number) for number in range(COUNT)))
        watching = asyncio.create_task(watch())
        await bus.subscribe(unique, "#", handle, queue=unique, concurrency=COUNT, **options)
        await until(lambda: handled == COUNT, 20)
        watching.cancel()
    # Of 2 ms each, at most three begin within 5 ms; one more where it is scheduled otherwise.
    steps = [after - before for before, after in pairwise(sorted(seen_between))]
    assert max(steps) <= 4, steps
