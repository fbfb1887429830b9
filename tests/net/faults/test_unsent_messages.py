"""What becomes of messages that could not be sent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from gestalt.core import Backoff
from gestalt.net import Limits, Mti, Peer, SendBufferFull, StreamMessage
from tests.net.faults.fixtures import Raw
from tests.net.fixtures import Connect, Serve, Within


async def fill(peer: Peer) -> int:
    """Send until the peer's buffer is full, and return how many messages were accepted."""
    accepted = 0
    try:
        while True:
            peer.send_nowait(bytes(10_000))
            accepted += 1
    except SendBufferFull:
        return accepted


@pytest_asyncio.fixture
async def stalled(serve: Serve, raw: Raw, within: Within) -> AsyncIterator[tuple[Any, Any, Any]]:
    """A peer of a server that reads nothing, its socket, and how its connection ends."""
    came: asyncio.Queue[Peer] = asyncio.Queue()
    went: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        lambda message: None,
        on_connected=came.put_nowait,
        on_disconnected=lambda peer, error: went.put_nowait(error),
        on_error=lambda error: None,
        limits=Limits(close_timeout=0.1),
    )
    sock = await raw(server, receive_buffer=4096)
    yield await within(came.get()), sock, went


async def test_a_message_that_meets_a_reset_connection_is_counted(
    stalled: Any, within: Within
) -> None:
    peer, sock, went = stalled
    sock.reset()
    # Nothing has told us yet: the message is accepted, and fails when it is handed over.
    peer.send_nowait(b"into the void")
    error = await within(went.get())
    assert error is not None
    assert error.unsent + error.in_doubt == 1


async def test_messages_that_a_close_could_not_send_in_time_are_counted(
    stalled: Any, within: Within
) -> None:
    peer, sock, went = stalled
    accepted = await fill(peer)
    await within(peer.close())
    error = await within(went.get())
    assert error is not None
    arrived = 0
    header = await within(sock.receive(8))
    while header:
        arrived += len(await within(sock.receive(10_000))) == 10_000
        header = await within(sock.receive(8))
    assert error.unsent + error.in_doubt >= accepted - arrived > 0
    assert error.unsent + error.in_doubt < accepted + 1


async def test_a_close_that_sends_everything_counts_nothing(
    serve: Serve, raw: Raw, within: Within
) -> None:
    came: asyncio.Queue[Peer] = asyncio.Queue()
    went: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        lambda message: None,
        on_connected=came.put_nowait,
        on_disconnected=lambda peer, error: went.put_nowait(error),
    )
    sock = await raw(server)
    peer = await within(came.get())
    accepted = await fill(peer)
    closing = asyncio.create_task(peer.close())
    await asyncio.sleep(0)
    assert len(await within(sock.receive(accepted * 10_008 + 1))) == accepted * 10_008
    await within(closing)
    assert await within(went.get()) is None


async def test_a_send_while_the_connection_is_closing_waits_for_the_next_one(
    serve: Serve, connect: Connect, within: Within
) -> None:
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(arrived.put_nowait)
    client = await connect(server, backoff=Backoff(initial=0.01, maximum=0.01))
    peer = await within(client.wait_connected())
    closing = asyncio.create_task(peer.close())
    await asyncio.sleep(0)
    assert not peer.connected
    assert not client.connected
    await within(client.send(b"over the next"))
    assert (await within(arrived.get())).body == b"over the next"
    assert client.stats.connected == 2
    await closing


async def test_replies_to_a_peer_that_has_left_are_no_errors_of_the_handler(
    serve: Serve, raw: Raw, within: Within
) -> None:
    """A client with many requests under way that leaves would draw as many reports."""
    release = asyncio.Event()
    handled = 0
    left: asyncio.Queue[Any] = asyncio.Queue()
    errors: list[Exception] = []

    async def handle(message: StreamMessage[bytes]) -> None:
        nonlocal handled
        handled += 1
        await release.wait()
        await message.reply(message.body)

    server = await serve(
        handle, on_disconnected=lambda peer, _: left.put_nowait(peer), on_error=errors.append
    )
    sock = await raw(server)
    await sock.send(Mti().encode(b"request") * 100)
    while not handled:
        await asyncio.sleep(0)
    sock.reset()
    while server.peers:
        await asyncio.sleep(0.002)
    release.set()
    await within(left.get())
    assert handled == 100
    assert errors == []
    assert server.stats.handler_errors == 0
