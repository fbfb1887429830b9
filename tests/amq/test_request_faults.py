"""Faults of brokers, networks and responders: every call has one outcome, by its deadline.

And no request is worked on twice, unless it is marked as idempotent.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from callers import QUICK, Hanging, Raw, echo, through, until
from gestalt.amq import (
    AmqError,
    Blocked,
    Bus,
    DeadlineExceeded,
    Disconnected,
    NotSent,
    Request,
    Responder,
    connect,
)
from gestalt.amq.embedded import ThreadedBroker
from proxy import Proxy
from rabbitmq import RabbitMQNode

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _untraced(untraced: None) -> None:
    """The usual case; test_tracing.py has the other one."""


class Calls:
    """Calls from several tasks, and the account of them.

    Args:
        limit: how many calls to make.
        pause: after a call that was answered, in seconds.
    """

    def __init__(
        self, bus: Bus, service: str, *, limit: int, timeout: float, pause: float = 0.0
    ) -> None:
        self.requester = bus.requester(service, timeout=timeout)
        self.outcomes: Counter[str] = Counter()
        self.longest = 0.0
        self._limit = limit
        self._timeout = timeout
        self._pause = pause
        self._number = 0
        self._stop = False

    async def _call(self) -> None:
        while self._number < self._limit and not self._stop:
            number = self._number
            self._number += 1
            begun = time.monotonic()
            try:
                reply = await self.requester.request(number)
            except AmqError as error:
                outcome = type(error).__name__
            else:
                assert reply == [number]
                outcome = "reply"
            self.longest = max(self.longest, time.monotonic() - begun)
            self.outcomes[outcome] += 1
            # Without a responder or a broker, calls would end as fast as they begin.
            await asyncio.sleep(self._pause if outcome == "reply" else 0.02)

    async def through(self, fault: Callable[[], Awaitable[None]], *, tasks: int = 32) -> None:
        calling = [asyncio.create_task(self._call()) for _ in range(tasks)]
        try:
            await fault()
            self._stop = self._limit == UNLIMITED
            await asyncio.gather(*calling)
        finally:
            for each in calling:
                each.cancel()
        assert sum(self.outcomes.values()) == self._number
        allowed = {"reply", "NoResponder", "OutcomeUnknown", "DeadlineExceeded", "NotSent"}
        assert self.outcomes.keys() <= allowed, self.outcomes
        assert self.longest < self._timeout + 1
        assert self.requester.pending == 0

    async def until(self, replies: int) -> None:
        await until(lambda: self.outcomes["reply"] >= replies, 40)

    async def until_ended(self, count: int) -> None:
        await until(lambda: sum(self.outcomes.values()) >= count, 40)


UNLIMITED = sys.maxsize

RESPONDER = """
import asyncio, os, sys
from gestalt.amq import connect
from gestalt.core import Backoff

async def main(url, service, path):
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def handle(request):
        # One write of a few bytes is whole, or not there.
        os.write(log, b"%d\\n" % request.body)
        await asyncio.sleep(0)
        return [request.body]

    async with connect(url, backoff=Backoff(initial=0.02, maximum=0.2)) as bus:
        await bus.respond(service, handle)
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class Responders:
    """Processes that respond, and write down what they have begun."""

    def __init__(self, directory: Path, url: str, service: str) -> None:
        self._directory = directory
        self._url = url
        self._service = service
        self._processes: list[asyncio.subprocess.Process] = []
        self._script = directory / "responder.py"
        self._script.write_text(RESPONDER)
        self._log = directory / "begun"
        self._log.touch()

    async def start(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(self._script),
            self._url,
            self._service,
            str(self._log),
            stdout=asyncio.subprocess.PIPE,
        )
        self._processes.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert await process.stdout.readline() == b"ready\n"

    async def kill(self) -> None:
        process = self._processes.pop(0)
        process.kill()
        await process.wait()

    async def close(self) -> None:
        while self._processes:
            await self.kill()

    def begun(self) -> Counter[int]:
        return Counter(map(int, self._log.read_text().split()))


@pytest.fixture
async def responders(
    rabbitmq_node: RabbitMQNode, unique: str, tmp_path: Path
) -> AsyncIterator[Responders]:
    responders = Responders(tmp_path, rabbitmq_node.url, unique)
    try:
        yield responders
    finally:
        await responders.close()


async def test_ten_thousand_calls_have_one_outcome_each_whatever_dies(
    rabbitmq_node: RabbitMQNode, responders: Responders, unique: str
) -> None:
    await asyncio.gather(responders.start(), responders.start())
    async with connect(rabbitmq_node.url, backoff=QUICK) as bus:
        calls = Calls(bus, unique, limit=10_000, timeout=4)

        async def fault() -> None:
            await calls.until_ended(1500)
            await responders.kill()
            await calls.until_ended(3000)
            await responders.start()
            await calls.until_ended(4000)
            await asyncio.to_thread(rabbitmq_node.kill)
            await asyncio.to_thread(rabbitmq_node.start)
            replies = calls.outcomes["reply"]
            await calls.until(replies + 1000)
            await responders.kill()
            await responders.start()

        await calls.through(fault)
    assert sum(calls.outcomes.values()) == 10_000
    assert calls.outcomes["reply"] > 5000, calls.outcomes
    begun = responders.begun()
    assert max(begun.values()) == 1
    assert len(begun) >= calls.outcomes["reply"]


async def test_idempotent_calls_are_answered_whatever_dies(
    rabbitmq_node: RabbitMQNode, responders: Responders, unique: str
) -> None:
    await asyncio.gather(responders.start(), responders.start())
    async with connect(rabbitmq_node.url, backoff=QUICK) as bus:
        requester = bus.requester(unique, timeout=30)
        numbers = iter(range(2000))
        answered: Counter[int] = Counter()

        async def call() -> None:
            for number in numbers:
                assert await requester.request(number, idempotent=True) == [number]
                answered[number] += 1

        calling = asyncio.gather(*(call() for _ in range(16)))
        await until(lambda: len(answered) > 300, 20)
        await responders.kill()
        await until(lambda: len(answered) > 600, 20)
        await asyncio.to_thread(rabbitmq_node.kill)
        await asyncio.to_thread(rabbitmq_node.start)
        await calling
    assert answered == Counter(range(2000))


# Networks, on either side


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


@pytest.mark.parametrize("side", ["requester", "responder"])
@pytest.mark.parametrize("fault", [reset, half_open, frozen, one_way])
async def test_calls_end_by_their_deadline_on_any_network(
    ends: Ends, side: str, fault: Callable[[Ends, Proxy], Awaitable[None]]
) -> None:
    async with ends.connect("responder") as theirs, ends.connect("requester") as ours:
        responder = await theirs.respond(ends.service, ends.work)
        # Another instance, which keeps the queue while the first one is away.
        await ours.respond(ends.service, ends.work)
        calls = Calls(ours, ends.service, limit=UNLIMITED, timeout=1.0, pause=0.01)

        async def through_fault() -> None:
            await calls.until(100)
            async with asyncio.timeout(15):
                await fault(ends, ends.proxies[side])
            await until(lambda: responder.consuming)
            await calls.until(calls.outcomes["reply"] + 100)

        await calls.through(through_fault, tasks=10)
    assert max(ends.begun.values()) == 1


def came_again(responder: Responder) -> bool:
    """Whether all that it works on was delivered again; only the worker itself knows."""
    return all(work.delivery.redelivered for work in responder._worker.running)


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
    async with (
        Proxy(broker_port) as proxy,
        connect(broker_url, backoff=QUICK) as theirs,
        connect(through(proxy, broker_url), backoff=QUICK) as ours,
    ):
        await theirs.respond(unique, echo)
        requester = ours.requester(unique)
        await requester.request(0)
        proxy.refuse()
        await proxy.cut()
        await until(lambda: requester._channel is None)
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
    bus: Bus, raw: Raw, unique: str, reported: list[dict[str, Any]]
) -> None:
    responder = await bus.respond(unique, echo)
    queue = await raw.declare_requests()
    await queue.delete(if_unused=False, if_empty=False)
    await until(lambda: reported)
    await until(lambda: responder.consuming)
    assert await bus.requester(unique).request(1) == 1
