"""Addresses of sockets that the process was started with, and what they cannot be."""

import os
import re
import socket
import subprocess
import sys
import tempfile

import pytest

from gestalt.net import Address, AddressError, DatagramEndpoint, Delimited, Raw, StreamServer, Wire

SCHEMES = ("tcp", "fd", "systemd")


async def echo(message):
    await message.reply(message.body)


@pytest.mark.parametrize("url", ["fd://3", "systemd://web", "systemd://My%20Socket.socket"])
def test_an_address_is_its_url(url):
    assert str(Address.parse(url, SCHEMES)) == url


def test_a_name_of_systemd_keeps_its_case():
    assert Address.parse("systemd://My.socket", SCHEMES).host == "My.socket"


@pytest.mark.parametrize(
    "url", ["fd://", "fd://x", "fd://3/x", "fd:3", "fd://-1", "systemd://", "systemd://a/b"]
)
def test_what_is_no_such_address_is_refused(url):
    with pytest.raises(AddressError, match=re.escape(repr(url))):
        Address.parse(url, SCHEMES)


async def started(component):
    try:
        await component.start()
    except (OSError, AddressError) as error:
        return str(error)
    await component.stop()
    return None


def server(number):
    return StreamServer(f"fd://{number}", Wire(Delimited()), on_message=echo)


def endpoint(number, **options):
    return DatagramEndpoint(f"fd://{number}", Wire(Raw()), **options)


async def test_a_socket_that_does_not_fit_is_refused_and_stays_open():
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        socket.create_connection(listening.getsockname()) as connection,
        tempfile.TemporaryFile() as file,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local,
    ):
        datagrams.bind(("127.0.0.1", 0))
        assert await started(server(datagrams.fileno())) == (
            f"[Errno 91] fd://{datagrams.fileno()}: descriptor {datagrams.fileno()} "
            "cannot listen for streams"
        )
        assert "cannot receive datagrams" in str(await started(endpoint(listening.fileno())))
        assert "is a connection" in str(await started(server(connection.fileno())))
        assert "is no socket" in str(await started(server(file.fileno())))
        assert "is no socket for UDP" in str(await started(endpoint(local.fileno())))
        assert "takes no peer" in str(
            await started(endpoint(datagrams.fileno(), peer="udp://127.0.0.1:9"))
        )
        for each in (listening, datagrams, connection, file, local):
            os.fstat(each.fileno())
    assert "is not open" in str(await started(server(99_999)))


async def test_a_server_stops_and_starts_on_the_same_socket_which_others_go_on_with():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        component = server(listening.fileno())
        for _ in range(2):
            async with component:
                assert component.address == Address("tcp", *listening.getsockname())
        listening.settimeout(10)
        with socket.create_connection(listening.getsockname()), listening.accept()[0]:
            pass


async def test_datagrams_come_by_a_socket_that_was_handed_over(within):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        component = endpoint(sock.fileno(), on_message=echo)
        for _ in range(2):
            async with (
                component,
                DatagramEndpoint(None, Wire(Raw()), peer=component.address) as client,
            ):
                await client.send(b"hello")
                assert (await within(anext(aiter(client)))).body == b"hello"


HANDED_OVER = """
import asyncio, os, socket, sys
sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(2)]
for number, each in enumerate(sockets):
    each.bind(("127.0.0.1", 0))
    os.dup2(each.fileno(), 103 + number)
os.closerange(3, 103)
for number in (3, 5):
    os.dup2(103, number)
os.closerange(6, 200)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="4", LISTEN_FDNAMES="dns::dns")
from gestalt.core.activation import describe, handed_over
from gestalt.net import AddressError, DatagramEndpoint, Raw, Wire
print(*(f"{each.name}={each.number}" for each in handed_over()))
told = describe(handed_over())
print(told["LISTEN_FDS"], told["LISTEN_FDNAMES"], describe([]), "LISTEN_FDS" in os.environ)
try:
    asyncio.run(DatagramEndpoint("systemd://dns", Wire(Raw())).start())
except AddressError as error:
    print(error)
"""


def test_what_was_promised_and_is_missing_is_left_out_and_an_endpoint_has_one_socket():
    process = subprocess.run(
        [sys.executable, "-c", HANDED_OVER], capture_output=True, text=True, check=False, timeout=60
    )
    assert process.stdout.splitlines() == [
        "dns=3 dns=5",
        "3 dns:unknown:dns {} False",
        "systemd://dns names 2 sockets, and an endpoint has one",
    ], process.stderr
