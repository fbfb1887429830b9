"""Deadlines and cancellation: what nobody waits for any more is not worked on."""

import asyncio
import time
from typing import Any

import pytest

from gestalt.amq import Bus, DeadlineExceeded, NoResponder, RemoteError, Request, connect
from gestalt.amq.requests import given_up
from gestalt.amq.requests.given_up import GivenUp
from gestalt.amq.wire import Delivery, Properties
from tests.support.callers import Hanging, Raw, echo, through
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, until


@pytest.fixture(autouse=True)
def _untraced(untraced: None) -> None:
    """The usual case; test_tracing.py has the other one."""


# Deadlines


async def test_a_request_ends_by_its_deadline_and_so_does_its_handler(
    bus: Bus, unique: str
) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging)
    requester = bus.requester(unique, timeout=0.2)
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await requester.request(1)
    assert 0.15 < time.monotonic() - begun < 1.2
    await until(lambda: hanging.cancelled == [1])
    await until(lambda: responder.stats.expired == 1)
    assert requester.pending == 0


async def test_a_responder_has_a_time_limit_of_its_own(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging, timeout=0.05)
    with pytest.raises(DeadlineExceeded, match="responder gave up"):
        await bus.requester(unique).request(1)
    assert hanging.cancelled == [1]
    assert responder.stats.expired == 1


async def test_a_timeout_that_a_handler_raises_is_its_own(bus: Bus, unique: str) -> None:
    async def fail(request: Request[Any]) -> None:
        raise TimeoutError("of a database")

    await bus.respond(unique, fail)
    with pytest.raises(RemoteError, match="of a database"):
        await bus.requester(unique).request(1)


async def test_an_expired_request_is_never_worked_on(bus: Bus, unique: str, raw: Raw) -> None:
    got: list[int] = []
    responder = await bus.respond(unique, lambda request: got.append(request.body))
    past = int((time.time() - 1) * 1000)
    await raw.send(b"1", headers={"x-gestalt-deadline": past}, correlation_id="c")
    reply = await raw.reply()
    assert (reply.headers["x-gestalt-status"], reply.correlation_id) == ("late", "c")
    assert await bus.requester(unique).request(2) is None
    assert got == [2]
    assert responder.stats.expired == 1


@pytest.mark.parametrize("timeout", [1e10, float("inf")])
async def test_a_deadline_far_away_harms_nobody(bus: Bus, unique: str, timeout: float) -> None:
    await bus.respond(unique, echo)
    requester = bus.requester(unique)
    assert await requester.request(1, timeout=timeout) == 1
    assert await requester.request(2) == 2


async def test_deadlines_hold_after_the_bus_was_started_again(broker_url: str, raw: Raw) -> None:
    bus = connect(broker_url, backoff=QUICK)
    requester = bus.requester(raw.service)
    async with bus:
        await bus.respond(raw.service, echo)
        assert await requester.request(1, timeout=0.5) == 1
    await raw.respond(lambda request: [])
    async with bus, asyncio.timeout(3):
        with pytest.raises(DeadlineExceeded, match="no reply came"):
            await requester.request(2, timeout=0.7)


# Cancellation


async def test_a_cancelled_request_cancels_its_handler(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging)
    requester = bus.requester(unique)
    calls = [asyncio.create_task(requester.request(number)) for number in range(2)]
    await until(lambda: len(hanging.begun) == 2)
    calls[0].cancel()
    await until(lambda: hanging.cancelled == [0])
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    assert requester.pending == 1
    assert responder.stats.cancelled == 1
    hanging.finish.set()
    assert await calls[1] == 1


async def test_a_cancellation_may_arrive_together_with_its_request(
    broker_url: str, broker_port: int, unique: str
) -> None:
    """Before the first step of the handler's task, or before its request: they use two queues."""
    hanging = Hanging()
    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK, heartbeat=0) as theirs,
        connect(broker_url, backoff=QUICK) as ours,
    ):
        responder = await theirs.respond(unique, hanging)
        requester = ours.requester(unique)
        hanging.finish.set()
        assert await requester.request(0) == 0
        hanging.finish.clear()
        hanging.begun.clear()
        proxy.freeze()
        for number in range(5):
            call = asyncio.create_task(requester.request(number))
            await until(lambda: requester.pending)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        with pytest.raises(NoResponder):
            await ours.requester("nobody").request(1)
        await asyncio.sleep(0.05)  # until the proxy holds all of it
        proxy.thaw()
        await until(lambda: responder.stats.cancelled == 5)
        assert hanging.begun == hanging.cancelled
        hanging.finish.set()
        assert await requester.request(6) == 6
        assert responder.stats.replied == 2


async def test_a_cancelled_request_that_waits_in_the_queue_is_never_begun(
    bus: Bus, unique: str
) -> None:
    hanging = Hanging()
    responders = [await bus.respond(unique, hanging, concurrency=1) for _ in range(2)]
    requester = bus.requester(unique)
    first = [asyncio.create_task(requester.request(number)) for number in range(2)]
    await until(lambda: len(hanging.begun) == 2)
    others = [asyncio.create_task(requester.request(number)) for number in range(2, 6)]
    await until(lambda: requester.pending == 6)
    for call in others[:3]:
        call.cancel()
    await until(lambda: requester.pending == 3)
    # What is told of those has come by then.
    assert len(await requester.info(count=2)) == 2
    hanging.finish.set()
    assert await asyncio.gather(*first, others[3]) == [0, 1, 5]
    assert sorted(hanging.begun) == [0, 1, 5]
    assert sum(responder.stats.cancelled for responder in responders) == 3


async def test_a_cancellation_of_one_caller_drops_no_request_of_another(
    bus: Bus, unique: str, raw: Raw
) -> None:
    hanging = Hanging()
    hanging.finish.set()
    await bus.respond(unique, hanging)
    await raw.control("cancel", correlation_id="1")
    await raw.control("cancel", correlation_id="1", reply_to="another")
    await bus.requester(unique).info(count=1)
    await raw.send(b"1", correlation_id="1")
    assert (await raw.reply()).body == b"1"


async def test_so_many_cancellations_are_remembered_and_for_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def delivery(number: int) -> Delivery:
        properties = Properties(correlation_id=str(number), reply_to="me")
        return Delivery(0, False, "", "", properties, b"")

    cancelled = GivenUp()
    for number in range(1500):
        cancelled.note(delivery(number))
    assert len(cancelled.since) == 1000
    assert not cancelled.take(delivery(499))
    assert cancelled.take(delivery(500))
    assert not cancelled.take(delivery(500))
    monkeypatch.setattr(given_up, "LONGEST", -1.0)
    assert not cancelled.take(delivery(0))
    assert not cancelled.since


async def test_a_cancelled_request_that_waits_is_never_begun(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging, concurrency=1)
    requester = bus.requester(unique)
    first = asyncio.create_task(requester.gather(1, count=1))
    await until(lambda: hanging.begun)
    second = asyncio.create_task(requester.gather(2, count=1))
    await until(lambda: requester.pending == 2)
    second.cancel()
    await until(lambda: responder.stats.cancelled == 1)
    hanging.finish.set()
    assert [reply.body for reply in await first] == [1]
    assert await requester.request(3) == 3
    assert hanging.begun == [1, 3]


async def test_of_those_that_wait_the_one_that_is_cancelled_is_never_begun(
    bus: Bus, unique: str
) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging, concurrency=1)
    requester = bus.requester(unique)
    calls = []
    for number in range(3):
        calls.append(asyncio.create_task(requester.gather(number, count=1)))
        await until(lambda: requester.pending == len(calls))
    await until(lambda: hanging.begun)
    calls[2].cancel()
    await until(lambda: responder.stats.cancelled == 1)
    hanging.finish.set()
    assert [reply.body for call in calls[:2] for reply in await call] == [0, 1]
    assert hanging.begun == [0, 1]


async def test_a_cancellation_that_names_no_request_cancels_none(
    bus: Bus, unique: str, raw: Raw
) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging)
    await raw.send(b"1")
    await until(lambda: hanging.begun)
    await raw.control("cancel")
    await raw.control("nonsense")
    await bus.requester(unique).info(count=1)
    assert hanging.cancelled == []
    hanging.finish.set()
    assert (await raw.reply()).body == b"1"
    assert responder.stats.cancelled == 0


async def test_a_request_that_was_not_sent_is_not_cancelled_remotely(
    bus: Bus, unique: str, raw: Raw
) -> None:
    hanging = Hanging()
    await bus.respond(unique, hanging)
    await raw.watch_controls()
    requester = bus.requester(unique, max_pending=1)
    first = asyncio.create_task(requester.request(1))
    await until(lambda: hanging.begun)
    second = asyncio.create_task(requester.request(2))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    first.cancel()
    assert await raw.next_control() == "cancel"
    await until(lambda: hanging.cancelled == [1])
    assert raw.controls.empty()
