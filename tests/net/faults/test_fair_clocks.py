"""Time that passes because of us counts against nobody."""

import asyncio
import threading
import time
from typing import Any

import pytest

from gestalt.net import LimitExceeded, Limits, Mti, StreamMessage, Wire
from tests.net.faults.fixtures import Raw
from tests.net.fixtures import Connect, Serve, Within

TIMEOUT = 0.2
LONG = 5 * TIMEOUT


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("messages", [1, 30])
async def test_a_peer_is_not_idle_while_our_handler_is_slow_and_is_afterwards(
    serve: Serve, raw: Raw, within: Within, concurrency: int, messages: int
) -> None:
    release = asyncio.Event()
    gone: asyncio.Queue[Any] = asyncio.Queue()
    handled = 0

    async def slow(message: StreamMessage[bytes]) -> None:
        nonlocal handled
        await release.wait()
        handled += 1

    server = await serve(
        slow,
        concurrency=concurrency,
        limits=Limits(idle_timeout=TIMEOUT),
        on_error=lambda error: None,
        on_disconnected=lambda peer, error: gone.put_nowait(error),
    )
    peer = await raw(server)
    for _ in range(messages):
        await peer.send(Mti().encode(b"position"))
        await asyncio.sleep(0.001)
    await asyncio.sleep(LONG)
    assert len(server.peers) == 1
    assert gone.empty()
    release.set()
    error = await within(gone.get())
    assert isinstance(error.__cause__, LimitExceeded)
    assert "idle" in str(error)
    assert handled == messages


@pytest.mark.parametrize("messages", [1, 300])
async def test_a_server_is_not_idle_while_its_client_does_not_read_and_is_afterwards(
    serve: Serve, connect: Connect, within: Within, messages: int
) -> None:
    gone: asyncio.Queue[Any] = asyncio.Queue()
    sent = asyncio.Event()

    async def answer(message: StreamMessage[bytes]) -> None:
        for _ in range(messages):
            await message.reply(bytes(1000))
        sent.set()

    client = await connect(
        await serve(answer),
        limits=Limits(idle_timeout=TIMEOUT),
        on_error=lambda error: None,
        on_disconnected=lambda peer, error: gone.put_nowait(error),
    )
    await client.send(b"go")
    await within(sent.wait())
    await asyncio.sleep(LONG)
    assert client.stats.connected == 1
    assert gone.empty()
    reading = aiter(client)
    for _ in range(messages):
        assert len((await within(anext(reading))).body) == 1000
    # It waits now, and nothing comes.
    waiting = asyncio.create_task(anext(reading))
    assert isinstance((await within(gone.get())).__cause__, LimitExceeded)
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_a_message_that_has_begun_takes_no_time_while_it_is_not_read(
    serve: Serve, raw: Raw, within: Within
) -> None:
    release, all_handled = asyncio.Event(), asyncio.Event()
    errors: list[Any] = []
    begun = asyncio.Event()

    async def slow(message: StreamMessage[bytes]) -> None:
        begun.set()
        await release.wait()
        if message.body == b"last":
            all_handled.set()

    server = await serve(slow, limits=Limits(message_timeout=TIMEOUT), on_error=errors.append)
    peer = await raw(server)
    await peer.send(Mti().encode(b"first"))
    await within(begun.wait())
    last = Mti().encode(b"last")
    # Two reads wait, so that there is no third one, and the last message is incomplete.
    for _ in range(3):
        await peer.send(Mti().encode(b"second") + last[:5])
        await asyncio.sleep(0.01)
        await peer.send(last[5:])
        await asyncio.sleep(0.01)
    await peer.send(last[:5])
    await asyncio.sleep(LONG)
    await peer.send(last[5:])
    assert errors == []
    release.set()
    await within(all_handled.wait())
    assert errors == []


async def test_time_during_which_the_loop_was_held_counts_against_nobody(
    serve: Serve, raw: Raw, within: Within
) -> None:
    arrived = asyncio.Event()
    errors: list[Any] = []
    wire = Wire(Mti(max_size=4_000_000))
    server = await serve(
        lambda message: arrived.set(),
        wire=wire,
        limits=Limits(message_timeout=TIMEOUT, idle_timeout=TIMEOUT),
        on_error=errors.append,
    )
    peer = await raw(server)
    frame = Mti(max_size=4_000_000).encode(bytes(3_000_000))
    await peer.send(frame[:1000])
    while not (server.peers and server.peers[1]._link.message_begun):
        await asyncio.sleep(0)
    # It sends all the time, but nobody can read that.
    peer.socket.setblocking(True)
    sending = threading.Thread(target=peer.socket.sendall, args=[frame[1000:]])
    sending.start()
    time.sleep(LONG)  # noqa: ASYNC251 - it is to be held
    await within(arrived.wait())
    await asyncio.to_thread(sending.join)
    assert errors == []


@pytest.mark.parametrize("by", ["limit", "abort"])
async def test_callbacks_about_a_peer_that_was_cut_do_not_wait_for_its_handlers(
    serve: Serve, raw: Raw, within: Within, by: str
) -> None:
    release = asyncio.Event()
    told: asyncio.Queue[Any] = asyncio.Queue()
    gone: asyncio.Queue[Any] = asyncio.Queue()
    handling = asyncio.Event()

    async def slow(message: StreamMessage[bytes]) -> None:
        handling.set()
        # More than the peer takes.
        while by == "limit":
            await message.peer.send(bytes(10_000))
        await release.wait()

    server = await serve(
        slow,
        concurrency=2,
        limits=Limits(stall_timeout=TIMEOUT),
        on_error=told.put_nowait,
        on_disconnected=lambda peer, error: gone.put_nowait(error),
    )
    peer = await raw(server, receive_buffer=4096)
    hanging = Mti().encode(b"")
    await peer.send(hanging * 2)
    await within(handling.wait())
    if by == "abort":
        server.peers[1].abort()
        assert await within(gone.get()) is None
    else:
        error = await within(gone.get())
        assert isinstance(error.__cause__, LimitExceeded)
        assert await within(told.get()) is error
    assert not server.peers
    release.set()
