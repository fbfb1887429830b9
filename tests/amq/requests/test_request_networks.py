"""Faults of networks, on either side: every call ends by its deadline, by what is known."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gestalt.amq import (
    Blocked,
    Bus,
    DeadlineExceeded,
    Disconnected,
    NotSent,
    RemoteError,
    Request,
    Responder,
    connect,
)
from gestalt.amq.embedded import ThreadedBroker
from tests.support.callers import Calls, Hanging, Raw, echo, through
from tests.support.proxy import Proxy
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import QUICK, Reported, until

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _untraced(untraced: None) -> None:
    """The usual case; test_tracing.py has the other one."""


class Ends:
    """A requester and a responder, each behind a proxy of its own."""

    def __init__(self, ours: Proxy, theirs: Proxy, url: str, service: str) -> None:
        self.proxies = {"requester": ours, "responder": theirs}
        self.url = url
        self.service = service
        self.begun: Counter[int] = Counter()
        self.lost = asyncio.Event()

    def connect(self, side: str, **options: Any) -> Bus:
        def note(event: object) -> None:
            if isinstance(event, Disconnected):
                self.lost.set()

        url = through(self.proxies[side], self.url)
        return connect(url, backoff=QUICK, heartbeat=1, on_event=note, **options)

    async def work(self, request: Request[int]) -> list[int]:
        self.begun[request.body] += 1
        await asyncio.sleep(0.002)
        return [request.body]


@pytest.fixture
async def ends(broker_url: str, broker_port: int, unique: str) -> AsyncIterator[Ends]:
    async with Proxy(broker_port) as ours, Proxy(broker_port) as theirs:
        yield Ends(ours, theirs, broker_url, unique)


async def reset(ends: Ends, proxy: Proxy) -> None:
    for _ in range(3):
        await proxy.cut()
        # The next cut may meet them while they still agree with the broker on how to talk.
        await proxy.wait_connections(2)


async def half_open(ends: Ends, proxy: Proxy) -> None:
    await proxy.half_open()
    await ends.lost.wait()


async def frozen(ends: Ends, proxy: Proxy) -> None:
    proxy.freeze()
    await ends.lost.wait()
    proxy.thaw()


async def one_way(ends: Ends, proxy: Proxy) -> None:
    proxy.lose("down")
    await ends.lost.wait()
    proxy.lose()
    # No network mends a connection of which it has lost bytes.
    await proxy.cut()


@pytest.mark.parametrize("side", ["requester", "responder"])
@pytest.mark.parametrize("fault", [reset, half_open, frozen, one_way])
async def test_calls_end_by_their_deadline_on_any_network(
    ends: Ends, side: str, fault: Callable[[Ends, Proxy], Awaitable[None]]
) -> None:
    async with ends.connect("responder") as theirs, ends.connect("requester") as ours:
        responder = await theirs.respond(ends.service, ends.work)
        # Another instance, which keeps the queue while the first one is away.
        await ours.respond(ends.service, ends.work)
        calls = Calls(ours, ends.service, timeout=1.0, pause=0.01)

        async def through_fault() -> None:
            await calls.answered(100)
            async with asyncio.timeout(15):
                await fault(ends, ends.proxies[side])
            await until(lambda: responder.consuming)
            await calls.answered(100)

        await calls.through(through_fault, tasks=10)
    assert max(ends.begun.values()) == 1


def came_again(responder: Responder) -> bool:
    """Whether all that it works on was delivered again; only the worker itself knows."""
    return all(work.delivery.redelivered for work in responder._runners.running)


async def test_a_handler_outlives_the_connection_and_its_reply_arrives(
    broker_url: str, broker_port: int, unique: str
) -> None:
    hanging, busy = Hanging(), Hanging()
    async with (
        Proxy(broker_port) as proxy,
        connect(broker_url, backoff=QUICK) as ours,
        connect(through(proxy, broker_url), backoff=QUICK) as theirs,
    ):
        responder = await theirs.respond(unique, hanging, concurrency=3)
        requester = ours.requester(unique)
        calls = [asyncio.create_task(requester.request(number)) for number in range(3)]
        await until(lambda: len(hanging.begun) == 3)
        # Another instance keeps the queue, and is too busy to take what the first one had.
        other = await ours.respond(unique, busy, concurrency=1)
        blocking = asyncio.create_task(requester.request("x"))
        await until(lambda: busy.begun)
        accepted = proxy.accepted
        await proxy.cut()
        await until(lambda: proxy.accepted == accepted + 2 and responder.consuming)
        await until(lambda: came_again(responder))
        # All are busy: what is asked of every instance gets past the requests.
        await requester.info(count=2)
        hanging.finish.set()
        assert await asyncio.gather(*calls) == [0, 1, 2]
        assert sorted(hanging.begun) == [0, 1, 2]
        assert (responder.stats.replied, responder.stats.abandoned) == (3, 0)
        # Nothing is left over that another instance would be given.
        await responder.stop()
        busy.finish.set()
        assert await blocking == "x"
        assert await requester.request("y") == "y"
        assert other.stats.abandoned == 0


@pytest.mark.parametrize("fails", [False, True])
async def test_what_is_ready_while_the_responder_has_no_connection_is_sent_when_it_has_one(
    broker_url: str, broker_port: int, unique: str, fails: bool
) -> None:
    hanging = Hanging()
    done: list[int] = []

    async def handle(request: Request[int]) -> int:
        await hanging(request)
        done.append(request.body)
        if fails:
            raise LookupError("no such thing")
        return request.body

    async with (
        Proxy(broker_port) as proxy,
        connect(broker_url, backoff=QUICK) as ours,
        connect(through(proxy, broker_url), backoff=QUICK) as theirs,
    ):
        responder = await theirs.respond(unique, handle)
        requester = ours.requester(unique)
        calls = [asyncio.create_task(requester.request(1, timeout=t)) for t in (10, 0.5)]
        await until(lambda: len(hanging.begun) == 2)
        proxy.refuse()
        await proxy.cut()
        await until(lambda: not responder.consuming)
        hanging.finish.set()
        await until(lambda: len(done) == 2)
        with pytest.raises(DeadlineExceeded):
            await calls[1]
        # What nobody awaits any more is not kept.
        await until(lambda: responder.stats.expired == 1)
        proxy.allow()
        if fails:
            with pytest.raises(RemoteError, match="no such thing"):
                await calls[0]
        else:
            assert await calls[0] == 1
        await until(lambda: responder.consuming)


async def test_requests_without_ids_are_told_apart_when_they_come_again(
    broker_url: str, broker_port: int, unique: str, raw: Raw
) -> None:
    hanging, busy = Hanging(), Hanging()
    async with (
        Proxy(broker_port) as proxy,
        connect(broker_url, backoff=QUICK) as ours,
        connect(through(proxy, broker_url), backoff=QUICK) as theirs,
    ):
        responder = await theirs.respond(unique, hanging, concurrency=4)
        for body in (b"1", b"1", b"2"):
            await raw.send(body)
        await until(lambda: len(hanging.begun) == 3)
        other = await ours.respond(unique, busy, concurrency=1)
        requester = ours.requester(unique)
        # One of the two takes it, and the other has the only place that is left.
        blocking = [asyncio.create_task(requester.request("x")) for _ in range(2)]
        await until(lambda: busy.begun and len(hanging.begun) == 4)
        accepted = proxy.accepted
        await proxy.cut()
        await until(lambda: proxy.accepted == accepted + 2 and responder.consuming)
        await until(lambda: came_again(responder))
        # All are busy: what is asked of every instance gets past the requests.
        await requester.info(count=2)
        hanging.finish.set()
        assert sorted([(await raw.reply()).body for _ in range(3)]) == [b"1", b"1", b"2"]
        await responder.stop()
        busy.finish.set()
        await asyncio.gather(*blocking)
        assert await requester.request("y") == "y"
        assert (responder.stats.abandoned, other.stats.abandoned) == (0, 0)
        assert raw.replies.empty()


async def test_calls_without_a_broker_wait_for_it_until_their_deadline(
    broker_url: str, broker_port: int, unique: str
) -> None:
    lost: list[str] = []

    def note(event: object) -> None:
        if isinstance(event, Disconnected):
            lost.append(event.connection)

    async with (
        Proxy(broker_port) as proxy,
        connect(broker_url, backoff=QUICK) as theirs,
        connect(through(proxy, broker_url), backoff=QUICK, on_event=note) as ours,
    ):
        await theirs.respond(unique, echo)
        requester = ours.requester(unique)
        await requester.request(0)
        proxy.refuse()
        await proxy.cut()
        await until(lambda: "request" in lost)
        with pytest.raises(NotSent):
            await requester.request(1, timeout=0.1)
        with pytest.raises(NotSent):
            await anext(requester.stream(1, timeout=0.1))
        waiting = asyncio.create_task(requester.request(2))
        await asyncio.sleep(0)
        proxy.allow()
        assert await waiting == 2


async def test_an_idempotent_call_that_finds_no_connection_again_says_that_it_was_sent(
    broker_url: str, broker_port: int, unique: str
) -> None:
    hanging = Hanging()
    async with (
        Proxy(broker_port) as proxy,
        connect(broker_url, backoff=QUICK) as theirs,
        connect(through(proxy, broker_url), backoff=QUICK) as ours,
    ):
        await theirs.respond(unique, hanging)
        call = asyncio.create_task(ours.requester(unique).request(1, idempotent=True, timeout=1))
        await until(lambda: hanging.begun)
        proxy.refuse()
        await proxy.cut()
        with pytest.raises(DeadlineExceeded, match="was lost after the request was sent"):
            await call


async def test_a_stop_of_the_bus_ends_every_call(broker_url: str, unique: str) -> None:
    hanging = Hanging()
    async with connect(broker_url, backoff=QUICK) as theirs:
        await theirs.respond(unique, hanging)
        ours = connect(broker_url, backoff=QUICK, stop_timeout=0.1)
        await ours.start()
        requester = ours.requester(unique, max_pending=1)
        sent = asyncio.create_task(requester.request(1))
        await until(lambda: hanging.begun)
        waiting = asyncio.create_task(requester.request(2))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await ours.stop()
            results = await asyncio.gather(sent, waiting, return_exceptions=True)
        assert [type(result).__name__ for result in results] == ["OutcomeUnknown", "StateError"]
        assert requester.pending == 0
        hanging.finish.set()


@pytest.mark.parametrize("broker", ["embedded", "rabbitmq"])
async def test_a_memory_alarm_ends_calls_by_their_deadline(
    request: pytest.FixtureRequest, broker: str, unique: str
) -> None:
    begin: Callable[[], None]
    end: Callable[[], None]
    if broker == "embedded":
        embedded: ThreadedBroker = request.getfixturevalue("amqp_broker")
        url, begin, end = embedded.url, embedded.block_publishers, embedded.unblock_publishers
    else:
        node: RabbitMQNode = request.getfixturevalue("rabbitmq_node")
        url, begin, end = node.url, node.raise_memory_alarm, node.clear_memory_alarm
    worked: list[int] = []
    async with connect(url, backoff=QUICK) as theirs, connect(url, backoff=QUICK) as ours:
        await theirs.respond(unique, lambda request: worked.append(request.body))
        requester = ours.requester(unique)
        await requester.request(0)
        await asyncio.to_thread(begin)
        try:
            # The broker tells of the alarm when the first request has reached it.
            with pytest.raises(DeadlineExceeded):
                await requester.request(1, timeout=0.5)
            with pytest.raises(Blocked):
                await requester.request(2, timeout=0.3)
            waiting = asyncio.create_task(requester.request(3, timeout=20))
            await asyncio.sleep(0)
        finally:
            await asyncio.to_thread(end)
        await waiting
    # The first had expired when the broker took it.
    assert worked == [0, 3]


# aiormq, in its older versions, leaves the stream of a connection unclosed that was cut.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*StreamWriter.__del__")
async def test_calls_go_over_to_another_broker(unique: str) -> None:
    with ThreadedBroker(stop_timeout=0) as first, ThreadedBroker(stop_timeout=0) as second:
        brokers = [first.url, second.url]
        async with (
            connect(brokers, backoff=QUICK) as theirs,
            connect(brokers, backoff=QUICK) as ours,
        ):
            responder = await theirs.respond(unique, echo)
            requester = ours.requester(unique, timeout=5)
            assert await requester.request(0) == 0
            first.refuse_connections()
            first.drop_connections()
            for number in range(1, 20):
                assert await requester.request(number, idempotent=True) == number
            await until(lambda: responder.consuming)
            assert len(await requester.info(count=1)) == 1
            assert second.connection_count() >= 2


async def test_a_responder_whose_queue_is_deleted_makes_it_again(
    bus: Bus, raw: Raw, unique: str, reported: Reported
) -> None:
    responder = await bus.respond(unique, echo)
    queue = await raw.declare_requests()
    await queue.delete(if_unused=False, if_empty=False)
    await until(lambda: responder.reported)
    assert reported == []
    await until(lambda: responder.consuming)
    assert await bus.requester(unique).request(1) == 1
