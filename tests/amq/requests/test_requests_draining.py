"""A responder that stops: what it has begun it finishes, and all else is left to others."""

import asyncio
import time
from collections import Counter
from typing import Any

import aio_pika
import pytest

from gestalt.amq import Bus, NoResponder, OutcomeUnknown, Request, connect
from gestalt.core import State
from tests.support.callers import Hanging, Raw, echo, through
from tests.support.proxy import Proxy
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import QUICK, until


@pytest.fixture(autouse=True)
def _untraced(untraced: None) -> None:
    """The usual case; test_tracing.py has the other one."""


async def test_running_handlers_finish_and_reply(broker_url: str, bus: Bus, unique: str) -> None:
    hanging = Hanging()
    theirs = connect(broker_url, backoff=QUICK)
    await theirs.start()
    await theirs.respond(unique, hanging)
    requester = bus.requester(unique)
    calls = [asyncio.create_task(requester.request(number)) for number in range(5)]
    await until(lambda: len(hanging.begun) == 5)
    stopping = asyncio.create_task(theirs.stop())
    await until(lambda: theirs.state is State.STOPPING)
    # Nobody takes requests any more.
    async with asyncio.timeout(5):
        while True:
            try:
                await requester.ping()
            except NoResponder:
                break
    hanging.finish.set()
    assert await asyncio.gather(*calls) == list(range(5))
    await stopping
    assert hanging.cancelled == []


async def test_a_stream_that_runs_comes_to_its_end(bus: Bus, unique: str) -> None:
    async def count(request: Request[int]) -> Any:
        for number in range(request.body):
            yield number

    responder = await bus.respond(unique, count)
    got = []
    async for number in bus.requester(unique).stream(50, buffer=5):
        got.append(number)
        if number == 3:
            stopping = asyncio.create_task(responder.stop())
    assert got == list(range(50))
    await stopping


async def test_a_handler_that_never_ends_is_cut_and_its_caller_told(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging, stop_timeout=0.1)
    call = asyncio.create_task(bus.requester(unique).request(1))
    await until(lambda: hanging.begun)
    begun = time.monotonic()
    await responder.stop()
    assert time.monotonic() - begun < 2
    with pytest.raises(OutcomeUnknown, match="did not finish"):
        await call
    assert hanging.cancelled == [1]
    assert responder.stats.abandoned == 1


async def test_what_is_cut_is_sent_to_another_where_it_may_be_done_twice(
    bus: Bus, unique: str
) -> None:
    hanging = Hanging()
    first = await bus.respond(unique, hanging, stop_timeout=0.1)
    call = asyncio.create_task(bus.requester(unique).request(1, idempotent=True))
    await until(lambda: hanging.begun)
    await bus.respond(unique, lambda request: "from the second")
    await first.stop()
    assert await call == "from the second"


async def test_requests_that_were_not_begun_go_to_other_instances(bus: Bus, unique: str) -> None:
    first, second = Hanging(), Hanging()
    leaving = await bus.respond(unique, first, concurrency=2)
    requester = bus.requester(unique)
    gathering = [asyncio.create_task(requester.gather(n, count=1)) for n in (-1, -2)]
    await until(lambda: len(first.begun) == 2)
    # Two more are delivered to it, and two wait in the queue.
    calls = [asyncio.create_task(requester.request(number)) for number in range(4)]
    await until(lambda: requester.pending == 6)
    await bus.respond(unique, second)
    stopping = asyncio.create_task(leaving.stop())
    await until(lambda: len(second.begun) == 4)
    first.finish.set()
    second.finish.set()
    assert await asyncio.gather(*calls) == [0, 1, 2, 3]
    assert [[reply.body for reply in replies] for replies in await asyncio.gather(*gathering)] == [
        [-1],
        [-2],
    ]
    await stopping
    assert sorted(second.begun) == [0, 1, 2, 3]
    assert leaving.stats.abandoned == 0


async def test_without_another_instance_what_was_not_begun_has_no_responder(
    bus: Bus, unique: str
) -> None:
    hanging = Hanging()
    leaving = await bus.respond(unique, hanging, concurrency=2)
    requester = bus.requester(unique)
    begun = [asyncio.create_task(requester.gather(n, count=1)) for n in (-1, -2)]
    await until(lambda: len(hanging.begun) == 2)
    # The first two are delivered, and the others wait in the queue, which goes with its consumer.
    waiting = [asyncio.create_task(requester.request(number)) for number in range(5)]
    gathering = asyncio.create_task(requester.gather(9, count=1))
    await until(lambda: requester.pending == 8)
    # Sent after them by the same channel: with its answer, all of them are where they belong.
    await requester.info(count=1)
    stopping = asyncio.create_task(leaving.stop())
    async with asyncio.timeout(5):
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            assert type(result) is NoResponder
        assert isinstance((await gathering)[0].error, NoResponder)
    hanging.finish.set()
    assert [replies[0].body for replies in await asyncio.gather(*begun)] == [-1, -2]
    await stopping
    assert hanging.begun == [-1, -2]


async def test_a_stop_amid_traffic_costs_no_request(bus: Bus, broker_url: str, unique: str) -> None:
    """Also those that are on their way while the consumer is being cancelled."""
    async with connect(broker_url, backoff=QUICK) as theirs:
        worked: Counter[int] = Counter()

        def count(request: Request[int]) -> int:
            worked[request.body] += 1
            return request.body

        responders = [await theirs.respond(unique, count, concurrency=10) for _ in range(2)]
        requester = bus.requester(unique)
        numbers = iter(range(3000))

        async def call() -> None:
            for number in numbers:
                assert await requester.request(number) == number

        calling = asyncio.gather(*(call() for _ in range(64)))
        for _ in range(5):
            for each in responders:
                progress = len(worked)
                await until(lambda progress=progress: len(worked) > progress + 50 or calling.done())
                await each.stop()
                await each.start()
        await calling
    assert worked == Counter(range(3000))


@pytest.mark.parametrize("instances", [1, 3])
async def test_when_all_instances_stop_at_once_every_request_has_its_end(
    bus: Bus, broker_url: str, unique: str, instances: int
) -> None:
    """Also those that the broker routes while the queue ends, and those that wait in it."""
    requester = bus.requester(unique)
    outcomes: Counter[str] = Counter()

    async def call() -> None:
        while True:
            try:
                await requester.request("on")
            except NoResponder:
                return
            except Exception as error:
                outcomes[type(error).__name__] += 1
                return
            outcomes["reply"] += 1

    async with connect(broker_url, backoff=QUICK) as theirs:
        responders = [await theirs.respond(unique, echo, concurrency=2) for _ in range(instances)]
        for _ in range(20):
            replies = outcomes["reply"]
            calling = [asyncio.create_task(call()) for _ in range(20)]
            await until(lambda replies=replies: outcomes["reply"] > replies)
            await asyncio.gather(*(each.stop() for each in responders))
            await asyncio.gather(*calling)
            for each in responders:
                await each.start()
    assert outcomes.keys() == {"reply"}


async def test_an_instance_that_starts_while_the_last_one_stops_serves(
    bus: Bus, broker_url: str, unique: str
) -> None:
    async with connect(broker_url, backoff=QUICK) as theirs:
        old = await theirs.respond(unique, echo)
        for _ in range(10):
            new, _ = await asyncio.gather(bus.respond(unique, echo), old.stop())
            assert await bus.requester(unique).request("on") == "on"
            await asyncio.gather(old.start(), new.stop())
            assert await bus.requester(unique).request("on") == "on"


async def test_an_instance_that_starts_as_the_last_one_takes_the_route_away_gets_it_back(
    bus: Bus, broker_url: str, broker_port: int, unique: str
) -> None:
    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK) as theirs,
    ):
        old = await theirs.respond(unique, echo)
        # It has found itself alone when it names the exchange of requests again.
        proxy.freeze_at = b"gestalt.requests"
        stopping = asyncio.create_task(old.stop())
        await until(lambda: proxy.frozen)
        new = await bus.respond(unique, echo)
        proxy.thaw()
        async with asyncio.timeout(5):
            await stopping
        assert await bus.requester(unique).request("on") == "on"
        assert new.stats.replied == 1


async def test_a_connection_lost_while_stopping_takes_no_requests_from_others(
    broker_url: str, broker_port: int, unique: str
) -> None:
    first = Hanging()
    async with (
        Proxy(broker_port) as proxy,
        connect(broker_url, backoff=QUICK) as ours,
        connect(through(proxy, broker_url), backoff=QUICK) as theirs,
    ):
        leaving = await theirs.respond(unique, first)
        requester = ours.requester(unique)
        begun = asyncio.create_task(requester.gather("first", count=1))
        await until(lambda: first.begun)
        other = await ours.respond(unique, echo)
        stopping = asyncio.create_task(leaving.stop())
        await until(lambda: leaving.state is State.STOPPING)
        await asyncio.gather(*map(requester.request, range(10)))
        accepted = proxy.accepted
        await proxy.cut()
        await until(lambda: proxy.accepted == accepted + 2 and leaving.consuming)
        assert await asyncio.gather(*map(requester.request, range(50))) == list(range(50))
        assert other.stats.replied == 60
        first.finish.set()
        async with asyncio.timeout(5):
            assert [reply.body for reply in await begun] == ["first"]
            await stopping


async def test_what_came_by_a_lost_connection_holds_up_nothing_else(
    broker_url: str, broker_port: int, unique: str
) -> None:
    first = Hanging()
    async with (
        Proxy(broker_port) as proxy,
        connect(broker_url, backoff=QUICK) as ours,
        connect(through(proxy, broker_url), backoff=QUICK) as theirs,
    ):
        leaving = await theirs.respond(unique, first, concurrency=1)
        requester = ours.requester(unique)
        lost = [asyncio.create_task(requester.gather(n, count=1, timeout=5)) for n in (-1, -2)]
        await until(lambda: first.begun == [-1])
        await requester.info(count=1)  # behind which the second has come
        accepted = proxy.accepted
        await proxy.cut()
        await until(lambda: proxy.accepted == accepted + 2 and leaving.consuming)
        # Delivered behind what runs on, and not begun.
        call = asyncio.create_task(requester.request(1))
        await until(lambda: requester.pending == 3)
        await requester.info(count=1)
        await ours.respond(unique, lambda request: "from the other")
        stopping = asyncio.create_task(leaving.stop())
        async with asyncio.timeout(5):
            assert await call == "from the other"
        first.finish.set()
        await stopping
        for each in lost:
            each.cancel()
        await asyncio.gather(*lost, return_exceptions=True)
        assert first.begun == [-1]


async def test_what_is_given_back_may_be_of_anybody_and_for_ever(
    rabbitmq_node: RabbitMQNode, unique: str
) -> None:
    """The broker refuses another user's name, and a time to live beyond its limits."""
    theirs = rabbitmq_node.add_user(unique, "secret", configure=".*", write=".*", read=".*")
    url = rabbitmq_node.url
    first = Hanging()
    async with (
        connect(url, backoff=QUICK) as bus,
        await aio_pika.connect(theirs) as connection,
    ):
        raw = Raw(await connection.channel(), unique)
        await raw.open()
        leaving = await bus.respond(unique, first, concurrency=1)
        requester = bus.requester(unique)
        begun = asyncio.create_task(requester.gather(0, count=1))
        await until(lambda: first.begun)
        await raw.send(b"1", user_id=unique, headers={"x-gestalt-deadline": 2**62})
        call = asyncio.create_task(requester.request(2))
        await until(lambda: requester.pending == 2)
        await requester.info(count=1)
        await bus.respond(unique, echo)
        stopping = asyncio.create_task(leaving.stop())
        assert (await raw.reply()).body == b"1"
        assert await call == 2
        first.finish.set()
        await begun
        await stopping


async def test_stop_ends_while_the_broker_is_away(
    broker_url: str, broker_port: int, unique: str
) -> None:
    hanging = Hanging()
    async with Proxy(broker_port) as proxy, connect(broker_url, backoff=QUICK) as ours:
        theirs = connect(through(proxy, broker_url), backoff=QUICK, stop_timeout=0.3)
        await theirs.start()
        await theirs.respond(unique, hanging)
        call = asyncio.create_task(ours.requester(unique).request(1, timeout=0.5))
        await until(lambda: hanging.begun)
        proxy.refuse()
        await proxy.cut()
        await until(lambda: not theirs.ready)
        async with asyncio.timeout(5):
            await theirs.stop()
        assert hanging.cancelled == [1]
        with pytest.raises(TimeoutError):
            await call


@pytest.mark.slow
async def test_what_is_delivered_before_a_cut_stop_is_not_begun_after_it(
    broker_url: str, broker_port: int, unique: str
) -> None:
    hanging = Hanging()
    async with Proxy(broker_port) as proxy, connect(broker_url, backoff=QUICK) as ours:
        url = through(proxy, broker_url)
        async with connect(url, backoff=QUICK, heartbeat=0) as theirs:
            responder = await theirs.respond(unique, hanging, concurrency=1, stop_timeout=0.1)
            requester = ours.requester(unique, timeout=1)
            calls = [asyncio.create_task(requester.gather(n)) for n in range(3)]
            await until(lambda: hanging.begun)
            await requester.info(count=1)
            proxy.freeze()
            stopping = asyncio.create_task(responder.stop())
            await until(lambda: hanging.cancelled)
            proxy.thaw()
            async with asyncio.timeout(8):
                await stopping
            assert hanging.begun == hanging.cancelled == [0]
            await asyncio.gather(*calls, return_exceptions=True)
