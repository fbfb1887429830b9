"""What peers can make a server hold is bounded: tasks, connections that have gone, memory."""

import asyncio
import tracemalloc
from typing import Any

import pytest

from gestalt.net import ConnectionLost, Framing, Limits, Mti, StreamMessage, Wire
from tests.net.faults.fixtures import Raw
from tests.net.fixtures import Connect, Serve, Within


async def test_an_asynchronous_on_error_that_lags_has_a_bounded_number_of_tasks(
    serve: Serve, connect: Connect, within: Within, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = asyncio.Event()
    told: list[Any] = []
    seen = 0

    async def on_error(error: Any) -> None:
        await go_on.wait()
        told.append(error)

    def handle(message: StreamMessage[bytes]) -> None:
        nonlocal seen
        seen += 1
        raise ValueError(message.body)

    server = await serve(handle, on_error=on_error)
    client = await connect(server)
    await within(client.wait_connected())
    before = len(asyncio.all_tasks())
    for _ in range(500):
        await client.send(b"")
    while seen < 500:
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) - before <= 101
    assert server.stats.handler_errors == 500
    assert server.stats.unreported == 400
    # Those are not lost: the log has them, a few a second.
    assert server.reported == 400
    assert 5 <= len(caplog.records) < 50
    go_on.set()
    while len(told) < 100:
        await asyncio.sleep(0)


@pytest.mark.parametrize("which", ["on_connected", "on_disconnected", "handler"])
async def test_a_peer_counts_until_what_runs_about_it_is_done(
    serve: Serve, raw: Raw, within: Within, which: str
) -> None:
    go_on = asyncio.Event()
    begun: asyncio.Queue[None] = asyncio.Queue()

    async def linger(*_: Any) -> None:
        begun.put_nowait(None)
        await go_on.wait()

    options = {} if which == "handler" else {which: linger}
    server = await serve(
        linger if which == "handler" else lambda message: None,
        limits=Limits(max_peers=3),
        **options,
    )
    for _ in range(3):
        peer = await raw(server)
        await peer.send(Mti().encode(b"x"))
        if which == "handler":
            await within(begun.get())
        while not server.peers:
            await asyncio.sleep(0)
        peer.reset()
        while server.peers:
            await asyncio.sleep(0)
        if which != "handler":
            await within(begun.get())
    for number in range(3):
        refused = await raw(server)
        await within(refused.ended())
        assert server.stats.refused == number + 1
    go_on.set()
    while server._connections._lingering:
        await asyncio.sleep(0)
    welcome = await raw(server)
    await welcome.send(Mti().encode(b"x"))
    await within(begun.get() if which != "on_disconnected" else asyncio.sleep(0))
    while not server.peers:
        await asyncio.sleep(0)
    assert server.stats.refused == 3


SIZE = 400_000
PEERS = 20
BOUND = 500_000


async def test_messages_of_all_peers_together_are_bounded_while_they_arrive(
    serve: Serve, raw: Raw, within: Within
) -> None:
    arrived = 0

    def handle(message: StreamMessage[bytes]) -> None:
        nonlocal arrived
        assert len(message.body) == SIZE
        arrived += 1

    server = await serve(handle, limits=Limits(receive_buffer=BOUND))
    peers = [await raw(server) for _ in range(PEERS)]
    frame = Mti().encode(bytes(SIZE))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        sending = [asyncio.create_task(peer.send(frame[:-1])) for peer in peers]
        # One of them, at least, is sent all but its last byte.
        await within(asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED))
        for _ in range(100):
            await asyncio.sleep(0.001)
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # 64 KiB is what each may have besides; without a bound it is 8 MB.
    assert held < BOUND + PEERS * 2 * 64 * 1024
    assert arrived == 0
    pairs = zip(sending, peers, strict=True)
    await within(asyncio.gather(*(finish(task, peer, frame) for task, peer in pairs)))
    while arrived < PEERS:
        await asyncio.sleep(0)
    assert server.stats.faults == 0


async def finish(task: asyncio.Task[None], peer: Any, frame: bytes) -> None:
    await task
    await peer.send(frame[-1:])


async def test_a_message_above_the_bound_arrives_where_there_is_nobody_else(
    serve: Serve, connect: Connect, within: Within
) -> None:
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(arrived.put_nowait, limits=Limits(receive_buffer=1000))
    client = await connect(server)
    for _ in range(3):
        await client.send(bytes(SIZE))
        assert len((await within(arrived.get())).body) == SIZE


async def test_who_holds_room_and_does_not_go_on_is_cut_when_others_wait(
    serve: Serve, connect: Connect, raw: Raw, within: Within
) -> None:
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    gone: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        arrived.put_nowait,
        limits=Limits(receive_buffer=BOUND, message_timeout=4.0),
        on_error=gone.put_nowait,
    )
    holder = await raw(server)
    await holder.send(Mti().encode(bytes(SIZE))[:100_000])
    while not server.room._holders:
        await asyncio.sleep(0)
    good = await connect(server)
    begun = asyncio.get_running_loop().time()
    await good.send(bytes(SIZE))
    small = await connect(server)
    # What is small needs no room.
    await small.send(b"small")
    assert (await within(arrived.get())).body == b"small"
    error = await within(gone.get())
    assert isinstance(error, ConnectionLost)
    assert "others wait for room" in str(error)
    assert len((await within(arrived.get())).body) == SIZE
    assert asyncio.get_running_loop().time() - begun < 4.0
    assert good.stats.connected == 1


class Lines(Framing):
    """Lines of any length, which nobody knows before their end."""

    def encode(self, payload: Any, type_id: int | None = None) -> bytes:
        return bytes(payload) + b"\n"

    def cut(self, data: bytes, payloads: list[bytes], type_ids: list[int]) -> tuple[int, int]:
        *whole, _ = data.split(b"\n")
        payloads += whole
        used = sum(map(len, whole)) + len(whole)
        return used, len(data) - used + 1


async def test_messages_of_unknown_length_are_bounded_too_and_do_not_wait_for_each_other(
    serve: Serve, raw: Raw, within: Within
) -> None:
    arrived = 0
    faults: list[Any] = []

    def handle(message: StreamMessage[bytes]) -> None:
        nonlocal arrived
        arrived += 1

    server = await serve(
        handle, wire=Wire(Lines()), limits=Limits(receive_buffer=BOUND), on_error=faults.append
    )
    peers = [await raw(server) for _ in range(6)]
    sending = [asyncio.create_task(peer.send(b"x" * SIZE + b"\n")) for peer in peers]
    await within(asyncio.wait(sending))
    while arrived + len(faults) < 6:
        await asyncio.sleep(0)
    assert arrived >= 1
    assert all("found no room" in str(fault) for fault in faults)
