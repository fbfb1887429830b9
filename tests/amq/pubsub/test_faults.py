"""Faults of the broker, of the network and of consumers: nothing confirmed is lost.

With C the publishes that returned and U those whose outcome is unknown: every message in C is
handled; what is handled besides comes from U; every wait ends by its deadline.
"""

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from gestalt.amq import (
    Blocked,
    Bus,
    BusBatch,
    BusMessage,
    Connected,
    ConnectError,
    Disconnected,
    Event,
    NotSent,
    OutcomeUnknown,
    PublishingBlocked,
    PublishingUnblocked,
    Queue,
    Retry,
    connect,
)
from gestalt.amq.link import aio_pika_calls
from gestalt.core import Batch, StateError
from tests.support.alarms import Alarm
from tests.support.proxy import Direction, Proxy
from tests.support.rabbitmq import RabbitMQNode
from tests.support.waiting import QUICK

pytestmark = pytest.mark.slow


class Traffic:
    """Publishes numbers from several tasks, counts what is handled, and holds the account."""

    def __init__(self, bus: Bus, name: str, timeout: float) -> None:
        self.bus = bus
        self.name = name
        self.timeout = timeout
        self.confirmed: set[int] = set()
        self.unknown: set[int] = set()
        self.not_sent: set[int] = set()
        self.handled: Counter[int] = Counter()
        self.fresh: Counter[int] = Counter()
        self.in_batches: Counter[int] = Counter()
        self.by_key: Counter[int] = Counter()
        self.running: Counter[int] = Counter()
        self.longest = 0.0
        self._progress = asyncio.Event()
        self._stop = False
        self._number = 0

    def handle(self, message: BusMessage[int]) -> None:
        self.handled[message.body] += 1
        if not message.redelivered:
            self.fresh[message.body] += 1
        self._progress.set()

    async def handle_batch(self, batch: BusBatch[int]) -> None:
        """Some fail alone, and some batches as a whole."""
        await asyncio.sleep(0.01)
        if len(batch) > 1 and batch.bodies[0] % 5 == 0:
            raise ValueError("all")
        for message in batch:
            if message.body % 10 == 0 and message.attempt == 1:
                batch.fail(message, ValueError("one"))
            else:
                self.in_batches[message.body] += 1
        self._progress.set()

    async def handle_by_key(self, message: BusMessage[int]) -> None:
        """Some fail at first; of each key one message is handled at a time."""
        key = message.body % 7
        assert not self.running[key]
        self.running[key] += 1
        try:
            await asyncio.sleep(0.003)
            if message.body % 10 == 0 and message.attempt == 1:
                raise ValueError("not yet")
            self.by_key[message.body] += 1
        finally:
            self.running[key] -= 1
        self._progress.set()

    async def _publish(self) -> None:
        publisher = self.bus.publisher(self.name, timeout=self.timeout, mandatory=True)
        while not self._stop:
            self._number += 1
            number = self._number
            begun = time.monotonic()
            try:
                await publisher.publish(number)
            except OutcomeUnknown:
                self.unknown.add(number)
            except NotSent:
                self.not_sent.add(number)
            else:
                self.confirmed.add(number)
            self.longest = max(self.longest, time.monotonic() - begun)
            self._progress.set()
            await asyncio.sleep(0.002)

    async def until(self, condition: Callable[[], bool], limit: float = 30) -> None:
        async with asyncio.timeout(limit):
            while not condition():
                self._progress.clear()
                await self._progress.wait()

    async def through(self, fault: Callable[[], Awaitable[None]]) -> None:
        """Run the fault amid traffic, go on until traffic flows again, and check the account."""
        bus, name = self.bus, self.name
        await bus.subscribe(name, "#", self.handle, queue=name)
        retry = Retry(attempts=20, delay=0.1, factor=1)
        in_batches = await bus.subscribe(
            name,
            "#",
            self.handle_batch,
            queue=f"{name}-batches",
            batch=Batch(size=10, within=0.05),
            concurrency=2,
            retry=retry,
        )
        by_key = await bus.subscribe(
            name,
            "#",
            self.handle_by_key,
            queue=f"{name}-keys",
            key=lambda message: message.body % 7,
            concurrency=5,
            retry=retry,
        )
        tasks = [asyncio.create_task(self._publish()) for _ in range(5)]
        try:
            await self.until(lambda: len(self.confirmed) >= 50)
            await fault()
            before = len(self.confirmed)
            await self.until(lambda: len(self.confirmed) >= before + 50)
        finally:
            self._stop = True
            await asyncio.gather(*tasks)
        for handled in (self.handled, self.in_batches, self.by_key):
            await self.until(lambda handled=handled: self.confirmed <= handled.keys())  # type: ignore[misc]
            assert not set(handled) - self.confirmed - self.unknown
            assert not self.not_sent & handled.keys()
        assert in_batches.stats.retried
        assert by_key.stats.retried
        assert not in_batches.stats.parked
        assert not by_key.stats.parked
        assert self.longest < self.timeout + 1
        # A message comes twice only by being delivered again, or by being published again: none is.
        assert max(self.fresh.values()) == 1


@pytest.fixture
def fresh_node(rabbitmq_node: RabbitMQNode) -> Iterator[RabbitMQNode]:
    """A node beside the run's own, which has nothing else to recover when it comes back."""
    node = RabbitMQNode("killed")
    node.start()
    try:
        yield node
    finally:
        node.close()


async def test_a_killed_broker_loses_no_confirmed_message(
    fresh_node: RabbitMQNode, unique: str
) -> None:
    async def kill_and_restart() -> None:
        # RabbitMQ does not recover a quorum queue that was made in its last second.
        await asyncio.sleep(2.5)
        await asyncio.to_thread(fresh_node.kill)
        await asyncio.to_thread(fresh_node.start)

    async with connect(fresh_node.url, backoff=QUICK) as bus:
        await Traffic(bus, unique, timeout=40).through(kill_and_restart)
        assert bus.ready


async def test_a_reset_connection_loses_no_confirmed_message(
    broker_url: str, broker_port: int, unique: str
) -> None:
    async with Proxy(broker_port) as proxy:

        async def reset() -> None:
            for _ in range(5):
                await proxy.cut()
                async with asyncio.timeout(10):
                    await proxy.wait_connections(2)

        url = through(proxy, broker_url)
        async with connect(url, backoff=QUICK) as bus:
            await Traffic(bus, unique, timeout=10).through(reset)


async def test_a_dead_link_is_noticed_and_replaced(
    broker_url: str, broker_port: int, unique: str
) -> None:
    async def lose_in(*directions: Direction) -> None:
        lost = set()
        told = asyncio.Event()

        def note(event: object) -> None:
            if isinstance(event, Disconnected):
                lost.add(event.connection)
                if len(lost) == 2:
                    told.set()

        async with Proxy(broker_port) as proxy:

            async def lose() -> None:
                proxy.lose(*directions)
                # No network mends a connection of which it has lost bytes, so both are to go.
                async with asyncio.timeout(15):
                    await told.wait()
                proxy.lose()

            url = through(proxy, broker_url)
            async with connect(url, backoff=QUICK, heartbeat=1, on_event=note) as bus:
                await Traffic(bus, f"{unique}-{'-'.join(directions)}", timeout=15).through(lose)

    # Each waits for heartbeats that do not come, so they wait together.
    await asyncio.gather(lose_in("up", "down"), lose_in("up"), lose_in("down"))


async def test_a_frozen_link_ends_every_publish_by_its_deadline(
    broker_url: str, broker_port: int, unique: str
) -> None:
    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK, heartbeat=0) as bus,
    ):
        publisher = bus.publisher(unique, timeout=0.3)
        await publisher.publish(0)
        proxy.freeze()
        begun = time.monotonic()
        results = await asyncio.gather(
            *(publisher.publish(number) for number in range(10)), return_exceptions=True
        )
        assert time.monotonic() - begun < 1.3
        assert [type(result) for result in results] == [OutcomeUnknown] * 10
        proxy.thaw()
        await publisher.publish(11)


async def test_publishes_without_a_broker_wait_for_it_until_their_deadline(
    broker_url: str, broker_port: int, unique: str
) -> None:
    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK) as bus,
    ):
        publisher = bus.publisher(unique)
        await publisher.publish(0)
        proxy.refuse()
        await proxy.cut()
        while bus.ready:
            await asyncio.sleep(0.01)
        with pytest.raises(NotSent):
            await publisher.publish(1, timeout=0.2)
        waiting = asyncio.create_task(publisher.publish(2))
        await asyncio.sleep(0)
        proxy.allow()
        async with asyncio.timeout(10):
            await waiting


async def test_stop_ends_while_the_broker_is_away(
    broker_url: str, broker_port: int, unique: str
) -> None:
    async with Proxy(broker_port) as proxy:
        bus = connect(through(proxy, broker_url), backoff=QUICK)
        await bus.start()
        await bus.subscribe(unique, "#", print)
        publisher = bus.publisher(unique)
        await publisher.publish(0)
        proxy.refuse()
        await proxy.cut()
        while bus.ready:
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(publisher.publish(1))
        await asyncio.sleep(0)
        async with asyncio.timeout(3):
            await bus.stop()
            with pytest.raises(StateError):
                await waiting


async def test_start_without_a_broker_fails_in_time_and_says_why(unused_tcp_port: int) -> None:
    url = f"amqp://guest:secret@127.0.0.1:{unused_tcp_port}/"
    begun = time.monotonic()
    with pytest.raises(ConnectError, match=rf"127\.0\.0\.1:{unused_tcp_port}") as caught:
        await connect(url, start_timeout=0.3).start()
    assert time.monotonic() - begun < 2
    assert "secret" not in str(caught.value)


async def test_start_with_a_wrong_password_fails_at_once(broker_url: str) -> None:
    url = broker_url.replace("guest:guest", "guest:wrong")
    with pytest.raises(PermissionError, match="refused"):
        async with asyncio.timeout(10):
            await connect(url).start()


async def test_a_bus_fails_over_to_the_next_broker(
    broker_url: str, broker_port: int, unique: str
) -> None:
    async with Proxy(broker_port) as first, Proxy(broker_port) as second:
        urls = [through(first, broker_url), through(second, broker_url)]

        async def lose_the_first() -> None:
            first.refuse()
            await first.cut()

        async with connect(urls, backoff=QUICK) as bus:
            assert second.accepted == 0
            await Traffic(bus, unique, timeout=10).through(lose_the_first)
            assert second.accepted == 2


async def test_a_memory_alarm_blocks_publishers_by_their_deadline_and_harms_no_consumer(
    alarm: Alarm, unique: str
) -> None:
    handled: list[int] = []
    events: list[Event] = []
    async with connect(alarm.url, backoff=QUICK, on_event=events.append) as bus:
        await bus.subscribe(unique, "#", lambda message: handled.append(message.body))
        publisher = bus.publisher(unique, timeout=0.5)
        await publisher.publish(0)
        await asyncio.to_thread(alarm.begin)
        try:
            # The broker tells of the alarm when the first message has reached it.
            with pytest.raises(OutcomeUnknown, match="blocks publishers"):
                await publisher.publish(1)
            assert not bus.ready
            with pytest.raises(Blocked, match="memory"):
                await publisher.publish(2)
            # A blocked connection does not answer, either, what a new publisher has to ask.
            with pytest.raises(NotSent):
                await bus.publisher(f"{unique}-new", timeout=0.2).publish(2)
            waiting = asyncio.create_task(publisher.publish(3, timeout=20))
            await asyncio.sleep(0)
        finally:
            await asyncio.to_thread(alarm.end)
        await waiting
        async with asyncio.timeout(10):
            while handled != [0, 1, 3]:
                await asyncio.sleep(0.01)
        assert bus.ready
    told = [event for event in events if not isinstance(event, Connected)]
    assert [type(event) for event in told] == [PublishingBlocked, PublishingUnblocked]
    assert {event.connection for event in told} == {"publish"}


async def test_subscribing_on_a_dead_link_ends_by_its_deadline(
    monkeypatch: pytest.MonkeyPatch, broker_url: str, broker_port: int, unique: str
) -> None:
    monkeypatch.setattr(aio_pika_calls, "ANSWER_TIMEOUT", 0.3)
    async with (
        Proxy(broker_port) as proxy,
        connect(
            through(proxy, broker_url),
            backoff=QUICK,
            heartbeat=0,
            connect_timeout=0.3,
            start_timeout=1,
        ) as bus,
    ):
        await bus.subscribe(f"{unique}-other", "#", print)
        proxy.freeze()
        begun = time.monotonic()
        with pytest.raises(ConnectError):
            await bus.subscribe(unique, "#", print)
        assert time.monotonic() - begun < 3
        proxy.thaw()
        handled: asyncio.Queue[int] = asyncio.Queue()
        async with asyncio.timeout(10):
            while not bus.ready:
                await asyncio.sleep(0.01)
            await bus.subscribe(unique, "#", lambda message: handled.put_nowait(message.body))
            await bus.publisher(unique).publish(1)
            assert await handled.get() == 1


CONSUMER = """
import asyncio, os, signal, sys
from gestalt.amq import Queue, connect

async def main(url, name, mode):
    stop = asyncio.Event()
    ready = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def handle(message):
        await ready.wait()
        print("begin", message.body, flush=True)
        if mode == "hang":
            await asyncio.sleep(3600)
        if mode == "crash":
            os._exit(3)
        await asyncio.sleep(0.2)
        print("end", message.body, flush=True)

    async with connect(url) as bus:
        queue, prefetch = (Queue(name, delivery_limit=1), 1) if mode == "crash" else (name, 10)
        await bus.subscribe(name, "#", handle, queue=queue, prefetch=prefetch)
        print("ready", flush=True)
        ready.set()
        await stop.wait()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def consumer(
    broker_url: str, unique: str, tmp_path: Path
) -> Callable[[str], Awaitable[asyncio.subprocess.Process]]:
    script = tmp_path / "consumer.py"
    script.write_text(CONSUMER)

    async def start(mode: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), broker_url, unique, mode, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return process

    return start


async def test_what_a_killed_consumer_had_is_handled_by_another(
    bus: Bus,
    unique: str,
    consumer: Callable[[str], Awaitable[asyncio.subprocess.Process]],
) -> None:
    process = await consumer("hang")
    async with bus.publisher(unique).batch() as batch:
        for number in range(20):
            await batch.publish(number)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begin 0\n"
    process.kill()
    await process.wait()
    traffic = Traffic(bus, unique, 10)
    await bus.subscribe(unique, "#", traffic.handle, queue=unique)
    await traffic.until(lambda: len(traffic.handled) == 20)
    assert traffic.handled == Counter(range(20))


async def test_a_message_that_ends_its_consumer_each_time_is_parked_by_the_broker(
    bus: Bus,
    unique: str,
    consumer: Callable[[str], Awaitable[asyncio.subprocess.Process]],
) -> None:
    queue = Queue(unique, delivery_limit=1)
    subscription = await bus.subscribe(unique, "#", print, queue=queue)
    await subscription.stop()
    publisher = bus.publisher(unique, mandatory=True)
    await publisher.publish("poison", "a.key")
    await publisher.publish("good")
    for _ in range(2):
        process = await consumer("crash")
        assert process.stdout is not None
        assert await process.stdout.readline() == b"begin poison\n"
        assert await process.wait() == 3
    async with asyncio.timeout(10):
        while not (parked := await bus.parked(unique).list()):
            await asyncio.sleep(0.05)
    assert [(message.body, message.routing_key) for message in parked] == [("poison", "a.key")]
    assert (parked[0].error, parked[0].reason) == (None, "parked by the broker: delivery_limit")
    got: asyncio.Queue[str] = asyncio.Queue()
    await bus.subscribe(unique, "#", lambda message: got.put_nowait(message.body), queue=queue)
    async with asyncio.timeout(10):
        assert await got.get() == "good"


async def test_sigterm_lets_a_consumer_finish_what_it_began(
    bus: Bus,
    unique: str,
    consumer: Callable[[str], Awaitable[asyncio.subprocess.Process]],
) -> None:
    process = await consumer("work")
    async with bus.publisher(unique).batch() as batch:
        for number in range(20):
            await batch.publish(number)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begin 0\n"
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        output = await process.stdout.read()
        assert await process.wait() == 0
    begun = output.count(b"begin") + 1
    assert output.count(b"end") == begun
    traffic = Traffic(bus, unique, 10)
    await bus.subscribe(unique, "#", traffic.handle, queue=unique)
    await traffic.until(lambda: len(traffic.handled) == 20 - begun)
    assert traffic.handled == Counter(range(begun, 20))


def through(proxy: Proxy, url: str) -> str:
    """The broker's URL, by way of the proxy."""
    credentials = url.partition("://")[2].rpartition("@")[0] or "guest:guest"
    return f"amqp://{credentials}@127.0.0.1:{proxy.port}/"
