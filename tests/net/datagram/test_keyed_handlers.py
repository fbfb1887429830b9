"""With `key=`, datagrams are handled in the order of their keys, within the backlog."""

import asyncio
import random
from collections import defaultdict
from typing import Any

import pytest

from gestalt.codecs import Codec
from gestalt.net import (
    DatagramEndpoint,
    DatagramMessage,
    HandlerError,
    Mti,
    NetError,
    Raw,
    Wire,
)
from tests.net.datagram.fixtures import StartEndpoint, Until
from tests.net.fixtures import Within


def first(message: DatagramMessage[bytes]) -> bytes:
    """The key of these tests: the first byte."""
    return message.body[:1]


class Gate:
    """An async handler that notes what begins and ends, and ends what it is told to."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.ended: list[bytes] = []
        self._open = False
        self._waiting: defaultdict[bytes, asyncio.Event] = defaultdict(asyncio.Event)

    async def __call__(self, message: DatagramMessage[bytes]) -> None:
        self.begun.append(message.body)
        if not self._open:
            await self._waiting[message.body].wait()
        self.ended.append(message.body)
        if message.body.endswith(b"!"):
            raise LookupError(message.body)

    @property
    def running(self) -> int:
        return len(self.begun) - len(self.ended)

    def end(self, body: bytes) -> None:
        self._waiting[body].set()

    def end_all(self) -> None:
        self._open = True
        for event in self._waiting.values():
            event.set()

    def of(self, key: bytes) -> list[bytes]:
        return [body for body in self.ended if body[:1] == key]


async def send_all(client: DatagramEndpoint, *bodies: bytes) -> None:
    for body in bodies:
        await client.send(body)


async def test_a_key_waits_for_its_own_and_others_go_on(
    endpoint: StartEndpoint, until: Until
) -> None:
    gate = Gate()
    server = await endpoint(on_message=gate, concurrency=4, key=first)
    client = await endpoint(None, peer=server.address)
    await send_all(client, b"a1", b"a2", b"b1", b"a3", b"b2", b"c1")
    await until(lambda: gate.running == 3)
    assert gate.begun == [b"a1", b"b1", b"c1"]
    gate.end(b"b1")
    await until(lambda: b"b2" in gate.begun)
    gate.end_all()
    await until(lambda: len(gate.ended) == 6)
    assert gate.of(b"a") == [b"a1", b"a2", b"a3"]


async def test_messages_of_one_key_are_in_order_whoever_sent_them(
    endpoint: StartEndpoint, until: Until
) -> None:
    gate = Gate()
    server = await endpoint(on_message=gate, concurrency=4, key=first)
    for number in range(3):
        client = await endpoint(None, peer=server.address)
        await client.send(b"a%d" % number)
        await until(lambda number=number: server.stats.received == number + 1)  # type: ignore[misc]
    assert gate.begun == [b"a0"]
    gate.end_all()
    await until(lambda: len(gate.ended) == 3)
    assert gate.ended == [b"a0", b"a1", b"a2"]


@pytest.mark.parametrize("concurrency", [1, 2, 5])
async def test_any_mixture_is_in_order_by_key_and_within_the_concurrency(
    endpoint: StartEndpoint, until: Until, concurrency: int
) -> None:
    chance = random.Random(concurrency)
    seen: defaultdict[int, list[int]] = defaultdict(list)
    busy: set[int] = set()
    most = 0

    async def handle(message: DatagramMessage[bytes]) -> None:
        nonlocal most
        vehicle, number = message.body[0], int(message.body[1:])
        assert vehicle not in busy
        busy.add(vehicle)
        most = max(most, len(busy))
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        seen[vehicle].append(number)
        busy.remove(vehicle)

    server = await endpoint(on_message=handle, concurrency=concurrency, key=first)
    client = await endpoint(None, peer=server.address)
    sent: defaultdict[int, list[int]] = defaultdict(list)
    for number in range(400):
        vehicle = chance.choice((1, 1, 1, 2, 3, 4, 5, 6))
        await client.send(bytes([vehicle]) + b"%d" % number)
        sent[vehicle].append(number)
        if chance.random() < 0.1:
            await asyncio.sleep(0)
    await until(lambda: sum(map(len, seen.values())) == 400)
    assert seen == sent
    assert most == concurrency


async def test_after_a_handler_that_fails_its_key_goes_on(
    endpoint: StartEndpoint, until: Until
) -> None:
    gate = Gate()
    errors: list[Any] = []
    server = await endpoint(on_message=gate, concurrency=4, key=first, on_error=errors.append)
    client = await endpoint(None, peer=server.address)
    await send_all(client, b"a!", b"b1", b"a2")
    await until(lambda: gate.running == 2)
    gate.end_all()
    await until(lambda: len(gate.ended) == 3)
    assert gate.of(b"a") == [b"a!", b"a2"]
    assert [error.message.body for error in errors] == [b"a!"]
    assert server.stats.handler_errors == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_message_without_a_key_fails_alone(
    endpoint: StartEndpoint, until: Until, asynchronous: bool
) -> None:
    handled: list[bytes] = []
    errors: list[NetError] = []

    def handle(message: DatagramMessage[bytes]) -> None:
        handled.append(message.body)

    async def handle_later(message: DatagramMessage[bytes]) -> None:
        handle(message)

    def key(message: DatagramMessage[bytes]) -> Any:
        if message.body == b"raise":
            raise KeyError("vehicle")
        return [] if message.body == b"unhashable" else message.body

    handler = handle_later if asynchronous else handle
    server = await endpoint(on_message=handler, concurrency=3, key=key, on_error=errors.append)
    client = await endpoint(None, peer=server.address)
    await send_all(client, b"1", b"raise", b"2", b"unhashable", b"3")
    await until(lambda: len(handled) == 3 and len(errors) == 2)
    assert handled == [b"1", b"2", b"3"]
    assert all(isinstance(error, HandlerError) for error in errors)
    assert [type(error.__cause__) for error in errors] == [KeyError, TypeError]
    assert server.stats.handler_errors == 2


async def test_what_is_no_message_has_no_key_and_is_dropped(
    endpoint: StartEndpoint, until: Until
) -> None:
    handled: list[Any] = []
    server = await endpoint(
        wire=Wire(Raw(), Codec("json")),
        on_message=lambda message: handled.append(message.body),
        key=lambda message: message.body,
        on_error=lambda error: None,
    )
    client = await endpoint(None, wire=Wire(Raw()), peer=server.address)
    await send_all(client, b"1", b"{", b"2")
    await until(lambda: len(handled) == 2)
    assert handled == [1, 2]
    assert server.stats.undecodable == 1


@pytest.mark.parametrize("overflow", ["drop-oldest", "drop-newest"])
async def test_what_waits_for_its_key_takes_room_of_the_backlog(
    endpoint: StartEndpoint, until: Until, overflow: str
) -> None:
    gate = Gate()
    server = await endpoint(on_message=gate, concurrency=2, key=first, backlog=4, overflow=overflow)
    client = await endpoint(None, peer=server.address)
    received = 0

    async def send(body: bytes) -> None:
        nonlocal received
        await client.send(body)
        received += 1
        await until(lambda: server.stats.received == received)
        await asyncio.sleep(0)

    for number in range(5):
        await send(b"a%d" % number)
    assert server.stats.overflowed == 0
    await send(b"b0")
    assert server.stats.overflowed == 1
    if overflow == "drop-oldest":
        await until(lambda: gate.running == 2)
        assert gate.begun == [b"a0", b"b0"]
    for number in range(5, 100):
        await send(b"a%d" % number)
    gate.end_all()
    await until(lambda: len(gate.ended) + server.stats.overflowed == received)
    assert not gate.running
    if overflow == "drop-oldest":
        assert gate.of(b"a") == [b"a0", b"a96", b"a97", b"a98", b"a99"]
    else:
        assert gate.ended == [b"a0", b"a1", b"a2", b"a3", b"a4"]


async def test_a_stop_handles_what_waits(
    endpoint: StartEndpoint, until: Until, within: Within
) -> None:
    gate = Gate()
    server = await endpoint(on_message=gate, concurrency=2, key=first)
    client = await endpoint(None, peer=server.address)
    await send_all(client, b"a1", b"a2", b"b1", b"b2")
    await until(lambda: server.stats.received == 4 and gate.running == 2)
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    gate.end_all()
    await within(stopping)
    assert gate.of(b"a") == [b"a1", b"a2"]
    assert gate.of(b"b") == [b"b1", b"b2"]
    assert server.stats.abandoned == 0


async def test_a_stop_that_is_cut_counts_what_waits_and_can_be_started_again(
    endpoint: StartEndpoint, until: Until, within: Within
) -> None:
    gate = Gate()
    errors: list[NetError] = []
    server = await endpoint(on_message=gate, concurrency=2, key=first, on_error=errors.append)
    client = await endpoint(None, peer=server.address)
    await send_all(client, b"a1", b"a2", b"b1", b"b2", b"a3", b"c1")
    await until(lambda: server.stats.received == 6 and gate.running == 2)
    await within(server.stop(timeout=0.02))
    assert gate.begun == [b"a1", b"b1"]
    assert gate.ended == []
    # What was being handled is lost as well.
    assert server.stats.abandoned == 6
    assert errors == []
    gate.end_all()
    await server.start()
    again = await endpoint(None, peer=server.address)
    await send_all(again, b"a4", b"a5")
    await until(lambda: len(gate.ended) == 2)
    assert gate.ended == [b"a4", b"a5"]


async def test_a_task_that_is_cancelled_costs_its_message_and_frees_its_key(
    endpoint: StartEndpoint, until: Until
) -> None:
    gate = Gate()
    errors: list[Any] = []
    server = await endpoint(
        on_message=gate, concurrency=2, key=first, on_error=errors.append, name="keyed"
    )
    client = await endpoint(None, peer=server.address)
    await send_all(client, b"a1", b"a2", b"b1", b"b2")
    await until(lambda: server.stats.received == 4 and gate.running == 2)
    for task in asyncio.all_tasks():
        if task.get_name() == "keyed handler":
            task.cancel()
    await until(lambda: len(gate.begun) == 4)
    assert sorted(gate.begun[2:]) == [b"a2", b"b2"]
    assert sorted(error.message.body for error in errors) == [b"a1", b"b1"]
    gate.end_all()
    await until(lambda: len(gate.ended) == 2)


async def test_a_task_that_is_cancelled_while_the_endpoint_stops_is_replaced(
    endpoint: StartEndpoint, until: Until, within: Within
) -> None:
    gate = Gate()
    errors: list[Any] = []
    server = await endpoint(
        on_message=gate, concurrency=1, key=first, on_error=errors.append, name="keyed"
    )
    client = await endpoint(None, peer=server.address)
    await send_all(client, b"a1", b"a2", b"b1")
    await until(lambda: server.stats.received == 3 and gate.running == 1)
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "keyed handler")
    task.cancel()
    await until(lambda: len(gate.begun) == 2)
    gate.end_all()
    await within(stopping)
    assert gate.ended == [b"a2", b"b1"]
    assert [error.message.body for error in errors] == [b"a1"]


def test_what_cannot_be_a_key_is_refused() -> None:
    async def later(message: Any) -> str:
        return ""

    for key in (later, "vehicle"):
        with pytest.raises(TypeError, match="plain function"):
            DatagramEndpoint(None, Wire(Mti()), on_message=print, key=key)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_message"):
        DatagramEndpoint(None, Wire(Mti()), key=first)
