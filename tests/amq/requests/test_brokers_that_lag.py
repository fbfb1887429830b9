"""What a broker answers before it is so, or takes before it can do it: no caller waits for that."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gestalt.amq import Bus, NoResponder, Refused, connect
from gestalt.amq.requests import echo
from tests.support.callers import echo as reply_the_same
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import QUICK, until


@pytest.fixture
async def starting(rabbitmq_node: RabbitMQNode) -> AsyncIterator[RabbitMQNode]:
    """A node that takes connections, and has not come to the end of its start."""
    await until(lambda: rabbitmq_node.evaluate("rabbit_boot_state:get()") == "ready")
    rabbitmq_node.evaluate("rabbit_boot_state:set(core_started)")
    try:
        yield rabbitmq_node
    finally:
        rabbitmq_node.evaluate("rabbit_boot_state:set(ready)")


async def test_a_request_to_a_node_that_is_starting_is_answered_when_it_has_started(
    starting: RabbitMQNode, unique: str
) -> None:
    """RabbitMQ 3.12 to 4.1 loses what goes by direct reply-to until then."""
    async with connect(starting.url, backoff=QUICK) as bus:
        await bus.respond(unique, reply_the_same)
        requesting = asyncio.create_task(bus.requester(unique, timeout=20).request(1))
        await asyncio.wait({requesting}, timeout=0.3)
        if starting.version[:2] == (4, 0):
            assert not requesting.done()
        starting.evaluate("rabbit_boot_state:set(ready)")
        async with asyncio.timeout(5):
            assert await requesting == 1


async def test_where_no_reply_comes_through_it_is_said_and_requests_are_sent(
    starting: RabbitMQNode,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(echo, "PATIENCE", 0.1)
    async with connect(starting.url, backoff=QUICK) as bus:
        with pytest.raises(NoResponder):
            await bus.requester(unique).request(1)
    assert ("direct reply-to" in caplog.text) == (starting.version[:2] == (4, 0))


async def test_who_may_do_nothing_but_send_requests_gets_replies(
    rabbitmq_node: RabbitMQNode, unique: str
) -> None:
    mine = r"^gestalt\.(requests|instances)$"
    url = rabbitmq_node.add_user(unique, "secret", configure=mine, write=mine)
    async with (
        connect(rabbitmq_node.url, backoff=QUICK) as theirs,
        connect(url, backoff=QUICK) as bus,
    ):
        await theirs.respond(unique, reply_the_same)
        requester = bus.requester(unique)
        assert await requester.request(1) == 1
        assert len(await requester.gather(2, count=1)) == 1
        with pytest.raises(Refused):
            await bus.publisher("").publish(1, unique)


async def test_when_the_last_instance_has_left_nobody_waits_for_it(bus: Bus, unique: str) -> None:
    """RabbitMQ 4.3 still routes to its queue for a while, when everything of it is closed."""
    requester = bus.requester(unique)
    for _ in range(10):
        responder = await bus.respond(unique, reply_the_same)
        assert len(await requester.gather(1, count=1)) == 1
        await responder.stop()
        for call in (requester.gather(1), requester.request(1), requester.info()):
            async with asyncio.timeout(5):
                with pytest.raises(NoResponder):
                    await call
