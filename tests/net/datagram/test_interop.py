"""Datagrams of others: gestalt 20.1.1, and a plain socket."""

import asyncio
import socket
from typing import Any

import pytest

from gestalt.net import DatagramMessage, Mti, Raw, Wire
from tests.net.datagram.fixtures import StartEndpoint, Take
from tests.net.fixtures import Within
from tests.support.foreign import ForeignPeer

LITTLE = Wire(Mti("little"))


async def test_the_predecessor_echoes_what_we_send(
    endpoint: StartEndpoint, take: Take, predecessor: ForeignPeer
) -> None:
    port = predecessor.ports["udp-mti"]
    client = await endpoint(None, wire=LITTLE, peer=f"udp://127.0.0.1:{port}")
    bodies = [b"x", bytes(range(256)), b"y" * 60_000]
    for number, body in enumerate(bodies):
        type_id = 0x01020304 * (number + 1)
        await client.send(body, type_id)
        (message,) = await take(client)
        assert (message.body, message.type_id) == (body, type_id)


async def test_we_echo_what_the_predecessor_sends(
    endpoint: StartEndpoint, within: Within, predecessor: ForeignPeer
) -> None:
    received: asyncio.Queue[Any] = asyncio.Queue()

    async def echo(message: DatagramMessage[bytes]) -> None:
        received.put_nowait((message.body, message.type_id))
        if received.qsize() <= 3:
            await message.reply(message.body + b"!", 10)

    server = await endpoint(wire=LITTLE, on_message=echo)
    predecessor.connect("udp-mti", server.address.port)

    async def four() -> list[Any]:
        while received.qsize() < 4:
            await asyncio.sleep(0.001)
        return [received.get_nowait() for _ in range(4)]

    assert await within(four()) == [
        (b"hello", 9),
        (b"hello!", 10),
        (b"hello!!", 10),
        (b"hello!!!", 10),
    ]


@pytest.mark.parametrize(
    ("wire", "raw"),
    [
        (Wire(Raw()), b"abc"),
        (Wire(Mti()), b"\0\0\0\3\0\0\0\0abc"),
        (LITTLE, b"\3\0\0\0\0\0\0\0abc"),
    ],
    ids=str,
)
async def test_a_plain_socket_reads_and_writes_the_same_bytes(
    endpoint: StartEndpoint,
    take: Take,
    within: Within,
    plain_socket: socket.socket,
    wire: Wire,
    raw: bytes,
) -> None:
    ours = await endpoint(wire=wire)
    plain_socket.sendto(raw, ("127.0.0.1", ours.address.port))
    (message,) = await take(ours)
    assert message.body == b"abc"
    await message.reply(b"abc")

    async def answer() -> Any:
        while True:
            try:
                return plain_socket.recvfrom(100)
            except BlockingIOError:
                await asyncio.sleep(0)

    assert await within(answer()) == (raw, ("127.0.0.1", ours.address.port))
