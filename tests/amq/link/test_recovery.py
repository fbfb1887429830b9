"""How soon, and with how many attempts, the connections of a process come back after an outage."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from gestalt.amq import Bus, Connected, ConnectError, connect
from gestalt.amq.embedded import EmbeddedBroker, ThreadedBroker
from gestalt.amq.link import reach
from tests.support.rabbitmq import free_ports
from tests.support.waiting import until

BUSES = 8


class Stopgap:
    """A server in the broker's place, which counts who comes.

    Args:
        silent: it keeps connections and says nothing, even when its port has a broker again;
            otherwise it closes them at once.
    """

    def __init__(self, port: int, *, silent: bool) -> None:
        self.accepted: list[float] = []
        self._port = port
        self._silent = silent
        self._kept: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, backlog=1000
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.append(time.monotonic())
        if self._silent:
            self._kept.append(writer)
        else:
            writer.transport.abort()

    def stop(self) -> None:
        self._server.close()

    def hang_up(self) -> None:
        for each in self._kept:
            each.transport.abort()


@asynccontextmanager
async def buses(url: str, count: int = BUSES, **options: object) -> AsyncIterator[list[Bus]]:
    """Buses, each with two connections."""
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(connect(url, name=f"bus{n}", **options))  # type: ignore[arg-type]
            for n in range(count)
        ]
        for number, bus in enumerate(made):
            await bus.subscribe(f"recovery-{number}", "#", print)
        yield made


@pytest.mark.parametrize("silent", [False, True], ids=["refusing", "silent"])
async def test_all_buses_of_a_process_are_back_soon_after_the_broker_and_few_try_meanwhile(
    silent: bool,
) -> None:
    (port,) = free_ports(1)
    async with AsyncExitStack() as stack:
        broker = EmbeddedBroker(port=port, stop_timeout=0)
        await broker.start()
        made = await stack.enter_async_context(buses(broker.url, stop_timeout=1))
        stopgap = Stopgap(port, silent=silent)
        outage = 2.5
        began = time.monotonic()
        await broker.stop()
        await stopgap.start()
        await until(lambda: not any(bus.ready for bus in made))
        await asyncio.sleep(outage)
        stopgap.stop()
        broker = await stack.enter_async_context(EmbeddedBroker(port=port, stop_timeout=0))
        back = time.monotonic()
        tried = len(stopgap.accepted)
        await until(lambda: sum(bus.ready for bus in made) >= 0.9 * BUSES)
        # On an idle machine, this takes less than a second.
        assert time.monotonic() - back < 4
        await until(lambda: all(bus.ready for bus in made))
        assert time.monotonic() - back < 5
        # The first ones come before it is known that the broker is away.
        assert tried <= 4 + 4 * (back - began)
        assert len(stopgap.accepted) <= tried + 1
        stopgap.hang_up()


async def test_a_broker_that_lets_in_and_hangs_up_is_not_stormed() -> None:
    connected = 0
    with ThreadedBroker(stop_timeout=0) as broker:

        def drop(event: object) -> None:
            nonlocal connected
            if isinstance(event, Connected):
                connected += 1
                if dropping:
                    asyncio.get_running_loop().call_soon(broker.drop_connections)

        dropping = False
        async with buses(broker.url, on_event=drop):
            assert connected == 2 * BUSES
            dropping = True
            broker.drop_connections()
            await asyncio.sleep(3)
            dropping = False
            # At first, when it was good until then, each comes back once.
            assert connected <= 4 * BUSES + 4 * 3


async def test_all_go_over_to_another_broker_at_once() -> None:
    with ThreadedBroker(stop_timeout=0) as first, ThreadedBroker(stop_timeout=0) as second:
        async with buses([first.url, second.url]) as made:  # type: ignore[arg-type]
            first.refuse_connections()
            first.drop_connections()
            begun = time.monotonic()
            await until(lambda: second.connection_count() == 2 * BUSES)
            await until(lambda: all(bus.ready for bus in made))
            # One after the other, they would take half a second each.
            assert time.monotonic() - begun < 4


async def test_each_event_loop_finds_out_by_itself() -> None:
    """What is known of a broker belongs to one loop: another one is not woken by it."""
    with ThreadedBroker(stop_timeout=0) as broker:
        begun, ended = threading.Event(), threading.Event()

        async def live() -> None:
            async with buses(broker.url, 1) as (bus,):
                begun.set()
                await until(lambda: not bus.ready)
                await until(lambda: bus.ready)
                ended.set()

        other = threading.Thread(target=lambda: asyncio.run(live()))
        other.start()
        async with buses(broker.url, 1) as (bus,):
            await until(begun.is_set)
            broker.refuse_connections()
            broker.drop_connections()
            await until(lambda: not bus.ready)
            await asyncio.sleep(0.5)
            broker.accept_connections()
            await until(lambda: bus.ready)
            await until(ended.is_set)
        other.join(10)


async def test_nothing_is_kept_of_a_broker_that_no_bus_goes_to() -> None:
    with ThreadedBroker(stop_timeout=0) as broker:
        async with buses(broker.url, 2):
            known = reach._reaches[asyncio.get_running_loop()]
            assert list(known) == [f"127.0.0.1:{broker.port}"]
        gc.collect()
        assert list(known) == []


async def test_an_attempt_that_takes_a_while_to_be_given_up_fails_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reach, "STUCK", 0.01)
    known = reach.Reach()
    given_up, released = asyncio.Event(), asyncio.Event()
    attempts = 0

    async def hang() -> str:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            return "the one that hung"
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
            await released.wait()
        raise AssertionError

    async def succeed() -> str:
        return "another"

    async with asyncio.timeout(10):
        stuck = asyncio.create_task(known.attempt(hang, who=1, gap=1.0))
        await until(lambda: attempts)
        assert await known.attempt(succeed, who=2, gap=1.0) == "another"
        await given_up.wait()
        known.note_loss(ConnectError("lost"), 2, lasted=True)
        assert await known.attempt(succeed, who=2, gap=1.0) == "another"
        released.set()
        assert await stuck == "the one that hung"
