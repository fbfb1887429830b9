"""With `key=`, messages of a peer are handled in the order of their keys, whatever they do."""

import asyncio
import gc
import random
import weakref
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pytest

from gestalt.codecs import Codec, DecodeError, MessageTypes
from gestalt.core import Discard, HandlerNotFound, Handlers
from gestalt.net import (
    ConnectionLost,
    HandlerError,
    Mti,
    Peer,
    StreamClient,
    StreamMessage,
    StreamServer,
    Wire,
)
from gestalt.net.stream.keyed import KEPT, OVERHEAD
from tests.net.fixtures import Connect, Serve, Within
from tests.support.waiting import until


@dataclass
class Reading:
    vehicle: int
    value: int


def first(message: StreamMessage[Any]) -> Any:
    """The key of most tests: the first byte, or letter."""
    return message.body[:1]


class Gate:
    """An async handler that notes what begins and ends, and ends what it is told to."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.ended: list[Any] = []
        self.failing: set[bytes] = set()
        self._open = False
        self._waiting: defaultdict[bytes, asyncio.Event] = defaultdict(asyncio.Event)

    async def __call__(self, message: StreamMessage[Any]) -> None:
        body = message.body
        self.begun.append(body)
        if not self._open:
            await self._waiting[body].wait()
        self.ended.append(body)
        if body in self.failing:
            raise LookupError(body)

    @property
    def running(self) -> int:
        return len(self.begun) - len(self.ended)

    def end(self, body: bytes) -> None:
        self._waiting[body].set()

    def end_all(self) -> None:
        self._open = True
        for event in self._waiting.values():
            event.set()

    def of(self, key: Any) -> list[Any]:
        return [body for body in self.ended if body[:1] == key]


async def send_all(client: StreamClient, *bodies: bytes) -> None:
    for body in bodies:
        await client.send(body)


async def test_a_key_waits_for_its_own_and_others_go_on(serve: Serve, connect: Connect) -> None:
    gate = Gate()
    client = await connect(await serve(gate, concurrency=4, key=first))
    await send_all(client, b"a1", b"a2", b"b1", b"a3", b"b2", b"c1")
    await until(lambda: gate.running == 3)
    assert gate.begun == [b"a1", b"b1", b"c1"]
    gate.end(b"b1")
    await until(lambda: b"b2" in gate.begun)
    gate.end(b"c1")
    gate.end(b"b2")
    await until(lambda: len(gate.ended) == 3)
    assert gate.ended == [b"b1", b"c1", b"b2"]
    assert gate.running == 1
    gate.end_all()
    await until(lambda: len(gate.ended) == 6)
    assert gate.of(b"a") == [b"a1", b"a2", b"a3"]


@pytest.mark.parametrize("concurrency", [1, 2, 5])
async def test_any_mixture_is_in_order_by_key_and_within_the_concurrency(
    serve: Serve, connect: Connect, concurrency: int
) -> None:
    chance = random.Random(concurrency)
    seen: defaultdict[int, list[int]] = defaultdict(list)
    busy: set[int] = set()
    most = 0

    async def handle(message: StreamMessage[bytes]) -> None:
        nonlocal most
        vehicle, number = message.body[0], int(message.body[1:])
        assert vehicle not in busy
        busy.add(vehicle)
        most = max(most, len(busy))
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        seen[vehicle].append(number)
        busy.remove(vehicle)
        if chance.random() < 0.2:
            raise Discard

    server = await serve(handle, concurrency=concurrency, key=first)
    client = await connect(server)
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
    assert server.stats.handler_errors == 0


async def test_after_a_handler_that_fails_its_key_goes_on(serve: Serve, connect: Connect) -> None:
    gate = Gate()
    gate.failing = {b"a1", b"b1"}
    errors: list[Any] = []
    server = await serve(gate, concurrency=4, key=first, on_error=errors.append)
    client = await connect(server)
    await send_all(client, b"a1", b"b1", b"a2", b"b2")
    await until(lambda: gate.running == 2)
    gate.end_all()
    await until(lambda: len(gate.ended) == 4)
    assert gate.of(b"a") == [b"a1", b"a2"]
    assert gate.of(b"b") == [b"b1", b"b2"]
    assert server.stats.handler_errors == 2
    assert [error.message.body for error in errors] == [b"a1", b"b1"]
    assert len(server.peers) == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_message_without_a_key_fails_alone(
    serve: Serve, connect: Connect, asynchronous: bool
) -> None:
    handled: list[bytes] = []
    errors: list[Any] = []

    def handle(message: StreamMessage[bytes]) -> None:
        handled.append(message.body)

    async def handle_later(message: StreamMessage[bytes]) -> None:
        handle(message)

    def key(message: StreamMessage[bytes]) -> Any:
        if message.body == b"raise":
            raise KeyError("vehicle")
        return [] if message.body == b"unhashable" else message.body

    handler = handle_later if asynchronous else handle
    server = await serve(handler, concurrency=3, key=key, on_error=errors.append)
    client = await connect(server)
    await send_all(client, b"1", b"raise", b"2", b"unhashable", b"3")
    await until(lambda: len(handled) == 3 and len(errors) == 2)
    assert handled == [b"1", b"2", b"3"]
    assert [type(error.__cause__) for error in errors] == [KeyError, TypeError]
    for error, body in zip(errors, (b"raise", b"unhashable"), strict=True):
        assert isinstance(error, HandlerError)
        assert error.message is not None
        assert error.message.body == body
        assert "key function" in error.__cause__.__notes__[0]  # type: ignore[union-attr]
    assert server.stats.handler_errors == 2
    assert server.stats.faults == 0
    assert len(server.peers) == 1


async def test_a_plain_handler_takes_messages_in_their_order(
    serve: Serve, connect: Connect
) -> None:
    handled: list[bytes] = []
    client = await connect(
        await serve(lambda message: handled.append(message.body), concurrency=8, key=first)
    )
    bodies = [b"%d" % number for number in range(300)]
    await send_all(client, *bodies)
    await until(lambda: len(handled) == 300)
    assert handled == bodies


async def test_the_keys_of_one_peer_are_not_those_of_another(
    serve: Serve, connect: Connect
) -> None:
    gate = Gate()
    server = await serve(gate, concurrency=2, key=first)
    for number in range(3):
        await send_all(await connect(server), b"a%d" % number, b"a waits")
    await until(lambda: gate.running == 3)
    assert sorted(gate.begun) == [b"a0", b"a1", b"a2"]
    gate.end_all()
    await until(lambda: len(gate.ended) == 6)


async def test_what_waits_when_its_peer_goes_is_handled_in_order(
    serve: Serve, connect: Connect, within: Within
) -> None:
    gate = Gate()
    gone: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()

    def on_disconnected(peer: Peer, error: ConnectionLost | None) -> None:
        gone.set_result(list(gate.ended))

    server = await serve(gate, concurrency=2, key=first, on_disconnected=on_disconnected)
    client = await connect(server)
    await send_all(client, b"a1", b"a2", b"b1", b"a3", b"b2")
    await until(lambda: gate.running == 2)
    await within(client.stop())
    assert not gone.done()
    gate.end_all()
    ended = await within(gone)
    assert len(ended) == 5
    assert gate.of(b"a") == [b"a1", b"a2", b"a3"]
    assert gate.of(b"b") == [b"b1", b"b2"]


async def test_a_stop_handles_what_waits(serve: Serve, connect: Connect, within: Within) -> None:
    gate, keys = Gate(), []

    def key(message: StreamMessage[bytes]) -> bytes:
        keys.append(message.body)
        return message.body[:1]

    # A third task finds out the keys of those that wait.
    server = await serve(gate, concurrency=3, key=key)
    client = await connect(server)
    await send_all(client, b"a1", b"a2", b"b1", b"b2")
    await until(lambda: len(keys) == 4)
    assert gate.running == 2
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    gate.end_all()
    await within(stopping)
    assert gate.of(b"a") == [b"a1", b"a2"]
    assert gate.of(b"b") == [b"b1", b"b2"]


async def test_a_stop_that_is_cut_begins_nothing_more(
    serve: Serve, connect: Connect, within: Within
) -> None:
    gate = Gate()
    errors: list[Any] = []
    server = await serve(gate, concurrency=2, key=first, on_error=errors.append)
    client = await connect(server)
    await send_all(client, b"a1", b"a2", b"b1", b"b2")
    await until(lambda: gate.running == 2)
    await within(server.stop(timeout=0.02))
    assert gate.begun == [b"a1", b"b1"]
    assert gate.ended == []
    assert errors == []


async def test_a_hot_key_stops_the_reading_when_enough_waits_for_it(
    serve: Serve, connect: Connect, within: Within
) -> None:
    size = 16 * 1024
    gate, keys = Gate(), 0

    def key(message: StreamMessage[bytes]) -> bytes:
        nonlocal keys
        keys += 1
        return message.body[:1]

    client = await connect(await serve(gate, concurrency=8, key=key))
    bodies = [b"b0"] + [b"a%04d" % number + bytes(size) for number in range(1000)]
    sent = 0

    async def send() -> None:
        nonlocal sent
        for body in bodies:
            await client.send(body)
            sent += 1

    sending = asyncio.create_task(send())
    await until(lambda: gate.running == 2)
    # The first of each key is at work, and as much waits as may.
    enough = 2 - (-KEPT // (size + 5 + OVERHEAD))
    await until(lambda: keys >= enough - 1)
    turns = 0
    while turns < 200:
        before = sent
        await asyncio.sleep(0)
        turns = turns + 1 if sent == before else 0
    assert keys <= enough
    assert sent < len(bodies)
    gate.end_all()
    await within(sending)
    await until(lambda: len(gate.ended) == len(bodies))
    assert gate.of(b"a") == bodies[1:]


async def test_others_go_on_while_messages_of_many_reads_wait_for_a_slow_one(
    serve: Serve, connect: Connect
) -> None:
    gate = Gate()
    client = await connect(await serve(gate, concurrency=2, key=first))
    for number in range(20):
        await client.send(b"a%02d" % number)
        await client.send(b"b%02d" % number)
        gate.end(b"b%02d" % number)
        await until(lambda number=number: len(gate.ended) == number + 1)  # type: ignore[misc]
    assert gate.begun[0] == b"a00"
    gate.end_all()
    await until(lambda: len(gate.ended) == 40)
    assert gate.of(b"a") == [b"a%02d" % number for number in range(20)]


async def test_what_waits_is_not_kept_decoded(serve: Serve, connect: Connect) -> None:
    types = MessageTypes()
    types.add(1, Reading)
    wire = Wire(Mti(), Codec("json", types=types))
    decoded: list[weakref.ref[Reading]] = []
    values: list[int] = []
    go_on = asyncio.Event()

    def key(message: StreamMessage[Reading]) -> int:
        decoded.append(weakref.ref(message.body))
        return message.body.vehicle

    async def handle(message: StreamMessage[Reading]) -> None:
        await go_on.wait()
        values.append(message.body.value)

    client = await connect(await serve(handle, wire=wire, concurrency=4, key=key))
    for number in range(50):
        await client.send(Reading(1, number))
    await until(lambda: len(decoded) == 50)
    gc.collect()
    # One is handled; a task may have another in its hands still.
    assert sum(each() is not None for each in decoded) <= 2
    go_on.set()
    await until(lambda: len(values) == 50)
    assert values == list(range(50))


@pytest.mark.parametrize("fault", [(b'"x"', 2), (b"{{", 1)], ids=["unknown", "undecodable"])
async def test_what_came_before_a_fault_of_the_peer_is_handled_and_nothing_after_it(
    serve: Serve, connect: Connect, within: Within, fault: tuple[bytes, int]
) -> None:
    gate = Gate()
    handlers = Handlers()
    handlers.on(1)(gate)
    gone: asyncio.Future[ConnectionLost | None] = asyncio.get_running_loop().create_future()
    server = await serve(
        handlers,
        wire=Wire(Mti(), Codec("json")),
        concurrency=2,
        key=first,
        on_disconnected=lambda peer, error: gone.set_result(error),
        on_error=lambda error: None,
    )
    client = await connect(server, wire=Wire(Mti()))
    for body, type_id in (
        (b'"a1"', 1),
        (b'"a2"', 1),
        (b'"a3"', 1),
        fault,
        (b'"a4"', 1),
        (b'"b1"', 1),
    ):
        await client.send(body, type_id)
    await until(lambda: gate.running == 1)
    gate.end_all()
    error = await within(gone)
    assert error is not None
    assert isinstance(error.__cause__, HandlerNotFound if fault[1] == 2 else DecodeError)
    assert gate.ended == ["a1", "a2", "a3"]
    assert server.stats.faults == 1


async def test_a_message_that_waited_and_is_the_peers_fault_drops_what_came_after_it(
    serve: Serve, connect: Connect, within: Within
) -> None:
    gate = Gate()
    handlers = Handlers()
    handlers.on(1)(gate)
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    keys: list[bytes] = []

    def key(message: StreamMessage[bytes]) -> bytes:
        keys.append(message.body)
        return message.body[:1]

    server = await serve(
        handlers,
        concurrency=3,
        key=key,
        on_disconnected=lambda peer, error: gone.set_result(None),
        on_error=lambda error: None,
    )
    client = await connect(server)
    for body, type_id in (
        (b"a1", 1),
        (b"b1", 1),
        (b"b2", 1),
        (b"a2", 2),
        (b"a3", 1),
        (b"b3", 1),
    ):
        await client.send(body, type_id)
    await until(lambda: len(keys) == 6)
    assert gate.begun == [b"a1", b"b1"]
    gate.end(b"a1")
    await until(lambda: len(gate.ended) == 1)
    gate.end_all()
    await within(gone)
    assert gate.ended == [b"a1", b"b1", b"b2"]
    assert server.stats.faults == 1


async def test_a_task_that_is_cancelled_costs_its_message_and_frees_its_key(
    serve: Serve, connect: Connect
) -> None:
    gate = Gate()
    errors: list[Any] = []
    client = await connect(await serve(gate, concurrency=2, key=first, on_error=errors.append))
    await send_all(client, b"a1", b"a2", b"b1", b"b2")
    await until(lambda: gate.running == 2)
    for task in asyncio.all_tasks():
        if "handler of" in task.get_name():
            task.cancel()
    await until(lambda: len(gate.begun) == 4)
    assert sorted(gate.begun[2:]) == [b"a2", b"b2"]
    assert sorted(error.message.body for error in errors) == [b"a1", b"b1"]
    gate.end_all()
    await until(lambda: len(gate.ended) == 2)


async def test_a_client_keeps_the_order_of_keys(serve: Serve, connect: Connect) -> None:
    gate = Gate()

    async def answer(message: StreamMessage[bytes]) -> None:
        for body in (b"a1", b"a2", b"b1"):
            await message.reply(body)

    client = await connect(await serve(answer), on_message=gate, concurrency=2, key=first)
    await client.send(b"go")
    await until(lambda: gate.running == 2)
    assert gate.begun == [b"a1", b"b1"]
    gate.end_all()
    await until(lambda: len(gate.ended) == 3)
    assert gate.of(b"a") == [b"a1", b"a2"]


async def test_an_idle_peer_has_no_task(serve: Serve, connect: Connect) -> None:
    gate = Gate()
    gate.end_all()
    client = await connect(await serve(gate, concurrency=8, key=first))
    await send_all(client, b"a", b"b", b"c")
    await until(lambda: len(gate.ended) == 3)
    await until(lambda: not any("handler of" in task.get_name() for task in asyncio.all_tasks()))
    await send_all(client, b"d")
    await until(lambda: len(gate.ended) == 4)


def test_what_cannot_be_a_key_is_refused() -> None:
    wire = Wire(Mti())

    async def later(message: Any) -> str:
        return ""

    with pytest.raises(TypeError, match="plain function"):
        StreamServer("tcp://127.0.0.1:0", wire, on_message=print, key=later)
    with pytest.raises(TypeError, match="plain function"):
        StreamServer("tcp://127.0.0.1:0", wire, on_message=print, key="vehicle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_message"):
        StreamClient("tcp://127.0.0.1:1", wire, key=first)
