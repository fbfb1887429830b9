"""Datagram endpoints exchange messages."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from gestalt.codecs import Codec, MessageTypes
from gestalt.core import Discard, HandlerNotFound, Handlers, Park, State, StateError
from gestalt.net import (
    Address,
    AddressError,
    DatagramDropped,
    DatagramEndpoint,
    DatagramMessage,
    Delimited,
    HandlerError,
    LengthPrefix,
    Mti,
    Netstring,
    Raw,
    Wire,
)
from tests.net.datagram.fixtures import StartEndpoint, Take, Until
from tests.net.fixtures import Within


@dataclass
class Position:
    lat: float
    lon: float


async def echo(message: DatagramMessage[Any]) -> None:
    await message.reply(message.body, message.type_id)


def plain_echo(message: DatagramMessage[Any]) -> None:
    message.reply_nowait(message.body, message.type_id)


@pytest.mark.parametrize("handler", [echo, plain_echo])
@pytest.mark.parametrize(
    "framing", [Raw(), Mti(), Mti("little"), Netstring(), LengthPrefix(2), Delimited()], ids=str
)
async def test_messages_arrive_whole_and_come_back(
    endpoint: StartEndpoint, take: Take, handler: Any, framing: Any
) -> None:
    server = await endpoint(wire=Wire(framing), on_message=handler)
    client = await endpoint(None, wire=Wire(framing), peer=server.address)
    bodies = [b"", b"x", b"\x00" * 100, bytes(range(11, 256)), b"y" * 60_000]
    for body in bodies:
        await client.send(body)
        (message,) = await take(client)
        assert message.body == body
        assert message.source == server.address


async def test_a_type_identifier_crosses_with_an_empty_body(
    endpoint: StartEndpoint, take: Take
) -> None:
    server = await endpoint(on_message=echo)
    client = await endpoint(None, peer=server.address)
    await client.send(b"", 42)
    (message,) = await take(client)
    assert (message.body, message.type_id) == (b"", 42)


@pytest.mark.parametrize("compress", [None, "deflate"])
async def test_typed_messages_cross_with_and_without_compression(
    endpoint: StartEndpoint, take: Take, compress: Any
) -> None:
    types = MessageTypes()
    types.add(7, Position)
    wire = Wire(Mti(), Codec("json", types=types, compress=compress, min_size=1))
    handlers = Handlers()

    @handlers.on(Position)
    async def mirror(message: DatagramMessage[Position]) -> None:
        await message.reply(Position(-message.body.lat, -message.body.lon))

    server = await endpoint(wire=wire, on_message=handlers)
    client = await endpoint(None, wire=wire, peer=server.address)
    await client.send(Position(-34.9, 138.6))
    (message,) = await take(client)
    assert message.body == Position(34.9, -138.6)
    assert message.type_id == 7


async def test_one_endpoint_talks_to_many(endpoint: StartEndpoint, take: Take) -> None:
    others = [await endpoint() for _ in range(5)]
    one = await endpoint()
    for number, other in enumerate(others):
        await one.send(b"%d" % number, to=other.address)
        await one.send(b"%d" % number, to=str(other.address))
    for number, other in enumerate(others):
        messages = await take(other, 2)
        assert {message.body for message in messages} == {b"%d" % number}
        await messages[0].reply(b"from %d" % number)
    assert {(m.body, m.source) for m in await take(one, 5)} == {
        (b"from %d" % number, other.address) for number, other in enumerate(others)
    }


async def test_asynchronous_handlers_run_one_at_a_time_and_in_order(
    endpoint: StartEndpoint, until: Until
) -> None:
    running = 0
    seen: list[bytes] = []

    async def handle(message: DatagramMessage[bytes]) -> None:
        nonlocal running
        running += 1
        assert running == 1
        for _ in range(len(seen) % 3):
            await asyncio.sleep(0)
        seen.append(message.body)
        running -= 1

    server = await endpoint(on_message=handle)
    client = await endpoint(None, peer=server.address)
    bodies = [b"%d" % number for number in range(200)]
    for body in bodies:
        await client.send(body)
    await until(lambda: len(seen) == len(bodies))
    assert seen == bodies


async def test_with_concurrency_so_many_handlers_run_and_no_more(
    endpoint: StartEndpoint, until: Until
) -> None:
    running: list[bytes] = []
    peaks: list[int] = []
    go_on = asyncio.Event()

    async def handle(message: DatagramMessage[bytes]) -> None:
        running.append(message.body)
        peaks.append(len(running))
        await go_on.wait()
        running.remove(message.body)

    server = await endpoint(on_message=handle, concurrency=3)
    client = await endpoint(None, peer=server.address)
    for number in range(10):
        await client.send(b"%d" % number)
    await until(lambda: server.stats.received == 10 and len(running) == 3)
    go_on.set()
    await until(lambda: len(peaks) == 10 and not running)
    assert max(peaks) == 3


async def test_ten_thousand_messages_to_an_asynchronous_handler_make_one_task(
    endpoint: StartEndpoint, until: Until
) -> None:
    handled = 0
    most_tasks = 0

    async def handle(message: DatagramMessage[bytes]) -> None:
        nonlocal handled, most_tasks
        most_tasks = max(most_tasks, len(asyncio.all_tasks()) - before)
        handled += 1
        await asyncio.sleep(0)

    server = await endpoint(on_message=handle, backlog=10_000)
    client = await endpoint(None, peer=server.address)
    before = len(asyncio.all_tasks())
    for number in range(10_000):
        await client.send(b"%d" % number)
        if number % 100 == 99:
            await until(lambda number=number: server.stats.received > number)
    await until(lambda: handled == 10_000)
    assert most_tasks == 1


async def test_one_table_of_handlers_serves_by_type(
    endpoint: StartEndpoint, take: Take, within: Within
) -> None:
    handlers = Handlers()
    errors: asyncio.Queue[Any] = asyncio.Queue()
    handlers.on(1)(lambda message: message.reply_nowait(b"plain", 11))
    handlers.on(2)(echo)
    server = await endpoint(on_message=handlers, on_error=errors.put_nowait)
    client = await endpoint(None, peer=server.address)
    for type_id in (1, 2, 3, 1):
        await client.send(b"", type_id)
    assert [m.type_id for m in await take(client, 3)] == [11, 2, 11]
    error = await within(errors.get())
    assert isinstance(error, DatagramDropped)
    assert isinstance(error.__cause__, HandlerNotFound)
    assert error.__cause__.message.type_id == 3
    assert error.source == client_address(client)
    assert server.stats.unhandled == server.stats.dropped == 1
    assert server.stats.handler_errors == 0


def client_address(client: DatagramEndpoint) -> Address:
    return Address("udp", "127.0.0.1", client.address.port)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_handler_discards_its_message_and_can_do_nothing_else_with_it(
    endpoint: StartEndpoint, take: Take, caplog: pytest.LogCaptureFixture, asynchronous: bool
) -> None:
    def decide(message: DatagramMessage[bytes]) -> None:
        if message.body == b"discard":
            raise Discard("old")
        if message.body == b"park":
            raise Park("odd")
        message.reply_nowait(b"fine")

    async def decide_later(message: DatagramMessage[bytes]) -> None:
        decide(message)

    server = await endpoint(on_message=decide_later if asynchronous else decide)
    client = await endpoint(None, peer=server.address)
    for body in (b"discard", b"park", b"good"):
        await client.send(body)
    await take(client)
    assert (server.stats.discarded, server.stats.handler_errors) == (1, 1)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], HandlerError)


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_an_exception_of_a_handler_is_reported_and_costs_its_message_only(
    endpoint: StartEndpoint, take: Take, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(message: DatagramMessage[bytes]) -> Any:
        if message.body == b"bad":
            raise ZeroDivisionError
        message.reply_nowait(message.body)

    async def handle_later(message: DatagramMessage[bytes]) -> None:
        handle(message)

    server = await endpoint(on_message=handle if kind == "plain" else handle_later)
    client = await endpoint(None, peer=server.address)
    for body in (b"1", b"bad", b"2", b"bad", b"3"):
        await client.send(body)
    assert [m.body for m in await take(client, 3)] == [b"1", b"2", b"3"]
    assert server.stats.handler_errors == 2
    assert [type(record.exc_info[1]) for record in caplog.records] == [HandlerError] * 2
    assert server.state is State.RUNNING


async def test_a_handler_may_stop_its_endpoint(endpoint: StartEndpoint, within: Within) -> None:
    async def handle(message: DatagramMessage[bytes]) -> None:
        await server.stop()

    server = await endpoint(on_message=handle)
    client = await endpoint(None, peer=server.address)
    await client.send(b"stop")
    await within(server.wait_stopped())
    assert server.state is State.STOPPED


async def test_stopping_handles_what_was_received(
    endpoint: StartEndpoint, within: Within, until: Until
) -> None:
    seen: list[bytes] = []
    go_on = asyncio.Event()

    async def handle(message: DatagramMessage[bytes]) -> None:
        await go_on.wait()
        seen.append(message.body)

    server = await endpoint(on_message=handle)
    client = await endpoint(None, peer=server.address)
    for number in range(20):
        await client.send(b"%d" % number)
    await until(lambda: server.stats.received == 20)
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    go_on.set()
    await within(stopping)
    assert seen == [b"%d" % number for number in range(20)]
    assert server.stats.dropped == 0


async def test_stopping_cuts_a_handler_that_hangs_and_counts_what_it_left(
    endpoint: StartEndpoint, within: Within, until: Until
) -> None:
    async def handle(message: DatagramMessage[bytes]) -> None:
        await asyncio.Event().wait()

    server = await endpoint(on_message=handle, stop_timeout=0.01)
    client = await endpoint(None, peer=server.address)
    for number in range(5):
        await client.send(b"%d" % number)
    await until(lambda: server.stats.received == 5)
    await within(server.stop())
    # What was being handled is lost as well.
    assert server.stats.abandoned == 5


async def test_an_iteration_ends_with_the_endpoint_and_loses_nothing(
    endpoint: StartEndpoint, within: Within, until: Until
) -> None:
    server = await endpoint()
    client = await endpoint(None, peer=server.address)
    await client.send(b"1")
    await client.send(b"2")
    await until(lambda: server.stats.received == 2)
    await server.stop()

    async def rest() -> list[bytes]:
        return [message.body async for message in server]

    assert await within(rest()) == [b"1", b"2"]


async def test_an_iteration_that_was_cancelled_while_it_waited_loses_nothing(
    endpoint: StartEndpoint, take: Take
) -> None:
    server = await endpoint()
    client = await endpoint(None, peer=server.address)
    waiting = asyncio.create_task(anext(aiter(server)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await client.send(b"1")
    assert [m.body for m in await take(server)] == [b"1"]


async def test_iterating_is_refused_with_a_handler_and_before_the_start(
    endpoint: StartEndpoint,
) -> None:
    server = await endpoint(on_message=echo)
    with pytest.raises(StateError, match="on_message"):
        await anext(aiter(server))
    with pytest.raises(StateError, match="started"):
        await anext(aiter(DatagramEndpoint(None, Wire(Raw()))))


async def test_an_endpoint_starts_again_after_it_has_stopped(
    endpoint: StartEndpoint, take: Take
) -> None:
    server = await endpoint(on_message=echo)
    await server.stop()
    await server.start()
    client = await endpoint(None, peer=server.address)
    await client.send(b"again")
    assert [m.body for m in await take(client)] == [b"again"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"address": "tcp://127.0.0.1:1"}, AddressError),
        ({"address": "udp://127.0.0.1"}, AddressError),
        ({"peer": "127.0.0.1:9"}, AddressError),
        ({"concurrency": 0}, ValueError),
        ({"backlog": 0}, ValueError),
        ({"max_size": 0}, ValueError),
        ({"overflow": "wait"}, ValueError),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_made(arguments: Any, error: Any) -> None:
    with pytest.raises(error):
        DatagramEndpoint(**{"address": None, "wire": Wire(Raw()), **arguments})
