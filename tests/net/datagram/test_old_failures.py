"""Each of these broke gestalt 20.1.1."""

import asyncio
import socket
from typing import Any

import pytest

from gestalt.core import State
from gestalt.net import DatagramEndpoint, DatagramMessage, Mti, Netstring, Wire
from tests.net.datagram.fixtures import StartEndpoint, Take
from tests.net.fixtures import Within


@pytest.mark.parametrize("framing", [Mti(), Netstring()], ids=str)
async def test_a_datagram_of_one_byte_does_not_stop_the_application(
    endpoint: StartEndpoint, plain_socket: socket.socket, take: Take, framing: Any
) -> None:
    server = await endpoint(wire=Wire(framing), on_error=lambda error: None)
    plain_socket.sendto(b"\x01", ("127.0.0.1", server.address.port))
    client = await endpoint(None, wire=Wire(framing), peer=server.address)
    await client.send(b"still here")
    assert [m.body for m in await take(server)] == [b"still here"]
    assert server.stats.dropped == 1
    assert server.state is State.RUNNING


@pytest.mark.parametrize("framing", [Mti(), Netstring()], ids=str)
async def test_a_truncated_payload_is_not_accepted(
    endpoint: StartEndpoint, plain_socket: socket.socket, take: Take, framing: Any
) -> None:
    server = await endpoint(wire=Wire(framing), on_error=lambda error: None)
    whole = framing.encode(b"whole")
    for end in range(len(whole) + 1):
        plain_socket.sendto(whole[:end], ("127.0.0.1", server.address.port))
    assert [m.body for m in await take(server)] == [b"whole"]
    assert server.stats.received == len(whole) + 1
    assert server.stats.truncated == len(whole)


async def test_a_failed_bind_is_not_swallowed(endpoint: StartEndpoint) -> None:
    first = await endpoint()
    second = DatagramEndpoint(first.address, Wire(Mti()))
    with pytest.raises(OSError, match="cannot be bound"):
        await second.start()
    assert second.state is State.FAILED


async def test_asynchronous_handlers_are_awaited(endpoint: StartEndpoint, within: Within) -> None:
    awaited = asyncio.Event()

    async def handle(message: DatagramMessage[bytes]) -> None:
        await asyncio.sleep(0)
        awaited.set()

    server = await endpoint(on_message=handle)
    client = await endpoint(None, peer=server.address)
    await client.send(b"x")
    await within(awaited.wait())
