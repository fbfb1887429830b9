"""Streams whose offset outlives the process."""

import asyncio
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.amq import (
    Bus,
    BusMessage,
    FileOffsets,
    OffsetError,
    Offsets,
    OffsetStore,
    Queue,
    SqliteOffsets,
    Subscription,
    connect,
)
from gestalt.amq.pubsub import offset_keeper
from gestalt.amq.pubsub.offset_position import OffsetPosition
from tests.support.collector import Collector
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, until

# An unstarted bus, to see what it refuses.
NOWHERE = "amqp://localhost"


@given(st.permutations(range(1, 12)))
def test_the_position_is_behind_the_first_that_is_not_done(order: list[int]) -> None:
    position = OffsetPosition()
    for tag in range(1, 12):
        position.deliver(tag, 100 + tag)
    done: set[int] = set()
    for tag in order:
        before = position.offset
        last = position.done(tag)
        done.add(tag)
        behind = next(number for number in itertools.count(1) if number not in done) - 1
        assert position.offset == (100 + behind if behind else None)
        assert last == (behind if position.offset != before else None)


@pytest.fixture(params=["files", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> OffsetStore:
    if request.param == "files":
        return FileOffsets(tmp_path / "offsets")
    return SqliteOffsets(tmp_path / "offsets.db")


def test_a_store_gives_what_was_saved_last_by_each_name(store: OffsetStore) -> None:
    assert store.load("tracker") is None
    for offset in (0, 7, 2**40):
        store.save("tracker", offset)
        assert store.load("tracker") == offset
    names = ["a/b", "../up", ".", "", "ä", "x" * 255, "x" * 254, "a b"]
    for number, name in enumerate(names):
        store.save(name, number)
    assert [store.load(name) for name in names] == list(range(len(names)))
    assert store.load("tracker") == 2**40


def test_a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileOffsets(tmp_path)
    store.save("tracker", 5)

    def fail(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        store.save("tracker", 6)
    assert store.load("tracker") == 5
    assert [path.name for path in tmp_path.iterdir()] == ["tracker.offset"]


def test_what_is_no_offset_is_told(tmp_path: Path) -> None:
    (tmp_path / "tracker.offset").write_text("seven\n")
    with pytest.raises(ValueError, match="holds something else than an offset"):
        FileOffsets(tmp_path).load("tracker")
    (tmp_path / "offsets.db").write_text("not a database, of which there is more to say than this")
    with pytest.raises(sqlite3.DatabaseError):
        SqliteOffsets(tmp_path / "offsets.db").load("tracker")


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    store = FileOffsets(tmp_path)
    with pytest.raises(ValueError, match="every"):
        Offsets(store, every=0)
    with pytest.raises(ValueError, match="within"):
        Offsets(store, within=0)
    with pytest.raises(TypeError, match="method load"):
        Offsets({"tracker": 5})  # type: ignore[arg-type]  # what the test is about
    bus = connect(NOWHERE)
    for queue in (None, "tracker", Queue("tracker")):
        with pytest.raises(ValueError, match='type="stream"'):
            bus.subscription("t", "#", print, queue=queue, offsets=store)


class Stream:
    """A stream on the test's broker."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def publish(self, bus: Bus, count: int, first: int = 0) -> None:
        async with bus.publisher(self.name).batch() as batch:
            for number in range(first, first + count):
                await batch.publish(number)

    async def read(self, bus: Bus, handler: Any, **options: Any) -> Subscription:
        subscription = await bus.subscribe(
            self.name,
            "#",
            handler,
            queue=Queue(self.name, type="stream"),
            consumer_arguments={"x-stream-offset": "first"},
            **options,
        )
        assert isinstance(subscription, Subscription)
        return subscription


@pytest.fixture
def stream(unique: str) -> Stream:
    return Stream(unique)


async def test_reading_goes_on_exactly_behind_what_was_handled(
    broker_url: str, stream: Stream, store: OffsetStore
) -> None:
    for number in range(3):
        async with connect(broker_url, backoff=QUICK) as bus:
            got = Collector()
            await stream.read(bus, got, offsets=store)
            await stream.publish(bus, 250, first=250 * number)
            assert await got.wait(250) == list(range(250 * number, 250 * (number + 1)))
        assert store.load(stream.name) == 250 * (number + 1) - 1


class Memory:
    """A store of a user's own, with async methods, which fails when it is told to."""

    def __init__(self) -> None:
        self.offsets: dict[str, int] = {}
        self.saved: list[int] = []
        self.error: Exception | None = None

    async def load(self, name: str, /) -> int | None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.offsets.get(name)

    async def save(self, name: str, offset: int, /) -> None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.offsets[name] = offset
        self.saved.append(offset)


async def test_several_handlers_at_once_never_have_more_saved_than_is_handled(
    broker_url: str, stream: Stream
) -> None:
    handled: set[int] = set()
    store = Memory()
    save = store.save

    async def checked(name: str, offset: int, /) -> None:
        assert set(range(offset + 1)) <= handled
        await save(name, offset)

    store.save = checked  # type: ignore[method-assign]  # it looks what it is given

    async def handle(message: BusMessage[int]) -> None:
        await asyncio.sleep(random.random() / 100)
        handled.add(message.body)

    async with connect(broker_url, backoff=QUICK) as bus:
        subscription = await stream.read(
            bus, handle, concurrency=20, offsets=Offsets(store, every=60, within=0.05)
        )
        await stream.publish(bus, 1000)
        await until(lambda: len(handled) == 1000)
        await until(lambda: store.offsets.get(stream.name) == 999)
        assert subscription.trouble is None
    assert store.saved == sorted(set(store.saved))


async def test_a_store_that_fails_is_told_and_nothing_is_skipped(
    broker_url: str, stream: Stream
) -> None:
    store = Memory()
    async with connect(broker_url, backoff=QUICK) as bus:
        got = Collector()
        subscription = await stream.read(bus, got, offsets=Offsets(store, every=20, within=0.05))
        await stream.publish(bus, 10)
        await until(lambda: store.offsets.get(stream.name) == 9)
        store.error = OSError("no space left on device")
        await stream.publish(bus, 200, first=10)
        await until(lambda: subscription.trouble is not None)
        assert "no space left" in str(subscription.trouble)
        assert not bus.ready
        assert subscription.reported >= 1
        await until(lambda: len(got.bodies) >= 30)
        # No more than would be handled again.
        assert len(got.bodies) <= 30
        store.error = None
        await until(lambda: store.offsets.get(stream.name) == 209)
        assert got.bodies == list(range(210))
        await until(lambda: bus.ready)


async def test_a_store_that_cannot_be_loaded_from_fails_the_start(
    broker_url: str, stream: Stream, tmp_path: Path
) -> None:
    (tmp_path / f"{stream.name}.offset").write_text("?")
    async with connect(broker_url, backoff=QUICK) as bus:
        with pytest.raises(OffsetError, match=f"{stream.name}.*cannot be loaded"):
            await stream.read(bus, print, offsets=FileOffsets(tmp_path))
        wrong = Memory()
        wrong.offsets[stream.name] = -1
        with pytest.raises(OffsetError, match="has no offset"):
            await stream.read(bus, print, offsets=wrong)
        assert bus.ready


async def test_a_name_of_its_own_is_a_reader_of_its_own(
    broker_url: str, stream: Stream, store: OffsetStore
) -> None:
    async with connect(broker_url, backoff=QUICK) as bus:
        one, other = Collector(), Collector()
        await stream.read(bus, one, offsets=Offsets(store, name="one"))
        await stream.publish(bus, 20)
        await stream.read(bus, other, offsets=Offsets(store, name="other"))
        assert await one.wait(20) == await other.wait(20) == list(range(20))
    assert store.load("one") == store.load("other") == 19
    assert store.load(stream.name) is None


async def test_a_lost_connection_skips_and_repeats_as_little(
    broker_url: str, broker_port: int, stream: Stream, store: OffsetStore
) -> None:
    handled: list[int] = []

    async def handle(message: BusMessage[int]) -> None:
        await asyncio.sleep(0.0005 * (message.body % 5))
        handled.append(message.body)

    async with (
        Proxy(broker_port) as proxy,
        connect(broker_url.replace(str(broker_port), str(proxy.port)), backoff=QUICK) as bus,
        connect(broker_url, backoff=QUICK) as other,
    ):
        await stream.read(bus, handle, concurrency=8, offsets=store)
        await stream.publish(other, 2000)
        await until(lambda: len(handled) > 300)
        await proxy.cut()
        await until(lambda: len(handled) > 900)
        await proxy.cut()
        await until(lambda: set(handled) == set(range(2000)), 20)
        # What ran when the connection was lost, and what was behind it.
        assert len(handled) - 2000 <= 2 * 100
    assert store.load(stream.name) == 1999


async def test_what_came_before_anything_was_handled_is_read_again_after_a_lost_connection(
    broker_url: str, broker_port: int, stream: Stream
) -> None:
    begun: list[int] = []
    go_on = asyncio.Event()

    async def handle(message: BusMessage[int]) -> None:
        begun.append(message.body)
        await go_on.wait()

    async with (
        Proxy(broker_port) as proxy,
        connect(broker_url.replace(str(broker_port), str(proxy.port)), backoff=QUICK) as bus,
        connect(broker_url, backoff=QUICK) as other,
    ):
        subscription = await bus.subscribe(
            stream.name, "#", handle, queue=Queue(stream.name, type="stream")
        )
        await stream.publish(other, 5)
        await until(lambda: begun == [0])
        await proxy.cut()
        await until(lambda: not subscription.consuming)
        await until(lambda: subscription.consuming)
        go_on.set()
        await until(lambda: set(begun) == set(range(5)))


async def test_a_store_that_is_slow_is_told_and_waited_for(
    broker_url: str, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offset_keeper, "PATIENCE", 0.05)
    store, answer = Memory(), asyncio.Event()
    save = store.save

    async def save_later(*arguments: Any) -> None:
        await answer.wait()
        await save(*arguments)

    store.save = save_later  # type: ignore[method-assign]
    async with connect(broker_url, backoff=QUICK) as bus:
        subscription = await stream.read(bus, Collector(), offsets=Offsets(store, within=0.05))
        await stream.publish(bus, 1)
        await until(lambda: "has not answered" in str(subscription.trouble))
        answer.set()
        await until(lambda: store.offsets.get(stream.name) == 0)
        await until(lambda: subscription.trouble is None)


async def test_a_store_that_hangs_does_not_live_on_after_the_stop(
    broker_url: str, stream: Stream
) -> None:
    store = Memory()
    given_up = asyncio.Event()

    async def hang(*_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    store.save = hang  # type: ignore[method-assign]  # it never answers
    async with connect(broker_url, backoff=QUICK) as bus:
        got = Collector()
        await stream.read(bus, got, offsets=store)
        await stream.publish(bus, 1)
        await got.wait(1)
    async with asyncio.timeout(1):
        await given_up.wait()


async def test_a_killed_process_skips_nothing_and_repeats_no_more_than_was_said(
    broker_url: str, stream: Stream, tmp_path: Path
) -> None:
    file = tmp_path / "handled"
    file.touch()

    def handled() -> list[int]:
        return [int(line) for line in file.read_text().split()]

    async with connect(broker_url, backoff=QUICK) as bus:
        await bus.declare(Queue(stream.name, type="stream"))
        first = await stream.read(bus, print)
        await first.stop()
        await stream.publish(bus, 3000)

    async def run(goal: int, how: signal.Signals) -> int:
        process = start_reader(broker_url, stream.name, tmp_path / "offsets", file)
        try:
            await until(lambda: len(set(handled())) >= goal, 30)
        finally:
            process.send_signal(how)
            status = await asyncio.to_thread(process.wait)
        return status

    assert await run(500, signal.SIGKILL) == -signal.SIGKILL
    assert await run(1200, signal.SIGKILL) == -signal.SIGKILL
    assert len(set(handled())) < 3000
    assert await run(3000, signal.SIGTERM) == 0
    assert set(handled()) == set(range(3000))
    assert len(handled()) - 3000 <= 2 * 50
    assert FileOffsets(tmp_path / "offsets").load(stream.name) == 2999


def start_reader(url: str, name: str, folder: Path, file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.support.stream_reader", url, name]
    return subprocess.Popen([*command, str(folder), str(file)], stdin=subprocess.DEVNULL)
