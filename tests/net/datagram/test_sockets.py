"""What the operating system is asked for."""

import errno
import socket
from typing import Any

import pytest

from gestalt.core import State, StateError
from gestalt.net import Address, AddressError, DatagramEndpoint, DatagramOptions, Raw, Wire
from gestalt.net.datagram.socket import open_socket
from tests.net.datagram.fixtures import StartEndpoint, Take, Until
from tests.net.datagram.namespaces import Namespaces

RAW = Wire(Raw())


async def test_ipv6_works_both_ways(endpoint: StartEndpoint, take: Take) -> None:
    server = await endpoint("udp://[::1]:0")
    client = await endpoint(None, peer=server.address)
    await client.send(b"to")
    (message,) = await take(server)
    assert message.source == Address("udp", "::1", client.address.port)
    await message.reply(b"back")
    assert [m.body for m in await take(client)] == [b"back"]


@pytest.mark.parametrize("url", ["udp://:0", "udp://[::]:0"])
async def test_every_interface_means_ipv4_and_ipv6(
    endpoint: StartEndpoint, take: Take, url: str
) -> None:
    server = await endpoint(url)
    for host in ("127.0.0.1", "::1"):
        client = await endpoint(None, peer=Address("udp", host, server.address.port))
        await client.send(b"to")
        (message,) = await take(server)
        # IPv4 within IPv6 is shown as what it is.
        assert message.source == Address("udp", host, client.address.port)
        await message.reply(b"back")
        assert [m.body for m in await take(client)] == [b"back"]


async def test_without_dual_stack_an_ipv6_endpoint_leaves_ipv4_alone(
    endpoint: StartEndpoint,
) -> None:
    server = await endpoint("udp://[::]:0", options=DatagramOptions(dual_stack=False))
    await endpoint(f"udp://0.0.0.0:{server.address.port}")


async def test_a_link_local_address_keeps_its_zone(hosts: Namespaces, take: Take) -> None:
    with hosts.inside(0):
        client = DatagramEndpoint("udp://[::]:0", RAW)
        await client.start()
        to = Address("udp", f"fe80::2%{socket.if_nametoindex('wire0')}", 9000)
    with hosts.inside(1):
        server = DatagramEndpoint("udp://[::]:9000", RAW)
        await server.start()
        index = socket.if_nametoindex("wire0")
    try:
        assert Address.parse(str(to), ("udp",)) == to
        await client.send(b"to", to=to)
        (message,) = await take(server)
        assert message.source.host.startswith("fe80::")
        assert message.source.host.endswith(f"%{index}")
        await message.reply(b"back")
        (answer,) = await take(client)
        assert (answer.body, answer.source) == (b"back", to)
    finally:
        await client.stop()
        await server.stop()


async def test_a_broadcast_reaches_the_other_host(hosts: Namespaces, take: Take) -> None:
    allowed = DatagramOptions(broadcast=True)
    with hosts.inside(0):
        client = DatagramEndpoint(None, RAW, peer="udp://10.99.0.255:9000", options=allowed)
        await client.start()
    with hosts.inside(1):
        server = DatagramEndpoint("udp://0.0.0.0:9000", RAW)
        await server.start()
    try:
        await client.send(b"anybody?")
        (message,) = await take(server)
        assert message.source.host == "10.99.0.1"
        # The answer comes from the host's own address, which is not the one that was sent to.
        await message.reply(b"here")
        (answer,) = await take(client)
        assert (answer.body, answer.source.host) == (b"here", "10.99.0.2")
    finally:
        await client.stop()
        await server.stop()


async def test_buffer_sizes_are_asked_for() -> None:
    usual = None
    for size in (None, 16_384, 65_536):
        options = DatagramOptions(receive_buffer=size, send_buffer=size)
        sock, _ = await open_socket(Address("udp", "127.0.0.1"), None, options)
        with sock:
            sizes = [
                sock.getsockopt(socket.SOL_SOCKET, each)
                for each in (socket.SO_RCVBUF, socket.SO_SNDBUF)
            ]
        if size is None:
            usual = sizes
        else:
            # Linux doubles them, for what it keeps beside the payloads.
            assert sizes in ([size] * 2, [2 * size] * 2)
            assert sizes != usual


async def test_with_reuse_port_two_endpoints_share_what_comes(
    endpoint: StartEndpoint, until: Until
) -> None:
    shared = DatagramOptions(reuse_port=True)
    seen: list[Any] = []
    one = await endpoint(on_message=seen.append, options=shared)
    two = await endpoint(str(one.address), on_message=seen.append, options=shared)
    for number in range(50):
        client = DatagramEndpoint(None, one.wire, peer=one.address)
        async with client:
            await client.send(b"%d" % number)
    await until(lambda: len(seen) == 50)
    assert one.stats.received + two.stats.received == 50
    assert one.stats.received
    assert two.stats.received


async def test_a_connected_endpoint_hears_its_peer_alone(
    endpoint: StartEndpoint, take: Take, plain_socket: socket.socket
) -> None:
    server = await endpoint(wire=RAW)
    client = await endpoint("udp://127.0.0.1:0", wire=RAW, peer=server.address)
    plain_socket.sendto(b"intruder", ("127.0.0.1", client.address.port))
    await client.send(b"hello")
    (message,) = await take(server)
    await message.reply(b"welcome")
    assert [m.body for m in await take(client)] == [b"welcome"]


async def test_a_bind_that_fails_says_where_and_leaves_nothing_behind(
    endpoint: StartEndpoint,
) -> None:
    first = await endpoint()
    second = DatagramEndpoint(first.address, RAW)
    with pytest.raises(OSError, match=rf"{first.address} cannot be bound: .*in use") as caught:
        await second.start()
    assert caught.value.errno == errno.EADDRINUSE
    assert second.state is State.FAILED
    await first.stop()
    async with second:
        assert second.address == first.address


async def test_an_address_is_known_from_the_start_on() -> None:
    made = DatagramEndpoint("udp://127.0.0.1:0", RAW)
    with pytest.raises(StateError, match="started"):
        _ = made.address
    async with made:
        assert made.address.host == "127.0.0.1"
        assert made.address.port
    for use in (lambda: made.join("239.1.1.1"), lambda: made.system_drops):
        with pytest.raises(StateError, match="not running"):
            use()


async def test_an_unknown_interface_is_named_with_those_that_there_are() -> None:
    options = DatagramOptions(multicast_interface="no-such-thing")
    with pytest.raises(AddressError, match="'no-such-thing' is no network interface; there are lo"):
        await DatagramEndpoint(None, RAW, options=options).start()


@pytest.mark.parametrize(
    "option", [{"receive_buffer": 0}, {"send_buffer": -1}, {"multicast_ttl": 256}]
)
def test_options_out_of_their_range_are_refused(option: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        DatagramOptions(**option)


async def test_a_name_that_nobody_has_is_named_wherever_it_stands() -> None:
    text = r"udp://no\.host\.invalid:9 cannot be looked up: "
    for address, peer in (("udp://no.host.invalid:9", None), (None, "udp://no.host.invalid:9")):
        endpoint = DatagramEndpoint(address, RAW, peer=peer)
        with pytest.raises(socket.gaierror, match=text):
            await endpoint.start()
    async with DatagramEndpoint(None, RAW) as endpoint:
        with pytest.raises(socket.gaierror, match=text):
            await endpoint.send(b"x", to="udp://no.host.invalid:9")
