"""Multicast: on one host, and between two."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from gestalt.net import AddressError, DatagramEndpoint, DatagramOptions, Raw, Wire
from tests.net.datagram.fixtures import StartEndpoint, Take
from tests.net.datagram.namespaces import Namespaces

RAW = Wire(Raw())
GROUPS = ["239.42.42.42", "ff15::4242"]
EVERYWHERE = {"239.42.42.42": "udp://0.0.0.0:{}", "ff15::4242": "udp://[::]:{}"}

On = Callable[..., Awaitable[DatagramEndpoint]]


def url(group: str, port: int) -> str:
    return f"udp://[{group}]:{port}" if ":" in group else f"udp://{group}:{port}"


@pytest_asyncio.fixture
async def on(hosts: Namespaces, stack: AsyncExitStack) -> AsyncIterator[On]:
    """Starts an endpoint on one of two hosts."""

    async def start(host: int, address: str | None, **options: Any) -> DatagramEndpoint:
        made = DatagramEndpoint(address, RAW, **options)
        with hosts.inside(host):
            return await stack.enter_async_context(made)

    yield start
    # The endpoints go before the hosts do.
    await stack.aclose()


@pytest.mark.parametrize("interface", ["lo", socket.if_nametoindex("lo")])
async def test_a_group_on_this_host(
    endpoint: StartEndpoint, take: Take, interface: str | int
) -> None:
    group = GROUPS[0]
    options = DatagramOptions(reuse_address=True, multicast_interface=interface, multicast_ttl=0)
    one = await endpoint(EVERYWHERE[group].format(0), wire=RAW, groups=[group], options=options)
    port = one.address.port
    two = await endpoint(EVERYWHERE[group].format(port), wire=RAW, options=options)
    two.join(group)
    client = await endpoint(None, wire=RAW, peer=url(group, port), options=options)
    await client.send(b"all")
    for member in (one, two):
        (message,) = await take(member)
        assert message.body == b"all"
        await message.reply(b"answer")
    assert [m.body for m in await take(client, 2)] == [b"answer"] * 2


@pytest.mark.parametrize("group", GROUPS)
async def test_a_group_reaches_the_other_host_and_answers_come_back(
    on: On, take: Take, group: str
) -> None:
    member = await on(1, EVERYWHERE[group].format(9000), groups=[group])
    client = await on(0, None, peer=url(group, 9000))
    await client.send(b"anybody?")
    (message,) = await take(member)
    await message.reply(b"here")
    (answer,) = await take(client)
    assert answer.body == b"here"
    assert answer.source.host in ("10.99.0.2", "fd99::2")


@pytest.mark.parametrize("group", GROUPS)
async def test_an_endpoint_at_a_groups_own_address_joins_it(on: On, take: Take, group: str) -> None:
    member = await on(1, url(group, 9000))
    client = await on(0, None, peer=url(group, 9000))
    await client.send(b"hello")
    assert [m.body for m in await take(member)] == [b"hello"]


@pytest.mark.parametrize("group", GROUPS)
async def test_a_group_is_received_from_join_to_leave(
    on: On, hosts: Namespaces, take: Take, group: str
) -> None:
    member = await on(1, EVERYWHERE[group].format(9000))
    own = {"239.42.42.42": "udp://10.99.0.2:9000", "ff15::4242": "udp://[fd99::2]:9000"}[group]
    client = await on(0, EVERYWHERE[group].format(0))

    async def send(body: bytes) -> None:
        await client.send(body, to=url(group, 9000))
        # One way takes both, in order: when this one is there, the other one is or is not.
        await client.send(b"end", to=own)

    await send(b"too early")
    assert [m.body for m in await take(member)] == [b"end"]
    with hosts.inside(1):
        member.join(group, "wire0")
    await send(b"in time")
    assert [m.body for m in await take(member, 2)] == [b"in time", b"end"]
    with hosts.inside(1):
        member.leave(group, "wire0")
    await send(b"too late")
    assert [m.body for m in await take(member)] == [b"end"]
    with hosts.inside(1):
        member.join(group, "wire0")
    await send(b"again")
    assert [m.body for m in await take(member, 2)] == [b"again", b"end"]


@pytest.mark.parametrize(
    ("everywhere", "groups"),
    [
        ("udp://0.0.0.0:{}", ["239.42.42.1", "239.42.42.2"]),
        ("udp://[::]:{}", ["ff15::4241", "ff15::4242"]),
    ],
)
async def test_what_another_endpoint_of_the_host_has_joined_is_not_received(
    on: On, take: Take, everywhere: str, groups: list[str]
) -> None:
    options = DatagramOptions(reuse_address=True)
    one, two = [
        await on(1, everywhere.format(9000), groups=[group], options=options) for group in groups
    ]
    client = await on(0, everywhere.format(0))
    for group in groups:
        await client.send(group.encode(), to=url(group, 9000))
    assert [m.body for m in await take(two)] == [groups[1].encode()]
    assert [m.body for m in await take(one)] == [groups[0].encode()]
    assert (one.stats.received, two.stats.received) == (1, 1)


@pytest.mark.parametrize("loop_back", [True, False])
@pytest.mark.parametrize("group", GROUPS)
async def test_the_sending_host_receives_too_unless_told_not_to(
    on: On, take: Take, group: str, loop_back: bool
) -> None:
    here = await on(0, EVERYWHERE[group].format(9000), groups=[group])
    there = await on(1, EVERYWHERE[group].format(9000), groups=[group])
    options = DatagramOptions(multicast_loop=loop_back)
    client = await on(0, None, peer=url(group, 9000), options=options)
    await client.send(b"all")
    assert [m.body for m in await take(there)] == [b"all"]
    own = {"239.42.42.42": "udp://10.99.0.1:9000", "ff15::4242": "udp://[fd99::1]:9000"}[group]
    await client.send(b"end", to=own)
    expected = [b"all", b"end"] if loop_back else [b"end"]
    assert [m.body for m in await take(here, len(expected))] == expected


@pytest.mark.parametrize("group", GROUPS)
async def test_with_a_ttl_of_0_a_group_stays_on_its_host(on: On, take: Take, group: str) -> None:
    here = await on(0, EVERYWHERE[group].format(9000), groups=[group])
    there = await on(1, EVERYWHERE[group].format(9000), groups=[group])
    client = await on(0, None, peer=url(group, 9000), options=DatagramOptions(multicast_ttl=0))
    await client.send(b"home")
    assert [m.body for m in await take(here)] == [b"home"]
    far = await on(0, None, peer=url(group, 9000))
    await far.send(b"away")
    assert [m.body for m in await take(there)] == [b"away"]


@pytest.mark.parametrize("group", GROUPS)
async def test_a_group_is_sent_to_and_joined_at_the_interface_of_the_options(
    on: On, take: Take, group: str
) -> None:
    wire1 = DatagramOptions(multicast_interface="wire1")
    member = await on(1, EVERYWHERE[group].format(9000), groups=[group], options=wire1)
    elsewhere = await on(0, EVERYWHERE[group].format(0))
    here = await on(0, EVERYWHERE[group].format(0), options=wire1)
    await elsewhere.send(b"by the default route", to=url(group, 9000))
    own = {"239.42.42.42": "udp://10.99.0.2:9000", "ff15::4242": "udp://[fd99::2]:9000"}[group]
    await elsewhere.send(b"end", to=own)
    assert [m.body for m in await take(member)] == [b"end"]
    await here.send(b"by the other one", to=url(group, 9000))
    (message,) = await take(member)
    assert message.body == b"by the other one"
    assert message.source.host in ("10.98.0.1", "fd98::1")


async def test_a_dual_stack_endpoint_takes_groups_of_both_kinds(on: On, take: Take) -> None:
    member = await on(1, "udp://:9000", groups=GROUPS)
    for group in GROUPS:
        client = await on(0, None, peer=url(group, 9000))
        await client.send(group.encode())
    assert {m.body for m in await take(member, 2)} == {group.encode() for group in GROUPS}


@pytest.mark.parametrize(
    ("group", "error"),
    [("10.0.0.1", "no multicast group"), ("nonsense", "no multicast"), ("ff15::1", "IPv4 one")],
)
async def test_what_is_no_group_is_refused(endpoint: StartEndpoint, group: str, error: str) -> None:
    made = await endpoint()
    with pytest.raises(AddressError, match=error):
        made.join(group, "lo")
    with pytest.raises(AddressError, match=error):
        await endpoint(groups=[group])


async def test_leaving_what_was_not_joined_is_the_systems_error(endpoint: StartEndpoint) -> None:
    made = await endpoint()
    with pytest.raises(OSError, match="assign"):
        made.leave("239.42.42.42", "lo")
