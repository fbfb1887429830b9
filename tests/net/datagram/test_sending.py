"""Sending datagrams, and what may be in the way."""

import asyncio
import socket
from contextlib import ExitStack
from typing import Any

import pytest

from gestalt.core import State, StateError
from gestalt.net import (
    Address,
    AddressError,
    DatagramEndpoint,
    DatagramTooLarge,
    Mti,
    NotConnected,
    PayloadError,
    PeerUnreachable,
    Raw,
    SendBufferFull,
    SendFailed,
    Wire,
)
from gestalt.net.datagram import reader, sender
from tests.net.datagram.fixtures import StartEndpoint, Take, Until
from tests.net.fixtures import Within

RAW = Wire(Raw())


async def send(endpoint: DatagramEndpoint, how: str, *args: Any, **options: Any) -> None:
    if how == "send":
        await endpoint.send(*args, **options)
    else:
        endpoint.send_nowait(*args, **options)


both_ways = pytest.mark.parametrize("how", ["send", "send_nowait"])


@both_ways
async def test_the_largest_datagram_crosses_and_a_larger_one_is_refused(
    endpoint: StartEndpoint, take: Take, how: str
) -> None:
    server = await endpoint(wire=RAW)
    client = await endpoint(None, wire=RAW, peer=server.address)
    await send(client, how, b"x" * 65_507)
    with pytest.raises(DatagramTooLarge, match="65508 bytes is more than max_size, 65507"):
        await send(client, how, b"x" * 65_508)
    (message,) = await take(server)
    assert len(message.body) == 65_507
    assert client.stats.sent == 1


@both_ways
async def test_the_framing_counts_as_a_part_of_the_datagram(
    endpoint: StartEndpoint, take: Take, how: str
) -> None:
    server = await endpoint()
    client = await endpoint(None, peer=server.address, max_size=100)
    await send(client, how, b"x" * 92)
    with pytest.raises(DatagramTooLarge, match="101 bytes is more than max_size, 100"):
        await send(client, how, b"x" * 93)
    assert len((await take(server))[0].body) == 92


async def test_over_ipv6_a_datagram_may_be_larger(endpoint: StartEndpoint, take: Take) -> None:
    server = await endpoint("udp://[::1]:0", wire=RAW)
    client = await endpoint(None, wire=RAW, peer=server.address)
    await client.send(b"x" * 65_527)
    with pytest.raises(DatagramTooLarge, match="65527"):
        await client.send(b"x" * 65_528)
    assert len((await take(server))[0].body) == 65_527


@both_ways
async def test_what_the_system_finds_too_large_is_told_as_that(
    endpoint: StartEndpoint, how: str
) -> None:
    dual = await endpoint("udp://:0", wire=RAW)
    other = await endpoint(wire=RAW)
    with pytest.raises(DatagramTooLarge, match="more than the system takes"):
        await send(dual, how, b"x" * 65_520, to=other.address)


@both_ways
async def test_sending_without_a_peer_is_an_error(endpoint: StartEndpoint, how: str) -> None:
    alone = await endpoint()
    with pytest.raises(NotConnected, match="no peer"):
        await send(alone, how, b"x")
    assert alone.stats.sent == 0


@both_ways
async def test_sending_before_the_start_and_after_the_end_is_an_error(
    endpoint: StartEndpoint, how: str
) -> None:
    never = DatagramEndpoint(None, RAW, peer="udp://127.0.0.1:9")
    with pytest.raises(StateError, match="not running"):
        await send(never, how, b"x")
    stopped = await endpoint(None, wire=RAW, peer="udp://127.0.0.1:9")
    await send(stopped, how, b"x", to="udp://127.0.0.1:9")
    await stopped.stop()
    for to in (None, "udp://127.0.0.1:9", Address("udp", "127.0.0.1", 9)):
        for each in (never, stopped):
            with pytest.raises(StateError, match="not running"):
                await send(each, how, b"x", to=to)


@both_ways
@pytest.mark.parametrize(
    "to", ["127.0.0.1:9", "tcp://127.0.0.1:9", "udp://:9", "udp://127.0.0.1:0", "udp://[::1]:9"]
)
async def test_an_address_that_cannot_be_sent_to_is_refused(
    endpoint: StartEndpoint, how: str, to: str
) -> None:
    client = await endpoint()
    with pytest.raises(AddressError):
        await send(client, how, b"x", to=to)


async def test_a_name_is_looked_up_by_send_and_refused_by_send_nowait(
    endpoint: StartEndpoint, take: Take
) -> None:
    server = await endpoint()
    client = await endpoint()
    url = f"udp://localhost:{server.address.port}"
    await client.send(b"1", to=url)
    with pytest.raises(AddressError, match="resolve"):
        client.send_nowait(b"2", to=url)
    assert await client.resolve(url) == server.address
    client.send_nowait(b"3", to=await client.resolve(url))
    assert [m.body for m in await take(server, 2)] == [b"1", b"3"]
    with pytest.raises(OSError, match=r"[Nn]ame|service"):
        await client.send(b"x", to="udp://no-such-host.invalid:9")


@both_ways
async def test_what_the_framing_cannot_carry_is_refused(endpoint: StartEndpoint, how: str) -> None:
    client = await endpoint(None, wire=Wire(Mti(max_size=3)), peer="udp://127.0.0.1:9")
    with pytest.raises(PayloadError):
        await send(client, how, b"four")
    with pytest.raises(PayloadError):
        await send(client, how, b"x", 1 << 32)
    assert client.stats.sent == 0


def vacant(host: str = "127.0.0.1") -> Address:
    """An address of this host where nobody receives."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        return Address("udp", host, sock.getsockname()[1])


@both_ways
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_peer_that_is_not_there_is_told_and_the_endpoint_goes_on(
    endpoint: StartEndpoint, take: Take, until: Until, how: str, host: str
) -> None:
    errors: list[Any] = []
    address = vacant(host)
    client = await endpoint(None, wire=RAW, peer=address, on_error=errors.append)
    # A datagram that meets the answer to the one before it is sent all the same.
    for number in range(5):
        await send(client, how, b"%d" % number)
        await until(lambda number=number: client.stats.unreachable > number)
    assert client.stats.sent == 5
    assert {type(error) for error in errors} == {PeerUnreachable}
    assert errors[0].source == client.peer
    assert isinstance(errors[0].__cause__, ConnectionRefusedError)
    assert client.state is State.RUNNING
    # When somebody comes, both directions work.
    server = await endpoint(address, wire=RAW)
    await send(client, how, b"hello")
    (message,) = await take(server)
    await message.reply(b"welcome")
    assert [m.body for m in await take(client)] == [b"welcome"]


async def test_datagrams_in_a_row_to_a_peer_that_is_not_there_are_all_sent(
    endpoint: StartEndpoint, until: Until
) -> None:
    client = await endpoint(None, wire=RAW, peer=vacant(), on_error=lambda error: None)
    for _ in range(300):
        await client.send(b"x")
    assert client.stats.sent == 300
    await until(lambda: client.stats.unreachable > 100)


@both_ways
async def test_without_a_peer_one_that_is_not_there_costs_the_others_nothing(
    endpoint: StartEndpoint, take: Take, how: str
) -> None:
    server = await endpoint(wire=RAW)
    client = await endpoint(wire=RAW)
    nobody = vacant()
    for number in range(50):
        await send(client, how, b"lost", to=nobody)
        await send(client, how, b"%d" % number, to=server.address)
    assert [m.body for m in await take(server, 50)] == [b"%d" % number for number in range(50)]
    assert (client.stats.sent, client.stats.unreachable) == (100, 0)


@both_ways
async def test_each_message_goes_to_the_address_that_it_is_given(
    endpoint: StartEndpoint, take: Take, how: str
) -> None:
    servers = [await endpoint(wire=RAW) for _ in range(3)]
    client = await endpoint(wire=RAW)
    for number in range(30):
        to = servers[number % 3].address
        await send(client, how, b"%d" % number, to=str(to) if number % 2 else to)
    for first, server in enumerate(servers):
        expected = [b"%d" % number for number in range(first, 30, 3)]
        assert [m.body for m in await take(server, 10)] == expected


async def test_what_the_system_refuses_is_an_error_and_the_endpoint_goes_on(
    endpoint: StartEndpoint, take: Take
) -> None:
    client = await endpoint(wire=RAW)
    server = await endpoint(wire=RAW)
    # Broadcasting needs to be allowed.
    with pytest.raises(SendFailed, match="not sent"):
        await client.send(b"x", to="udp://255.255.255.255:9")
    await client.send(b"y", to=server.address)
    assert [m.body for m in await take(server)] == [b"y"]


async def test_a_sender_leaves_the_loop_to_others(endpoint: StartEndpoint) -> None:
    server = await endpoint(wire=RAW)
    client = await endpoint(None, wire=RAW, peer=server.address)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    for _ in range(1280):
        await client.send(b"x")
    counting.cancel()
    assert turns >= 9


async def test_where_the_network_is_slower_send_waits_and_send_nowait_raises(
    full: DatagramEndpoint, within: Within
) -> None:
    with pytest.raises(SendBufferFull, match="1000 bytes"):
        full.send_nowait(b"x" * 1000)
    sent = full.stats.sent
    waiting = [asyncio.ensure_future(full.send(b"y" * 1000)) for _ in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert [task.done() for task in waiting] == [False] * 3
    waiting[0].cancel()
    # Two go out as the network takes what is before them; nobody waits for ever.
    await within(asyncio.gather(*waiting[1:]))
    assert waiting[0].cancelled()
    assert full.stats.sent == sent + 2
    last = [asyncio.ensure_future(full.send(b"z" * 1000)) for _ in range(50)]
    await asyncio.sleep(0)
    await full.stop()
    results = await within(asyncio.gather(*last, return_exceptions=True))
    assert isinstance(results[-1], StateError)


@both_ways
async def test_a_type_id_that_the_framing_cannot_carry_is_named(
    endpoint: StartEndpoint, how: str
) -> None:
    client = await endpoint(None, peer="udp://127.0.0.1:9")
    with pytest.raises(PayloadError, match="type id"):
        await send(client, how, b"body", type_id=1 << 32)
    assert client.stats.sent == 0


async def test_more_addresses_than_are_remembered_are_sent_to_and_heard(
    endpoint: StartEndpoint, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "TARGETS", 4)
    monkeypatch.setattr(reader, "SOURCES", 4)
    heard: list[Address] = []
    server = await endpoint(
        "udp://0.0.0.0:0", wire=RAW, on_message=lambda message: heard.append(message.source)
    )
    with ExitStack() as stack:
        # All of 127.0.0.0/8 is this host.
        others = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(10)]
        for number, other in enumerate(others):
            other.bind((f"127.0.1.{number}", 0))
            other.sendto(b"", ("127.0.0.1", server.address.port))
        await until(lambda: len(heard) == 10)
        for source, other in zip(heard * 2, others * 2, strict=True):
            await server.send(b"answer", to=source)
            assert other.recv(100) == b"answer"


async def test_who_is_cancelled_hears_how_many_of_many_were_sent(endpoint: StartEndpoint) -> None:
    client = await endpoint(None, wire=RAW, peer="udp://127.0.0.1:9")
    # Of many sizes, none is sent together with others.
    bodies = [bytes(number % 7) for number in range(5000)]
    sending = asyncio.create_task(client.send_many(bodies))
    while not client.stats.sent:
        await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await sending
    (note,) = caught.value.__notes__
    assert note.endswith(" of 5000 messages were sent")
    assert 0 < int(note.split()[0]) < 5000
