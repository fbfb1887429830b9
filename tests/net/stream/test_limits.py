"""What a bad peer can do: to itself, and to nobody else."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gestalt.net import (
    ConnectionLost,
    FrameTooLarge,
    FramingError,
    IncompleteFrame,
    LimitExceeded,
    Limits,
    Mti,
    Netstring,
    SendBufferFull,
    StreamMessage,
    Wire,
)
from tests.net.fixtures import Connect, Serve, Within


def plain_echo(message: StreamMessage[bytes]) -> None:
    message.peer.send_nowait(message.body, message.type_id)


async def raw(server: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(server.address.host, server.address.port)


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What is left to read until the server closes."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


@contextmanager
def silent(server: Any) -> Iterator[socket.socket]:
    """A connection whose other end reads nothing by itself."""
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        silent.connect((server.address.host, server.address.port))
        silent.setblocking(False)
        yield silent


async def fill(peer: Any) -> int:
    """Send until nothing more is taken, also by the system; how many messages that were."""
    sent = 0
    refused = 0
    while refused < 3:
        try:
            peer.send_nowait(bytes(10_000))
        except SendBufferFull:
            refused += 1
            await asyncio.sleep(0.02)
        else:
            sent += 1
            refused = 0
    return sent


async def read_to_end(sock: socket.socket) -> bytes:
    received = b""
    while data := await asyncio.get_running_loop().sock_recv(sock, 1 << 20):
        received += data
    return received


class Undisturbed:
    """A good peer whose messages go on while a bad one does its worst."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def check(self) -> None:
        await self._client.send(b"still here")
        async for message in self._client:
            assert message.body == b"still here"
            break


@pytest.mark.parametrize(
    ("wire", "garbage", "cause"),
    [
        (Wire(Mti()), b"\xff" * 8, FrameTooLarge),
        (Wire(Mti()), struct.pack(">II", 2**32 - 1, 1), FrameTooLarge),
        (Wire(Netstring()), b"garbage", FramingError),
        (Wire(Netstring(max_size=10)), b"99999999", FrameTooLarge),
    ],
)
async def test_a_peer_that_breaks_the_framing_is_closed_alone_after_its_good_messages(
    serve: Serve,
    connect: Connect,
    within: Within,
    wire: Wire,
    garbage: bytes,
    cause: type[Exception],
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    left: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        plain_echo,
        wire=wire,
        on_error=errors.put_nowait,
        on_disconnected=lambda peer, error: left.put_nowait((peer, error)),
    )
    good = Undisturbed(await connect(server))
    await within(good.check())
    reader, writer = await raw(server)
    frame = wire.framing.encode(b"good")
    writer.write(frame + garbage)
    assert await within(closed(reader)) == frame
    error = await within(errors.get())
    assert isinstance(error, ConnectionLost)
    assert isinstance(error.__cause__, cause)
    assert repr(error.peer) in str(error)
    assert await within(left.get()) == (error.peer, error)
    assert server.stats.faults == 1
    await within(good.check())
    writer.close()


async def test_a_peer_that_leaves_within_a_message_is_told_apart(
    serve: Serve, within: Within
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(plain_echo, on_error=errors.put_nowait)
    _, writer = await raw(server)
    writer.write(Mti().encode(b"cut short")[:-1])
    writer.close()
    error = await within(errors.get())
    assert isinstance(error.__cause__, IncompleteFrame)


async def test_a_fault_without_on_error_is_logged(
    serve: Serve, within: Within, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve(plain_echo)
    reader, writer = await raw(server)
    writer.write(b"\xff" * 8)
    await within(closed(reader))
    writer.close()
    assert "max_size" in caplog.text
    assert "tcp://127.0.0.1:" in caplog.text


@pytest.mark.parametrize(
    ("limits", "sends", "match"),
    [
        (Limits(idle_timeout=0.2), b"", "idle"),
        (Limits(message_timeout=0.2), b"\x00", "one message took"),
        (Limits(idle_timeout=0.2), b"\x00", "idle"),
        (Limits(first_message_timeout=0.2), b"", "it sent no whole message for more than 0.2 s"),
        (Limits(first_message_timeout=0.2), b"\x00", "it sent no whole message"),
    ],
)
async def test_an_idle_or_slow_peer_is_closed_alone(
    serve: Serve, connect: Connect, within: Within, limits: Limits, sends: bytes, match: str
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(plain_echo, limits=limits, on_error=errors.put_nowait)
    client = await connect(server)
    good = Undisturbed(client)
    reader, writer = await raw(server)
    dripping = asyncio.create_task(_drip(writer, sends))
    closing = asyncio.create_task(closed(reader))
    while not closing.done():
        await within(good.check())
        await asyncio.sleep(0.01)
    dripping.cancel()
    await asyncio.wait([dripping])
    writer.close()
    error = await within(errors.get())
    assert isinstance(error.__cause__, LimitExceeded)
    assert match in str(error)
    await within(good.check())
    assert client.stats.connected == 1


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send a byte now and then, and never a whole message."""
    while data:
        writer.write(data)
        await asyncio.sleep(0.05)


async def test_a_peer_that_takes_nothing_is_closed(serve: Serve, within: Within) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    peers: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        plain_echo,
        limits=Limits(stall_timeout=0.3),
        on_error=errors.put_nowait,
        on_connected=peers.put_nowait,
    )
    accepted = 0

    async def flood() -> None:
        nonlocal accepted
        while True:
            await peer.send(bytes(10_000))
            accepted += 1

    with silent(server):
        peer = await within(peers.get())
        with pytest.raises(ConnectionLost):
            await within(flood())
        error = await within(errors.get())
    assert isinstance(error.__cause__, LimitExceeded)
    assert "it took nothing" in str(error)
    assert error.unsent > 0
    assert error.in_doubt > 0
    assert error.unsent + error.in_doubt <= accepted


async def test_peers_above_the_limit_are_refused(
    serve: Serve, connect: Connect, within: Within
) -> None:
    server = await serve(plain_echo, limits=Limits(max_peers=2))
    good = [Undisturbed(await connect(server)) for _ in range(2)]
    for each in good:
        await within(each.check())
    reader, writer = await raw(server)
    assert await within(closed(reader)) == b""
    writer.close()
    assert server.stats.refused == 1
    assert len(server.peers) == 2
    for each in good:
        await within(each.check())


async def test_send_nowait_raises_above_the_mark_and_send_waits(
    serve: Serve, within: Within
) -> None:
    peers: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(plain_echo, on_connected=peers.put_nowait)
    with silent(server) as sock:
        peer = await within(peers.get())
        sent = await within(fill(peer))
        cancelled = asyncio.create_task(peer.send(b"never sent"))
        waiting = asyncio.create_task(peer.send(b"the last"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        cancelled.cancel()
        reading = asyncio.create_task(read_to_end(sock))
        await within(waiting)
        await within(peer.close())
        received = await within(reading)
    assert received == Mti().encode(bytes(10_000)) * sent + Mti().encode(b"the last")


async def test_what_is_awaited_only_when_there_is_room_again_is_sent(
    serve: Serve, within: Within
) -> None:
    peers: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(plain_echo, on_connected=peers.put_nowait)
    with silent(server) as sock:
        peer = await within(peers.get())
        sent = await within(fill(peer))
        later = peer.send(b"the last")
        reading = asyncio.create_task(read_to_end(sock))
        await within(peer.send(b"as soon as there is"))
        await within(later)
        await within(peer.close())
        received = await within(reading)
    last = Mti().encode(b"as soon as there is") + Mti().encode(b"the last")
    assert received == Mti().encode(bytes(10_000)) * sent + last


@pytest.mark.parametrize("slow", ["drop", "disconnect", "wait"])
async def test_a_broadcast_does_with_a_slow_peer_as_it_is_told(
    serve: Serve, connect: Connect, within: Within, slow: Any
) -> None:
    peers: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(plain_echo, on_connected=peers.put_nowait, on_error=lambda error: None)
    with silent(server) as sock:
        stalled = await within(peers.get())
        client = await connect(server)
        await within(client.wait_connected())
        await within(peers.get())
        await within(fill(stalled))
        broadcast = asyncio.create_task(server.broadcast(b"news", slow=slow))
        async for message in client:
            assert message.body == b"news"
            break
        if slow == "wait":
            assert not broadcast.done()
            reading = asyncio.create_task(read_to_end(sock))
            assert await within(broadcast) == 2
            await within(stalled.close())
            assert (await within(reading)).endswith(Mti().encode(b"news"))
        else:
            assert await within(broadcast) == 1
            assert server.stats.dropped == 1
            assert stalled.connected is (slow == "drop")
            stalled.abort()


async def test_a_slow_handler_stalls_its_own_peer_only_and_bounds_what_waits(
    serve: Serve, connect: Connect, within: Within
) -> None:
    release = asyncio.Event()
    handled = 0

    async def slow_for_one(message: StreamMessage[bytes]) -> None:
        nonlocal handled
        if message.type_id == 1:
            await release.wait()
            handled += 1
        else:
            await message.reply(message.body)

    server = await serve(slow_for_one)
    sender = await connect(server)
    good = Undisturbed(await connect(server))
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while sent < 20_000:
            await sender.send(bytes(2_000), 1)
            sent += 1

    flooding = asyncio.create_task(flood())
    for _ in range(50):
        await within(good.check())
        await asyncio.sleep(0.002)
    # What fits into the sockets' buffers and ours, far below what there is to send.
    assert sent < 15_000
    assert len(asyncio.all_tasks()) < 20
    release.set()
    await within(flooding)
    while handled < 20_000:
        await asyncio.sleep(0.01)
        await within(good.check())


@pytest.mark.parametrize("limit", ["max_peers", "send_buffer", "idle_timeout", "close_timeout"])
def test_limits_that_make_no_sense_are_refused(limit: str) -> None:
    for value in (0, -1, float("nan")):
        with pytest.raises(ValueError, match=limit):
            Limits(**{limit: value})
