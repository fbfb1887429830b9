"""What broke gestalt 20.1.1, one test for each.

The type of a message without a body is tested in ../test_streams.py, and 300 MB to a stalled peer
in test_memory.py.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from gestalt.codecs import Codec, MessageTypes
from gestalt.core import State, StateError
from gestalt.net import (
    ConnectionLost,
    FrameTooLarge,
    LengthPrefix,
    Mti,
    NotConnected,
    Peer,
    StreamClient,
    StreamMessage,
    UnknownPeer,
    Wire,
)
from tests.net.faults.fixtures import Raw
from tests.net.fixtures import Connect, Serve, Within


def echo(message: StreamMessage[Any]) -> None:
    message.peer.send_nowait(message.body, message.type_id)


@pytest.mark.parametrize("wire", [Wire(Mti("little")), Wire(LengthPrefix(8))], ids=str)
async def test_an_oversize_header_in_eight_bytes_costs_its_sender_only(
    wire: Wire, serve: Serve, connect: Connect, raw: Raw, within: Within
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(echo, wire=wire, on_error=errors.put_nowait)
    client = await connect(server)
    await client.wait_connected()
    bad = await raw(server)
    await bad.send(b"\xff" * 8)
    await within(bad.ended())
    error = await within(errors.get())
    assert isinstance(error, ConnectionLost)
    assert isinstance(error.__cause__, FrameTooLarge)
    assert "max_size" in str(error)
    await client.send(b"still there")
    async for message in client:
        assert message.body == b"still there"
        break
    assert server.stats.faults == 1
    assert len(server.peers) == 1


async def test_20000_messages_to_an_async_handler_make_few_tasks_and_keep_their_order(
    serve: Serve, connect: Connect, within: Within
) -> None:
    total = 20_000
    seen: list[bytes] = []
    most_tasks = 0
    done = asyncio.Event()

    async def handle(message: StreamMessage[bytes]) -> None:
        nonlocal most_tasks
        seen.append(message.body)
        if len(seen) % 500 == 0:
            most_tasks = max(most_tasks, len(asyncio.all_tasks()))
            # Later messages would overtake here, if they could.
            await asyncio.sleep(0.001)
        if len(seen) == total:
            done.set()

    client = await connect(await serve(handle))
    bodies = [b"%d" % number for number in range(total)]
    before = len(asyncio.all_tasks())
    for body in bodies:
        await client.send(body)
    await within(done.wait())
    assert seen == bodies
    # The peer's worker, and nothing that grows with the messages.
    assert most_tasks <= before + 1


async def test_stop_ends_while_clients_are_connected(
    serve: Serve, raw: Raw, within: Within
) -> None:
    """On Python 3.12 and later, `asyncio.Server.wait_closed` waits for every connection."""
    came: asyncio.Queue[Peer] = asyncio.Queue()
    server = await serve(echo, on_connected=came.put_nowait, stop_timeout=0.2)
    idle = await raw(server)
    await within(came.get())
    within_a_message = await raw(server)
    await within_a_message.send(b"\0\0\0")
    await within(came.get())
    stalled = await raw(server, receive_buffer=4096)
    peer = await within(came.get())
    filling = asyncio.create_task(fill(peer))
    await within(server.stop(), 5)
    assert server.state is State.STOPPED
    assert not server.peers
    for client in (idle, within_a_message, stalled):
        await within(client.ended())
    with pytest.raises(ConnectionLost):
        await within(filling)


async def fill(peer: Peer) -> None:
    while True:
        await peer.send(bytes(65536))


async def test_a_server_that_accepts_and_closes_is_not_stormed(stack: AsyncExitStack) -> None:
    accepted = 0

    def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    stack.callback(server.close)
    port = server.sockets[0].getsockname()[1]
    await stack.enter_async_context(StreamClient(f"tcp://127.0.0.1:{port}", Wire(Mti())))
    # The delays are random, but twenty in this time are less likely than one in 10**12.
    await asyncio.sleep(1)
    assert 1 <= accepted < 20


async def test_two_start_calls_make_one_connection(
    serve: Serve, stack: AsyncExitStack, within: Within
) -> None:
    server = await serve(echo)
    client = StreamClient(server.address, server.wire)
    stack.push_async_callback(client.stop)
    first, second = await asyncio.gather(client.start(), client.start(), return_exceptions=True)
    assert first is None
    assert isinstance(second, StateError)
    await client.send(b"one")
    async for message in client:
        assert message.body == b"one"
        break
    assert server.stats.connected == 1
    assert len(server.peers) == 1


async def test_a_send_to_a_departed_peer_says_so(serve: Serve, raw: Raw, within: Within) -> None:
    came: asyncio.Queue[Peer] = asyncio.Queue()
    went: asyncio.Queue[Peer] = asyncio.Queue()
    server = await serve(
        echo, on_connected=came.put_nowait, on_disconnected=lambda peer, _: went.put_nowait(peer)
    )
    for leave in ("close", "reset"):
        client = await raw(server)
        peer = await within(came.get())
        client.reset() if leave == "reset" else client.socket.close()
        assert await within(went.get()) is peer
        with pytest.raises(UnknownPeer, match=f"no peer {peer.id}"):
            await server.send(peer.id, b"too late")
        with pytest.raises(ConnectionLost, match="not connected any more"):
            await peer.send(b"too late")
        with pytest.raises(ConnectionLost, match="not connected any more"):
            peer.send_nowait(b"too late")
        assert await server.broadcast(b"too late", to=[peer]) == 0


async def test_a_send_without_peers_says_so(serve: Serve, connect: Connect) -> None:
    server = await serve(echo)
    assert await server.broadcast(b"to nobody") == 0
    with pytest.raises(UnknownPeer):
        await server.send(1, b"to nobody")
    await server.stop()
    client = await connect(server, connect_timeout=0.1)
    with pytest.raises(NotConnected):
        client.send_nowait(b"to nobody")
    with pytest.raises(NotConnected):
        await client.send(b"to nobody")


@pytest.mark.parametrize("compress", [None, "deflate"])
async def test_an_empty_protobuf_arrives_as_a_message(
    compress: str | None, serve: Serve, connect: Connect, within: Within
) -> None:
    empty_pb2 = pytest.importorskip("google.protobuf.empty_pb2")
    types = MessageTypes()
    types.add(5, empty_pb2.Empty)
    wire = Wire(Mti(), Codec("protobuf", types=types, compress=compress))
    client = await connect(await serve(lambda message: message.reply(message.body), wire=wire))
    await client.send(empty_pb2.Empty())
    async for message in client:
        assert type(message.body) is empty_pb2.Empty
        assert message.type_id == 5
        break


async def test_two_endpoints_have_their_own_type_identifiers(
    serve: Serve, connect: Connect, within: Within
) -> None:
    @dataclass
    class Position:
        latitude: float

    @dataclass
    class Alarm:
        text: str

    bodies: asyncio.Queue[Any] = asyncio.Queue()
    clients = []
    for cls in (Position, Alarm):
        types = MessageTypes()
        types.add(1, cls)
        server = await serve(
            lambda message: bodies.put_nowait(message.body),
            wire=Wire(Mti(), Codec("json", types=types)),
        )
        clients.append(await connect(server))
    for client, body in zip(clients, (Position(-34.9), Alarm("fire")), strict=True):
        await client.send(body)
        assert await within(bodies.get()) == body
