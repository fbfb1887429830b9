"""`sys.exit` within a handler ends the program, as anywhere else."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gestalt.amq import Bus, connect
from gestalt.amq.embedded import ThreadedBroker
from gestalt.core import Batch

STATUS = 7
DEADLINE = 20.0

Declare = Callable[[Bus, Any], Awaitable[Awaitable[Any]]]


async def leave(_: Any) -> None:
    sys.exit(STATUS)


def leave_at_once(_: Any) -> None:
    sys.exit(STATUS)


async def leave_later(_: Any) -> None:
    await asyncio.sleep(0)
    sys.exit(STATUS)


def subscribed(**options: Any) -> Declare:
    async def subscribe(bus: Bus, handler: Any) -> Awaitable[Any]:
        await bus.subscribe("exits", "#", handler, queue="exits", **options)
        return publish(bus)

    return subscribe


async def responds(bus: Bus, handler: Any) -> Awaitable[Any]:
    await bus.respond("exits", handler)
    return bus.requester("exits", timeout=DEADLINE).request({"a": "question"})


async def publish(bus: Bus) -> None:
    await bus.publisher("exits").publish({"a": "message"})
    await asyncio.sleep(DEADLINE)


@pytest.mark.parametrize("handler", [leave, leave_at_once, leave_later])
@pytest.mark.parametrize(
    "declare",
    [
        subscribed(),
        subscribed(concurrency=2, key=lambda message: "one"),
        subscribed(batch=Batch(1, 0.01)),
        responds,
    ],
    ids=["single", "by key", "batch", "responder"],
)
def test_sys_exit_in_a_handler_ends_the_program(declare: Declare, handler: Any) -> None:
    async def run() -> None:
        async with asyncio.timeout(DEADLINE), connect(broker.url) as bus:
            await (await declare(bus, handler))

    with ThreadedBroker() as broker, pytest.raises(SystemExit) as ended:
        asyncio.run(run())
    assert ended.value.code == STATUS
