"""Batches of datagrams, which the system is given together where that can be."""

import asyncio
import contextlib
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gestalt.core import StateError
from gestalt.net import (
    Address,
    AddressError,
    DatagramBatch,
    DatagramEndpoint,
    DatagramOptions,
    DatagramTooLarge,
    NotConnected,
    PeerUnreachable,
    Raw,
    SendFailed,
    Wire,
)
from tests.net.datagram.fixtures import StartEndpoint, Take, Until
from tests.net.datagram.namespaces import Namespaces
from tests.net.fixtures import Within

RAW = Wire(Raw())

# Not in the socket module: udp(7).
SOL_UDP = 17
UDP_GRO = 104

# Runs of one size, whose last one may be smaller, and what is as large as can be.
SIZES = [64] * 130 + [0, 0, 1, 1, 1] + [70, 70, 69, 68] + [1400] * 50 + [40_000, 40_000, 65_507, 3]


def bodies_of(sizes: list[int]) -> list[bytes]:
    return [bytes([number % 256]) * size for number, size in enumerate(sizes)]


async def send_all(endpoint: DatagramEndpoint, bodies: list[bytes], **options: Any) -> None:
    await fill(endpoint.batch(**options), bodies)


async def fill(batch: DatagramBatch, bodies: list[bytes]) -> None:
    async with batch:
        for body in bodies:
            await batch.send(body)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("connected", [True, False])
async def test_every_message_of_a_batch_arrives_in_order(
    endpoint: StartEndpoint,
    take: Take,
    monkeypatch: pytest.MonkeyPatch,
    together: bool,
    connected: bool,
) -> None:
    if not together:
        monkeypatch.setattr("gestalt.net.datagram.sender.largest_segment", lambda sock: 0)
    server = await endpoint(wire=RAW)
    client = await endpoint(wire=RAW, peer=server.address if connected else None)
    bodies = bodies_of(SIZES)
    # Few enough at a time for the receiver's buffer.
    for start in range(0, len(bodies), 20):
        await send_all(client, bodies[start : start + 20], to=None if connected else server.address)
        got = await take(server, len(bodies[start : start + 20]))
        assert [message.body for message in got] == bodies[start : start + 20]
        assert {message.source for message in got} == {client.address}
    assert client.stats.sent == server.stats.received == len(bodies)


@given(sizes=st.lists(st.integers(0, 3) | st.integers(1000, 1003), max_size=300))
@settings(max_examples=50)
def test_batches_of_any_sizes_are_cut_where_they_were_joined(sizes: list[int]) -> None:
    async def check() -> None:
        got: list[bytes] = []
        async with (
            DatagramEndpoint(
                "udp://127.0.0.1:0", RAW, on_message=lambda message: got.append(message.body)
            ) as server,
            DatagramEndpoint(None, RAW, peer=server.address) as client,
            asyncio.timeout(10),
        ):
            await send_all(client, bodies_of(sizes))
            while len(got) < len(sizes):
                await asyncio.sleep(0)
        assert got == bodies_of(sizes)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("server_url", "client_url"),
    [
        ("udp://[::1]:0", "udp://[::1]:0"),
        ("udp://127.0.0.1:0", "udp://:0"),
        ("udp://127.0.0.1:0", "udp://127.0.0.1:0"),
    ],
)
async def test_batches_go_to_addresses_of_either_family(
    endpoint: StartEndpoint, take: Take, server_url: str, client_url: str
) -> None:
    server = await endpoint(server_url)
    client = await endpoint(client_url)
    async with client.batch(to=str(server.address)) as batch:
        for number in range(100):
            await batch.send(b"%03d" % number, number)
    got = [(message.body, message.type_id) for message in await take(server, 100)]
    assert got == [(b"%03d" % number, number) for number in range(100)]


async def test_a_group_gets_batches(endpoint: StartEndpoint, take: Take) -> None:
    options = DatagramOptions(multicast_interface="lo")
    member = await endpoint("udp://239.42.42.42:0", wire=RAW, options=options)
    client = await endpoint(None, wire=RAW, peer=member.address, options=options)
    await send_all(client, bodies_of([10] * 100))
    assert [m.body for m in await take(member, 100)] == bodies_of([10] * 100)


async def test_what_the_network_carries_in_pieces_only_is_sent_one_by_one(
    hosts: Namespaces, take: Take, within: Within
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        with hosts.inside(1):
            server = DatagramEndpoint("udp://10.99.0.2:0", RAW)
            await stack.enter_async_context(server)
        with hosts.inside(0):
            client = DatagramEndpoint(None, RAW, peer=server.address)
            await stack.enter_async_context(client)
        for sizes in ([1400] * 100, [2000] * 100, [1400] * 100):
            await send_all(client, bodies_of(sizes))
            assert [m.body for m in await take(server, 100)] == bodies_of(sizes)


async def test_the_system_is_given_messages_of_one_size_together(
    endpoint: StartEndpoint, plain_socket: socket.socket
) -> None:
    try:
        # It hands over at once what has come at once.
        plain_socket.setsockopt(SOL_UDP, UDP_GRO, 1)
    except OSError as error:
        pytest.skip(f"no UDP_GRO: {error}")
    to = Address("udp", *plain_socket.getsockname())
    client = await endpoint(wire=RAW)
    for _ in range(2):
        await send_all(client, [b"x" * 70] * 100 + [b"last"], to=to)
        assert [len(plain_socket.recv(65_535)) for _ in range(2)] == [70 * 64, 70 * 36 + 4]
        # What is refused for another reason changes nothing.
        with pytest.raises(SendFailed):
            await send_all(client, [b"x" * 70] * 100, to="udp://255.255.255.255:9")


async def test_the_end_of_a_batch_tells_how_many_the_system_refused(
    endpoint: StartEndpoint, take: Take
) -> None:
    server = await endpoint(wire=RAW)
    client = await endpoint(wire=RAW)
    # Broadcasting needs to be allowed.
    batch = client.batch(to="udp://255.255.255.255:9")
    with pytest.raises(
        SendFailed, match="70 of 70 datagrams were not sent; the first: a datagram of 9"
    ):
        await fill(batch, bodies_of([9] * 70))
    assert (batch.sent, batch.refused) == (0, 70)
    await send_all(client, bodies_of([9] * 70), to=server.address)
    assert len(await take(server, 70)) == 70
    assert client.stats.sent == 70


async def test_a_message_that_is_too_large_is_refused_at_once_and_the_batch_goes_on(
    endpoint: StartEndpoint, take: Take
) -> None:
    server = await endpoint(wire=RAW)
    client = await endpoint(None, wire=RAW, peer=server.address, max_size=100)
    async with client.batch() as batch:
        await batch.send(b"1")
        with pytest.raises(DatagramTooLarge, match="101 bytes is more than max_size, 100"):
            await batch.send(b"x" * 101)
        await batch.send(b"2")
    assert [m.body for m in await take(server, 2)] == [b"1", b"2"]


async def test_what_only_the_system_finds_too_large_is_told_at_the_end(
    endpoint: StartEndpoint, take: Take
) -> None:
    dual = await endpoint("udp://:0", wire=RAW)
    other = await endpoint(wire=RAW)
    with pytest.raises(SendFailed, match=r"^1 of 2 .* 65520 bytes is more than the system takes"):
        await send_all(dual, [b"x" * 65_520, b"y"], to=other.address)
    assert [m.body for m in await take(other)] == [b"y"]


async def test_whom_a_batch_is_for_is_looked_up_and_checked_at_its_beginning(
    endpoint: StartEndpoint, take: Take
) -> None:
    server = await endpoint(wire=RAW)
    client = await endpoint(wire=RAW)
    with pytest.raises(NotConnected, match="no peer"):
        await send_all(client, [])
    for to in ("127.0.0.1:9", "udp://:9", "udp://[::1]:9"):
        with pytest.raises(AddressError):
            await send_all(client, [], to=to)
    with pytest.raises(OSError, match=r"[Nn]ame|service"):
        await send_all(client, [], to="udp://no-such-host.invalid:9")
    await send_all(client, [b"x"] * 3, to=f"udp://localhost:{server.address.port}")
    assert len(await take(server, 3)) == 3


async def test_a_batch_sends_within_its_block_only(endpoint: StartEndpoint, take: Take) -> None:
    server = await endpoint(wire=RAW)
    client = await endpoint(None, wire=RAW, peer=server.address)
    batch = client.batch()
    with pytest.raises(StateError, match="within its block"):
        await batch.send(b"before")
    async with batch:
        await batch.send(b"within")
    with pytest.raises(StateError, match="within its block"):
        await batch.send(b"beyond")
    async with batch:
        await batch.send(b"again")
    assert [m.body for m in await take(server, 2)] == [b"within", b"again"]


async def test_a_batch_that_is_used_again_tells_of_its_own_refusals_only(
    endpoint: StartEndpoint,
) -> None:
    client = await endpoint(wire=RAW)
    batch = client.batch(to="udp://255.255.255.255:9")

    async def send() -> None:
        async with batch:
            await batch.send(b"x")

    for _ in range(2):
        with pytest.raises(SendFailed, match="1 of 1 datagrams"):
            await send()
    async with batch:
        pass


@pytest.mark.parametrize("count", [1, 3])
async def test_a_block_that_raises_sends_what_it_had_accepted(
    endpoint: StartEndpoint, take: Take, count: int
) -> None:
    server = await endpoint(wire=RAW)
    client = await endpoint(None, wire=RAW, peer=server.address)

    async def fail() -> None:
        async with client.batch() as batch:
            for _ in range(count):
                await batch.send(b"x")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert len(await take(server, count)) == count


async def test_a_stop_of_the_endpoint_within_the_block_is_an_error() -> None:
    client = DatagramEndpoint(None, RAW, peer="udp://127.0.0.1:9")

    async def stop_within(bodies: list[bytes]) -> None:
        async with client.batch() as batch:
            for body in bodies:
                await batch.send(body)
            await client.stop()

    for bodies in ([b"x"], [b"x"] * 3):
        await client.start()
        with pytest.raises(StateError, match="not running"):
            await stop_within(bodies)
    with pytest.raises(StateError, match="not running"):
        await send_all(client, [])


async def test_a_batch_to_a_peer_that_is_not_there_is_sent_and_the_answers_are_told(
    endpoint: StartEndpoint, until: Until
) -> None:
    errors: list[Any] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        vacant = Address("udp", *sock.getsockname())
    client = await endpoint(None, wire=RAW, peer=vacant, on_error=errors.append)
    await send_all(client, [b"x"] * 300)
    assert client.stats.sent == 300
    await until(lambda: client.stats.unreachable > 1)
    assert {type(error) for error in errors} == {PeerUnreachable}


async def test_a_batch_leaves_the_loop_to_others(endpoint: StartEndpoint) -> None:
    server = await endpoint()
    client = await endpoint(None, peer=server.address)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    await send_all(client, [b"x"] * 10_000)
    counting.cancel()
    assert turns >= 9


async def test_where_the_network_is_slower_a_batch_waits(
    full: DatagramEndpoint, within: Within
) -> None:
    sent = full.stats.sent
    async with full.batch() as batch:
        for _ in range(3):
            await batch.send(b"y" * 1000)
        waiting = asyncio.ensure_future(batch.send(b"z" * 1001))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        with pytest.raises(StateError, match="one task at a time"):
            await batch.send(b"z" * 1002)
        # They go out as the network takes what is before them.
        await within(waiting)
        assert full.stats.sent == sent + 3
    last = asyncio.ensure_future(send_all(full, [b"z" * 1000] * 50))
    await asyncio.sleep(0)
    await full.stop()
    with pytest.raises(StateError, match="not running"):
        await within(last)
