"""What datagrams may bring, and what becomes of it."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gestalt.codecs import Codec, MessageTypes
from gestalt.core import State
from gestalt.net import (
    Address,
    DatagramDropped,
    DatagramEndpoint,
    DatagramMessage,
    DatagramOptions,
    FramingError,
    Mti,
    Netstring,
    Raw,
    Wire,
)
from tests.net.datagram.fixtures import StartEndpoint, Take, Until
from tests.net.fixtures import Within

HEADER = b"\x00\x00\x00\x04\x00\x00\x00\x01"
JSON = Codec("json")
COMPRESSED = Codec("json", compress="deflate")


@pytest_asyncio.fixture
async def sender() -> AsyncIterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


def target(endpoint: DatagramEndpoint) -> tuple[str, int]:
    return endpoint.address.host, endpoint.address.port


@pytest.mark.parametrize(
    ("wire", "datagram", "cause"),
    [
        (Wire(Mti()), b"", "truncated"),
        (Wire(Mti()), b"\x00", "truncated"),
        (Wire(Mti()), HEADER, "truncated"),
        (Wire(Mti()), HEADER + b"abc", "truncated"),
        (Wire(Mti()), HEADER + b"abcde", "malformed"),
        (Wire(Mti()), (HEADER + b"abcd") * 2, "malformed"),
        (Wire(Mti(max_size=3)), HEADER + b"abcd", "too_large"),
        (Wire(Mti()), b"\xff" * 8, "too_large"),
        (Wire(Netstring()), b"", "truncated"),
        (Wire(Netstring()), b"3:ab", "truncated"),
        (Wire(Netstring()), b"3:abc", "truncated"),
        (Wire(Netstring()), b"3:abc;", "malformed"),
        (Wire(Netstring()), b"3:abc,x", "malformed"),
        (Wire(Netstring()), b"3:abc,3:abc,", "malformed"),
        (Wire(Netstring()), b"03:abc,", "malformed"),
        (Wire(Netstring(max_size=2)), b"3:abc,", "too_large"),
        (Wire(Raw(), JSON), b"{", "undecodable"),
        (Wire(Raw(), JSON), b"", "undecodable"),
        (Wire(Raw(), COMPRESSED), b"\xff{}", "undecodable"),
        (Wire(Raw(), COMPRESSED), b"", "undecodable"),
        (Wire(Mti(), Codec("json", types=MessageTypes())), HEADER + b"true", "undecodable"),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "async", "iterated"])
async def test_what_is_no_message_is_dropped_counted_and_told(
    endpoint: StartEndpoint,
    sender: Any,
    within: Within,
    wire: Wire,
    datagram: bytes,
    cause: str,
    kind: str,
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    handled: asyncio.Queue[Any] = asyncio.Queue()

    async def handle(message: Any) -> None:
        handled.put_nowait(message)

    options = {"plain": {"on_message": handled.put_nowait}, "async": {"on_message": handle}}
    server = await endpoint(wire=wire, on_error=errors.put_nowait, **options.get(kind, {}))
    waiting = None
    if kind == "iterated":
        waiting = asyncio.create_task(anext(aiter(server)))
    sender.sendto(datagram, target(server))
    error = await within(errors.get())
    assert isinstance(error, DatagramDropped)
    assert error.source == Address("udp", "127.0.0.1", sender_port(sender))
    assert isinstance(error.__cause__, FramingError | ValueError)
    assert getattr(server.stats, cause) == server.stats.dropped == server.stats.received == 1
    assert server.state is State.RUNNING
    if waiting is not None:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert handled.empty()


def sender_port(sender: socket.socket) -> int:
    port: int = sender.getsockname()[1]
    return port


async def test_a_compression_that_is_not_allowed_is_dropped_as_disallowed(
    endpoint: StartEndpoint, within: Within
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    server = await endpoint(
        wire=Wire(Raw(), COMPRESSED), on_message=print, on_error=errors.put_nowait
    )
    other = Codec("json", compress="gzip", min_size=1)
    client = await endpoint(None, wire=Wire(Raw(), other), peer=server.address)
    await client.send("x" * 1000)
    await within(errors.get())
    assert (server.stats.disallowed, server.stats.dropped) == (1, 1)


async def test_a_datagram_above_max_size_is_dropped_not_cut_off(
    endpoint: StartEndpoint, sender: Any, take: Take
) -> None:
    server = await endpoint(wire=Wire(Raw()), max_size=100, on_error=lambda error: None)
    for size in (101, 65_507, 100, 99):
        sender.sendto(b"x" * size, target(server))
    assert [len(m.body) for m in await take(server, 2)] == [100, 99]
    assert (server.stats.too_large, server.stats.received) == (2, 4)


@pytest.mark.parametrize(
    ("overflow", "kept"), [("drop-oldest", range(15, 20)), ("drop-newest", range(5))]
)
async def test_a_full_backlog_drops_what_it_was_told_to_and_counts_it(
    endpoint: StartEndpoint, sender: Any, until: Until, take: Take, overflow: str, kept: range
) -> None:
    server = await endpoint(wire=Wire(Raw()), backlog=5, overflow=overflow)
    for number in range(20):
        sender.sendto(b"%d" % number, target(server))
    await until(lambda: server.stats.received == 20)
    assert [m.body for m in await take(server, 5)] == [b"%d" % number for number in kept]
    assert (server.stats.overflowed, server.stats.dropped) == (15, 15)


async def test_a_flood_on_a_handler_that_lags_keeps_the_backlog_short(
    endpoint: StartEndpoint, sender: Any, until: Until
) -> None:
    go_on = asyncio.Event()
    handled: list[bytes] = []

    async def handle(message: DatagramMessage[bytes]) -> None:
        await go_on.wait()
        handled.append(message.body)

    server = await endpoint(wire=Wire(Raw()), on_message=handle, backlog=10)
    for burst in range(100):
        for _ in range(50):
            sender.sendto(b"x" * 1000, target(server))
        await until(lambda burst=burst: server.stats.received >= 50 * (burst + 1))
    go_on.set()
    await until(lambda: len(handled) == 11)
    assert server.stats.overflowed == 5000 - 11


async def test_a_full_socket_leaves_the_loop_to_others_every_64_datagrams(
    endpoint: StartEndpoint, sender: Any, until: Until
) -> None:
    most_at_once = 0
    this_turn = 0

    def handle(message: DatagramMessage[bytes]) -> None:
        nonlocal this_turn, most_at_once
        this_turn += 1
        most_at_once = max(most_at_once, this_turn)

    server = await endpoint(wire=Wire(Raw()), on_message=handle)
    for _ in range(500):
        sender.sendto(b"x", target(server))

    def next_turn() -> bool:
        nonlocal this_turn
        this_turn = 0
        return server.stats.received == 500

    await until(next_turn)
    assert most_at_once == 64


async def test_asynchronous_handlers_that_never_wait_leave_the_loop_to_others(
    endpoint: StartEndpoint, sender: Any
) -> None:
    turns = 0
    in_turns: list[int] = []

    async def handle(message: DatagramMessage[bytes]) -> None:
        in_turns.append(turns)

    server = await endpoint(wire=Wire(Raw()), on_message=handle)
    for _ in range(500):
        sender.sendto(b"x", target(server))

    async with asyncio.timeout(10):
        while len(in_turns) < 500:
            turns += 1
            await asyncio.sleep(0)
    # 64 are read in a turn; where the machine is busy, those of a few turns are handled in one.
    assert max(in_turns.count(turn) for turn in set(in_turns)) <= 256


async def test_the_system_tells_what_it_has_dropped_for_want_of_room(
    endpoint: StartEndpoint, sender: Any
) -> None:
    server = await endpoint(wire=Wire(Raw()), options=DatagramOptions(receive_buffer=4096))
    if server.system_drops is None:
        pytest.skip("this system does not tell")
    assert server.system_drops == 0
    for _ in range(200):
        sender.sendto(b"x" * 1000, target(server))
    assert 150 < server.system_drops < 200


async def test_a_few_errors_a_second_are_logged_where_nobody_takes_them(
    endpoint: StartEndpoint, sender: Any, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    server = await endpoint()
    with caplog.at_level(logging.WARNING, "gestalt.net"):
        for _ in range(100):
            sender.sendto(b"x", target(server))
        await until(lambda: server.stats.received == 100)
        assert len(caplog.records) == 5
        await server.stop()
    # What was left out is told as well.
    assert "the last of 95 that were left out" in caplog.text
    assert server.stats.truncated == 100


async def test_an_asynchronous_on_error_that_lags_has_a_bounded_number_of_tasks(
    endpoint: StartEndpoint, sender: Any, until: Until
) -> None:
    go_on = asyncio.Event()
    told: list[Any] = []

    async def on_error(error: Any) -> None:
        await go_on.wait()
        told.append(error)

    server = await endpoint(on_error=on_error)
    before = len(asyncio.all_tasks())
    for _ in range(500):
        sender.sendto(b"x", target(server))
    await until(lambda: server.stats.received == 500)
    assert len(asyncio.all_tasks()) - before == 100
    assert server.stats.unreported == 400
    go_on.set()
    await until(lambda: len(told) == 100)


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_an_on_error_that_raises_is_reported_and_does_not_stop_the_endpoint(
    endpoint: StartEndpoint, sender: Any, until: Until, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def on_error(error: Any) -> None:
        raise ZeroDivisionError

    async def on_error_later(error: Any) -> None:
        raise ZeroDivisionError

    server = await endpoint(on_error=on_error if kind == "plain" else on_error_later)
    sender.sendto(b"x", target(server))
    await until(lambda: bool(caplog.records))
    assert isinstance(caplog.records[0].exc_info[1], ZeroDivisionError)
    assert server.reported == 1
    assert server.state is State.RUNNING
