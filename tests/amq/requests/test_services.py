import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest

from gestalt.amq import (
    Bus,
    DeadlineExceeded,
    NoResponder,
    OutcomeUnknown,
    RemoteError,
    Request,
)
from gestalt.codecs import Codec, DecodeError
from gestalt.core import Handlers
from tests.support.callers import Hanging, Raw, echo
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def _untraced(untraced: None) -> None:
    """The usual case; test_tracing.py has the other one."""


async def test_gather_returns_as_soon_as_enough_have_replied(bus: Bus, unique: str) -> None:
    responders = [await bus.respond(unique, lambda _, n=n: n) for n in range(3)]
    begun = time.monotonic()
    replies = await bus.requester(unique).gather(None, count=3)
    assert time.monotonic() - begun < 5
    assert {reply.instance: reply.body for reply in replies} == {
        responder.instance: number for number, responder in enumerate(responders)
    }
    assert [reply.error for reply in replies] == [None] * 3
    assert len(await bus.requester(unique).gather(None, count=2)) == 2


async def test_gather_returns_what_has_come_by_its_deadline(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    await bus.respond(unique, echo)
    await bus.respond(unique, hanging)
    requester = bus.requester(unique)
    begun = time.monotonic()
    replies = await requester.gather(5, timeout=0.3)
    assert 0.25 < time.monotonic() - begun < 1.3
    assert [reply.body for reply in replies if reply.error is None] == [5]
    # The other one gives up at the same time, and may be heard of just before.
    late = [reply.error for reply in replies if reply.error is not None]
    assert all(isinstance(error, DeadlineExceeded) for error in late)
    assert len(late) <= 1
    await until(lambda: hanging.cancelled == [5])
    assert requester.pending == 0


async def test_gather_tells_which_instance_failed_and_how(bus: Bus, unique: str) -> None:
    def fail(request: Request[Any]) -> None:
        raise LookupError("not here")

    good = await bus.respond(unique, echo)
    bad = await bus.respond(unique, fail)
    other = await bus.respond(unique, echo, codec=Codec("text"))
    replies = {reply.instance: reply for reply in await bus.requester(unique).gather(1, count=3)}
    assert replies[good.instance].body == 1
    assert replies[good.instance].error is None
    error = replies[bad.instance].error
    assert isinstance(error, RemoteError)
    assert error.remote_type == "LookupError"
    assert isinstance(replies[other.instance].error, RemoteError)


async def test_a_cancelled_gather_cancels_every_handler(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    responders = [await bus.respond(unique, hanging) for _ in range(3)]
    requester = bus.requester(unique)
    gathering = asyncio.create_task(requester.gather(1))
    await until(lambda: len(hanging.begun) == 3)
    gathering.cancel()
    await until(lambda: len(hanging.cancelled) == 3)
    assert [responder.stats.cancelled for responder in responders] == [1, 1, 1]
    assert requester.pending == 0


async def test_a_stopped_instance_is_no_longer_asked(bus: Bus, unique: str) -> None:
    first = await bus.respond(unique, echo)
    second = await bus.respond(unique, echo)
    await first.stop()
    requester = bus.requester(unique)
    assert [reply.instance for reply in await requester.gather(1, timeout=0.2)] == [second.instance]
    await second.stop()
    with pytest.raises(NoResponder):
        await requester.gather(1)


async def test_ping_takes_a_round_trip_and_no_handler(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging)
    requester = bus.requester(unique)
    assert 0 < await requester.ping(timeout=2) < 2
    assert hanging.begun == []
    assert responder.stats.replied == 0


async def test_ping_passes_a_handler_that_is_busy(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    await bus.respond(unique, hanging, concurrency=2)
    requester = bus.requester(unique)
    busy = asyncio.create_task(requester.request(1))
    await until(lambda: hanging.begun)
    await requester.ping(timeout=2)
    hanging.finish.set()
    assert await busy == 1


async def test_a_ping_that_is_answered_by_an_error_is_one(bus: Bus, raw: Raw) -> None:
    await raw.respond(
        lambda request: aio_pika.Message(
            b"",
            headers={"x-gestalt-status": "abandoned"},
            correlation_id=request.correlation_id,
        )
    )
    with pytest.raises(OutcomeUnknown):
        await bus.requester(raw.service).ping()


async def test_info_tells_what_every_instance_is_and_has_done(bus: Bus, unique: str) -> None:
    handlers = Handlers()
    handlers.on(int)(echo)
    handlers.on(9)(echo)
    hanging = Hanging()
    handlers.on(str)(hanging)

    async def count(request: Request[Any]) -> AsyncIterator[int]:
        yield 1

    before = time.time()
    first = await bus.respond(unique, handlers, version="1.2", description="tells é")
    second = await bus.respond(unique, count)
    requester = bus.requester(unique)
    infos = {info.instance: info for info in await requester.info(count=2)}
    assert infos.keys() == {first.instance, second.instance}
    info = infos[first.instance]
    assert (info.service, info.version, info.description) == (unique, "1.2", "tells é")
    assert info.handlers == ["int", "str", "type id 9"]
    assert before <= info.started <= time.time()
    assert infos[second.instance].handlers[0].endswith("count")
    assert infos[second.instance].version == ""
    await second.stop()
    await requester.request(1)
    busy = asyncio.create_task(requester.request("x"))
    await until(lambda: hanging.begun)
    (info,) = await requester.info(count=1)
    assert (info.stats.replied, info.running) == (1, 1)
    assert info == first.info
    hanging.finish.set()
    await busy
    # What was told does not change under who was told.
    assert info != first.info


async def test_info_that_is_too_large_is_an_error_and_harms_no_connection(
    bus: Bus, unique: str
) -> None:
    await bus.respond(unique, echo, description="x" * 100_000)
    requester = bus.requester(unique)
    with pytest.raises(RemoteError, match="max_size"):
        await requester.info(count=1)
    assert await requester.request(1) == 1


async def test_info_of_another_make_is_an_error(bus: Bus, raw: Raw) -> None:
    await raw.watch_controls()
    asking = asyncio.create_task(bus.requester(raw.service).info(count=1, timeout=5))
    async with asyncio.timeout(5):
        request = await raw.controls.get()
    assert request.reply_to is not None
    await raw.channel.default_exchange.publish(
        aio_pika.Message(b'{"service": 1}', correlation_id=request.correlation_id),
        request.reply_to,
    )
    with pytest.raises(DecodeError):
        await asking


async def test_counters_tell_what_became_of_requests(bus: Bus, unique: str) -> None:
    def handle(request: Request[Any]) -> None:
        if request.body == "fail":
            raise ValueError("told to")

    responder = await bus.respond(unique, handle)
    requester = bus.requester(unique)
    await requester.request(1)
    with pytest.raises(RemoteError):
        await requester.request("fail")
    with pytest.raises(RemoteError):
        await bus.requester(unique, codec=Codec("text")).request("refused")
    stats = responder.stats
    assert (stats.replied, stats.failed, stats.refused) == (1, 1, 1)
    assert (stats.expired, stats.cancelled, stats.abandoned) == (0, 0, 0)
