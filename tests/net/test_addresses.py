"""What an address may be, and where endpoints say that they are."""

import asyncio
import re
import socket

import pytest

from gestalt.core import StateError
from gestalt.net import (
    Address,
    AddressError,
    ConnectFailed,
    Delimited,
    StreamClient,
    StreamServer,
    Wire,
)
from tests.net.fixtures import Within
from tests.support import mutual_tls

SCHEMES = ("tcp", "tls", "unix")
LINES = Wire(Delimited())


def nothing(_: object) -> None:
    """Take a message, or an error."""


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("tcp://[::1", "its host cannot be read"),
        ("tcp://host:port", "a port is a number from 0 to 65535"),
        ("tcp://host:65536", "a port is a number from 0 to 65535"),
        ("tcp://host", "the port is missing"),
        ("tcp://host:1/path", "nothing may follow the port"),
        ("tcp://host:1?timeout=2", "an address has neither query nor tag"),
        ("tcp://host:1#tag", "an address has neither query nor tag"),
        ("tcp://user@host:1", "an address has no user"),
        ("udp://host:1", "it must start with one of tcp://, tls://, unix://"),
    ],
)
def test_what_is_no_address_is_refused_by_its_reason(url: str, reason: str) -> None:
    with pytest.raises(AddressError, match=re.escape(reason)):
        Address.parse(url, SCHEMES)


@pytest.mark.parametrize(
    ("url", "family"),
    [
        ("tcp://[::1]:80", socket.AF_INET6),
        ("tcp://127.0.0.1:80", socket.AF_UNSPEC),
        ("tcp://host:80", socket.AF_UNSPEC),
        ("unix:///path", socket.AF_UNIX),
    ],
)
def test_the_family_is_told_where_the_host_tells_it(url: str, family: int) -> None:
    assert Address.parse(url, SCHEMES).family == family


async def test_endpoints_say_where_they_are() -> None:
    server = StreamServer("tcp://127.0.0.1:0", LINES, on_message=nothing)
    assert server.addresses == ()
    with pytest.raises(StateError, match="has no address before it is started"):
        _ = server.address
    async with server:
        assert server.addresses == (server.address,)
        with pytest.raises(StateError, match="has no TLS files in use"):
            server.reload_tls()
        client = StreamClient(server.address, LINES)
        assert client.address == server.address
    assert server.address.port != 0


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_client_that_could_never_connect_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="connect_timeout must be positive"):
        StreamClient("tcp://127.0.0.1:1", LINES, connect_timeout=seconds)


async def test_who_has_a_port_that_is_to_be_shared_is_described() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(OSError, match="does not share it by reuse_port=True"):
            await StreamServer(url, LINES, on_message=nothing, reuse_port=True).start()
    # An address of documents (RFC 5737), which no host has.
    with pytest.raises(OSError, match=r"Cannot assign requested address$"):
        await StreamServer("tcp://192.0.2.1:0", LINES, on_message=nothing).start()


async def test_a_client_of_tls_trusts_by_default_whom_the_system_trusts(within: Within) -> None:
    failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def note(error: Exception) -> None:
        if not failed.done():
            failed.set_result(error)

    context = mutual_tls.server_context()
    async with (
        StreamServer(
            "tls://127.0.0.1:0", LINES, on_message=nothing, tls=context, on_error=nothing
        ) as server,
        StreamClient(server.address, LINES, on_error=note),
    ):
        error = await within(failed)
    assert isinstance(error, ConnectFailed)
    assert "its certificate was refused" in str(error)
