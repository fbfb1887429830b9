"""Queues in partitions: each key in order, whoever comes and goes."""

import asyncio
import contextlib
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aio_pika
import aio_pika.abc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gestalt.amq import (
    Bus,
    BusMessage,
    Exchange,
    Partitioned,
    PartitionedSubscription,
    Retry,
    TopologyError,
    connect,
)
from gestalt.amq.embedded import ThreadedBroker
from gestalt.amq.pubsub.partition_members import BEAT, LOST, SILENT, Members
from gestalt.amq.pubsub.partitioned import SETTLE
from gestalt.amq.pubsub.partitions import shares
from gestalt.core import Batch, State
from tests.support.alarms import Alarm
from tests.support.collector import Collector
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, Reported, until

names = st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=12)
counts = st.integers(1, 64)


@settings(max_examples=40)
@given(counts, names)
def test_shares_are_whole_fair_and_the_same_for_everybody(count: int, members: set[str]) -> None:
    found = shares(count, members)
    assert found == shares(count, sorted(members, reverse=True))
    assert sorted(itertools.chain(*found.values())) == list(range(count))
    sizes = [len(each) for each in found.values()]
    assert max(sizes) - min(sizes) <= 1


def test_where_there_is_nobody_nobody_has_a_part() -> None:
    assert shares(3, []) == {}


@given(st.integers(2, 12))
def test_few_partitions_move_when_somebody_comes(count: int) -> None:
    members = [f"member {number}" for number in range(count)]
    before, after = shares(64, members[:-1]), shares(64, members)
    owners = {part: name for name, parts in before.items() for part in parts}
    moved = sum(owners[part] != name for name, parts in after.items() for part in parts)
    # The newcomer's, and not many that move for the sake of fairness.
    assert moved <= 2.5 * 64 / count


def test_members_are_those_who_were_heard_and_have_not_left() -> None:
    members = Members("me")
    assert members.hear("other", "queue 1", 0.0)
    assert not members.hear("other", "queue 2", 1.0)
    assert not members.hear("me", "mine", 1.0)
    assert members.names == {"me", "other"}
    # Its former queue is gone, and it is not.
    assert not members.gone("queue 1")
    assert members.silent(1.0 + SILENT) == []
    assert members.silent(1.1 + SILENT) == ["queue 2"]
    members.refresh(5.0)
    assert members.silent(5.0) == []
    assert not members.expire(5.0 + LOST)
    assert members.expire(5.1 + LOST)
    assert members.names == {"me"}
    assert members.hear("other", "queue 3", 30.0)
    assert members.gone("queue 3")
    assert members.hear("other", "queue 4", 30.0)
    assert members.leave("other")
    assert not members.leave("other")
    assert members.names == {"me"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"partitions": 0}, "1 to 256"),
        ({"partitions": 257}, "1 to 256"),
        ({"by_header": "a", "by_property": "message_id"}, "not both"),
        ({"by_property": "type"}, "message_id or correlation_id"),
        ({"name": "x" * 255}, "at most 255 bytes"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Partitioned(**{"name": "n", **options})


def test_what_breaks_the_order_is_refused() -> None:
    bus = connect("amqp://localhost")
    queue = Partitioned("tracker")
    with pytest.raises(ValueError, match="batches do not"):
        bus.subscription("t", "#", print, queue=queue, batch=Batch(10))
    with pytest.raises(ValueError, match="x-priority"):
        bus.subscription("t", "#", print, queue=queue, consumer_arguments={"x-priority": 1})
    with pytest.raises(ValueError, match="exclusive"):
        bus.subscription("t", "#", print, queue=queue, exclusive=True)
    with pytest.raises(ValueError, match="exact=True"):
        bus.subscription("t", "#", print, queue=queue, exact=True)


class Handled:
    """A handler that notes which bus has handled what."""

    def __init__(self) -> None:
        self.by_key: dict[str, list[tuple[str, int]]] = {}

    @property
    def count(self) -> int:
        return sum(len(each) for each in self.by_key.values())

    def of(self, name: str) -> Any:
        def handle(message: BusMessage[int]) -> None:
            self.by_key.setdefault(message.routing_key, []).append((name, message.body))

        return handle

    def assert_in_order(self) -> None:
        for entries in self.by_key.values():
            numbers = list(dict.fromkeys(number for _, number in entries))
            assert numbers == sorted(numbers)


async def publish(bus: Bus, exchange: str, keys: int, count: int, first: int = 0) -> None:
    publisher = bus.publisher(exchange)
    async with publisher.batch() as batch:
        for number in range(first, first + count):
            for key in range(keys):
                await batch.publish(number, f"key.{key}")


async def subscribe(
    bus: Bus, unique: str, handler: Any, partitions: int = 4, **options: Any
) -> PartitionedSubscription:
    subscription = await bus.subscribe(
        unique, "#", handler, queue=Partitioned(unique, partitions), **options
    )
    assert isinstance(subscription, PartitionedSubscription)
    return subscription


async def test_each_partition_has_one_of_those_who_share_the_queue(
    broker_url: str, unique: str
) -> None:
    handled = Handled()
    async with connect(broker_url, backoff=QUICK) as a, connect(broker_url, backoff=QUICK) as b:
        first = await subscribe(a, unique, handled.of("a"))
        assert first.partitions == {0, 1, 2, 3}
        await publish(a, unique, 20, 50)
        second = await subscribe(b, unique, handled.of("b"))
        await until(lambda: len(first.partitions) == len(second.partitions) == 2)
        assert first.partitions | second.partitions == {0, 1, 2, 3}
        await publish(a, unique, 20, 50, first=50)
        await until(lambda: handled.count >= 2000)
        handled.assert_in_order()
        assert {name for each in handled.by_key.values() for name, _ in each} == {"a", "b"}
        assert first.stats.handled + second.stats.handled == handled.count
        assert a.ready
        assert b.ready
        await second.stop()
        await until(lambda: first.partitions == {0, 1, 2, 3})
        assert first.members == 1
        await publish(a, unique, 20, 5, first=100)
        await until(lambda: handled.count >= 2100)
        handled.assert_in_order()


async def test_a_message_that_fails_holds_back_its_own_key_only_and_keeps_its_order(
    bus: Bus, unique: str
) -> None:
    seen: list[tuple[str, int, int]] = []

    def handle(message: BusMessage[int]) -> None:
        seen.append((message.routing_key, message.body, message.attempt))
        if message.routing_key == "key.1" and message.body == 1 and message.attempt < 3:
            raise LookupError("not yet")

    await subscribe(
        bus, unique, handle, partitions=1, retry=Retry(attempts=3, delay=0.2, factor=1.0)
    )
    await publish(bus, unique, 3, 4)
    await until(lambda: len(seen) == 14)
    assert [entry[1:] for entry in seen if entry[0] == "key.1"] == [
        (0, 1),
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
        (3, 1),
    ]
    # The others did not wait for it.
    assert {entry[0] for entry in seen[-4:]} == {"key.1"}


async def test_what_is_not_handled_in_any_attempt_goes_aside(bus: Bus, unique: str) -> None:
    got = Collector()

    def handle(message: BusMessage[int]) -> None:
        if message.body == 1:
            raise LookupError("never")
        got(message)

    subscription = await subscribe(bus, unique, handle, retry=None)
    await publish(bus, unique, 1, 3)
    assert await got.wait(2) == [0, 2]
    await until(lambda: subscription.stats.parked == 1)
    (parked,) = await bus.parked(unique).list()
    assert (parked.body, parked.error) == (1, "LookupError")


@pytest.mark.parametrize("by", ["header", "message_id"])
async def test_a_key_may_be_a_header_or_a_property(bus: Bus, unique: str, by: str) -> None:
    got = Collector()
    queue = (
        Partitioned(unique, 4, by_header="vehicle")
        if by == "header"
        else Partitioned(unique, 4, by_property="message_id")
    )
    await bus.subscribe(unique, "#", got, queue=queue)
    publisher = bus.publisher(unique)
    for number in range(60):
        key = f"v{number % 6}"
        # The routing key says nothing here.
        if by == "header":
            await publisher.publish(number, f"any.{number}", headers={"vehicle": key})
        else:
            await publisher.publish(number, f"any.{number}", message_id=key)
    assert sorted(await got.wait(60)) == list(range(60))
    for key in range(6):
        mine = [number for number in got.bodies if number % 6 == key]
        assert mine == sorted(mine)


async def test_declared_before_the_start_it_starts_with_the_bus(
    broker_url: str, unique: str
) -> None:
    got = Collector()
    bus = connect(broker_url, backoff=QUICK)
    declared = bus.subscription(unique, "#", got, queue=Partitioned(unique, 2))
    for number in range(2):
        async with bus:
            assert declared.consumer is not None
            assert declared.consumer.partitions == {0, 1}
            await bus.publisher(unique).publish(number, "k")
            await got.wait(number + 1)


async def test_a_broker_without_the_plugin_is_told_and_nothing_else_is_hurt(
    rabbitmq_url: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a broker that does not know the type: it ends the connection by which one is declared.
    unknown = Exchange(f"{unique}.partitions", "x-unheard-of")
    monkeypatch.setattr(Partitioned, "exchange", unknown)
    async with connect(rabbitmq_url, backoff=QUICK) as bus:
        got = Collector()
        other = await bus.subscribe(unique, "#", got, queue=f"{unique}.other")
        with pytest.raises(TopologyError, match="rabbitmq-plugins enable rabbitmq_consistent"):
            await subscribe(bus, unique, print)
        await bus.publisher(unique).publish("lives", "k")
        assert await got.wait(1) == ["lives"]
        assert other.trouble is None
        assert bus.ready


async def test_what_a_single_active_consumer_had_comes_first_to_the_one_that_follows(
    broker_url: str, unique: str
) -> None:
    connection = await aio_pika.connect(broker_url)
    async with connection:
        first, second = await connection.channel(), await connection.channel()
        arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-single-active-consumer": True}
        queue = await first.declare_queue(unique, durable=True, arguments=arguments)
        for number in range(20):
            await first.default_exchange.publish(
                aio_pika.Message(str(number).encode()), routing_key=unique
            )
        had: list[bytes] = []
        got: list[bytes] = []
        await first.set_qos(prefetch_count=5)
        await queue.consume(partial(note, had))
        await until(lambda: len(had) == 5)
        await second.set_qos(prefetch_count=20)
        await (await second.get_queue(unique)).consume(partial(note, got))
        await first.close()
        await until(lambda: len(got) == 20)
        assert got == [str(number).encode() for number in range(20)]


async def note(bodies: list[bytes], message: aio_pika.abc.AbstractIncomingMessage) -> None:
    bodies.append(message.body)


async def test_it_goes_on_after_a_lost_connection(
    broker_url: str, broker_port: int, unique: str
) -> None:
    handled = Handled()
    async with (
        Proxy(broker_port) as proxy,
        connect(broker_url.replace(str(broker_port), str(proxy.port)), backoff=QUICK) as a,
        connect(broker_url, backoff=QUICK) as b,
    ):
        first = await subscribe(a, unique, handled.of("a"))
        second = await subscribe(b, unique, handled.of("b"))
        await until(lambda: len(first.partitions) == len(second.partitions) == 2)
        await publish(b, unique, 10, 10)
        await proxy.cut()
        await publish(b, unique, 10, 10, first=10)
        await until(lambda: handled.count >= 200)
        handled.assert_in_order()
        await until(lambda: a.ready and b.ready)
        await until(lambda: first.partitions | second.partitions == {0, 1, 2, 3})
        await until(lambda: len(first.partitions) == len(second.partitions) == 2)


async def test_a_memory_alarm_does_not_hold_up_what_is_in_the_parts(
    alarm: Alarm, unique: str
) -> None:
    handled: list[int] = []
    go_on = asyncio.Event()

    async def handle(message: BusMessage[int]) -> None:
        await go_on.wait()
        handled.append(message.body)

    async with (
        connect(alarm.url, backoff=QUICK) as bus,
        connect(alarm.url, backoff=QUICK) as other,
    ):
        await subscribe(bus, unique, handle, partitions=1, prefetch=5)
        await publish(other, unique, 1, 50)
        await asyncio.to_thread(alarm.begin)
        try:
            # By then it has told the others of itself.
            await asyncio.sleep(2 * BEAT)
            go_on.set()
            await until(lambda: len(handled) == 50)
        finally:
            await asyncio.to_thread(alarm.end)
        await until(lambda: bus.ready)


async def test_nothing_of_one_who_has_left_is_there_any_more(
    amqp_broker: ThreadedBroker, unique: str
) -> None:
    async with connect(amqp_broker.url, backoff=QUICK) as bus:
        for _ in range(2):
            subscription = await subscribe(bus, unique, print, partitions=1)
            await subscription.stop()
        await until(lambda: {*queues(amqp_broker)} == {f"{unique}.0", f"{unique}.parked"})


def queues(broker: ThreadedBroker) -> list[str]:
    return [queue.name for queue in broker.queues()]


async def test_a_part_that_has_failed_is_trouble(bus: Bus, unique: str, reported: Reported) -> None:
    subscription = await subscribe(bus, unique, print, partitions=1)
    (part,) = subscription._held.values()
    part._fail(LookupError("broken"))
    await until(lambda: part.state is State.FAILED)
    assert "partition 0: the broker delivers nothing" in str(subscription.trouble)
    assert not bus.ready
    assert [str(context["exception"]) for context in reported] == ["broken"]


async def test_it_takes_no_part_anew_when_it_is_stopped_while_parts_move(
    broker_url: str, unique: str
) -> None:
    begun: list[str] = []
    may_end = {f"{unique}.{number}": asyncio.Event() for number in range(4)}
    got = Collector()

    async def handle(message: BusMessage[int]) -> None:
        begun.append(message.routing_key)
        await may_end[message.routing_key].wait()

    async with connect(broker_url, backoff=QUICK) as a, connect(broker_url, backoff=QUICK) as b:
        first = await subscribe(a, unique, handle)
        publisher = b.publisher(Exchange(""))
        for _ in range(2):
            for part in may_end:
                await publisher.publish(0, part)
        await until(lambda: len(begun) == 4)
        second = await subscribe(b, unique, got)
        moving = second.partitions
        stays, goes = sorted({*range(4)} - moving)
        # By then it has begun to give up its parts.
        await asyncio.sleep(2 * SETTLE)
        stopping = asyncio.create_task(first.stop())
        await until(lambda: second.members == 1)
        may_end[f"{unique}.{goes}"].set()
        await until(lambda: goes not in first.partitions)
        for number in moving:
            may_end[f"{unique}.{number}"].set()
        await got.wait(3)
        assert first.partitions == {stays}
        may_end[f"{unique}.{stays}"].set()
        await stopping
        assert first.partitions == frozenset()
        assert len(begun) == 4
        await got.wait(4)


class Process:
    """A process that takes part; it notes what it does in a file that all share."""

    def __init__(self, url: str, name: str, file: Path) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.support.partition_member", url, name, str(file)],
            stdin=subprocess.DEVNULL,
        )

    async def end(self, how: signal.Signals) -> None:
        self.popen.send_signal(how)
        await asyncio.to_thread(self.popen.wait, 30)


@contextlib.asynccontextmanager
async def processes() -> AsyncIterator[list[Process]]:
    running: list[Process] = []
    try:
        yield running
    finally:
        for each in running:
            each.popen.kill()
            await asyncio.to_thread(each.popen.wait)


def read(file: Path) -> list[tuple[str, int, str, int, int]]:
    lines = [line.split() for line in file.read_text().splitlines()]
    return [(word, int(pid), key, int(n), int(at)) for word, pid, key, n, at in lines]


def check_order(entries: list[tuple[str, int, str, int, int]], ends: dict[int, int]) -> None:
    """Each key is handled in order, and by one process at a time.

    A message may be handled again after its process was killed. Without such repetitions, the
    numbers of a key only grow; and two processes never have the same key at once.

    Args:
        ends: until when each process that was killed was certainly alive.
    """
    handled: dict[str, list[int]] = {}
    open_calls: dict[tuple[str, int], int] = {}
    spans: dict[str, list[tuple[int, int, int]]] = {}
    for word, pid, key, number, at in sorted(entries, key=lambda entry: entry[4]):
        if word == "begin":
            handled.setdefault(key, []).append(number)
            open_calls[key, pid] = at
        elif word == "end":
            spans.setdefault(key, []).append((open_calls.pop((key, pid)), at, pid))
    for (key, pid), began in open_calls.items():
        spans.setdefault(key, []).append((began, ends[pid], pid))
    for key, numbers in handled.items():
        assert list(dict.fromkeys(numbers)) == list(range(len(set(numbers)))), key
    for each in spans.values():
        each.sort()
        for (_, end, pid), (begin, _, other) in itertools.pairwise(each):
            assert pid == other or end <= begin


@pytest.mark.slow
async def test_ten_thousand_messages_keep_their_order_while_processes_are_killed_and_come_and_go(
    broker_url: str, unique: str, tmp_path: Path
) -> None:
    file = tmp_path / "handled"
    file.touch()
    ends: dict[int, int] = {}

    def count(word: str) -> int:
        return sum(entry[0] == word for entry in read(file))

    async def wait(condition: Callable[[], bool], limit: float) -> None:
        async with asyncio.timeout(limit):
            while not condition():
                # The file is read whole each time.
                await asyncio.sleep(0.2)

    async with connect(broker_url, backoff=QUICK) as bus, processes() as running:

        async def begin() -> None:
            started = count("started")
            running.append(Process(broker_url, unique, file))
            await wait(lambda: count("started") > started, 40)

        async def kill(which: int) -> None:
            process = running.pop(which)
            # It is not seen to end before others may have begun.
            ends[process.popen.pid] = time.monotonic_ns()
            await process.end(signal.SIGKILL)

        for _ in range(3):
            await begin()

        async def publish_all() -> None:
            publisher = bus.publisher(unique)
            for number in range(100):
                async with publisher.batch() as batch:
                    for key in range(100):
                        await batch.publish(number, f"key.{key}")

        publishing = asyncio.create_task(publish_all())
        await wait(lambda: count("end") > 500, 30)
        await kill(0)
        await begin()
        await kill(1)
        await running.pop(0).end(signal.SIGTERM)
        await begin()
        await kill(0)
        assert count("end") < 10_000
        await begin()
        await publishing
        await wait(lambda: len({e[2:4] for e in read(file) if e[0] == "end"}) == 10_000, 60)
        for process in running:
            await process.end(signal.SIGTERM)
    check_order(read(file), ends)
