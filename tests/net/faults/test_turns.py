"""Nobody's messages hold the event loop, however long each of them takes."""

import asyncio
import socket
import time
from collections import Counter
from typing import Any

import pytest

from gestalt.codecs import Codec
from gestalt.net import DatagramEndpoint, Mti, Wire
from tests.net.faults.fixtures import Raw
from tests.net.fixtures import Connect, Serve, Within

SLOW = 0.01
COUNT = 60


class Ticks:
    """How often the event loop turns, and the longest time of ours that it took to."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.count = 0
        self._task = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest = max(self.longest, now - last)
            self.count += 1
            last = now

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


def hold(seconds: float = SLOW) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


class Slow:
    """Handlers that take their time without waiting."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self.order: list[bytes] = []
        self.done = asyncio.Event()

    def plain(self, message: Any) -> None:
        hold()
        self.note(message)

    async def asynchronous(self, message: Any) -> None:
        hold()
        self.note(message)

    def note(self, message: Any) -> None:
        self.order.append(message.body)
        self._left -= 1
        if not self._left:
            self.done.set()


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_a_read_of_many_messages_lets_others_run_and_keeps_their_order(
    serve: Serve, raw: Raw, within: Within, kind: str, concurrency: int
) -> None:
    slow = Slow(COUNT)
    server = await serve(getattr(slow, kind), concurrency=concurrency)
    peer = await raw(server)
    ticks = Ticks()
    bodies = [b"%d" % number for number in range(COUNT)]
    await peer.send(b"".join(map(Mti().encode, bodies)))
    await within(slow.done.wait())
    await ticks.stop()
    assert slow.order == bodies
    assert ticks.longest < COUNT * SLOW / 3
    assert ticks.count > COUNT / 2


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
async def test_datagrams_let_others_run(within: Within, kind: str) -> None:
    slow = Slow(COUNT)
    async with DatagramEndpoint(
        "udp://127.0.0.1:0", Wire(Mti()), on_message=getattr(slow, kind)
    ) as server:
        ticks = Ticks()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(COUNT):
                target = ("127.0.0.1", server.address.port)
                sock.sendto(Mti().encode(b"%d" % number), target)
        await within(slow.done.wait())
        await ticks.stop()
    assert ticks.longest < COUNT * SLOW / 3
    assert ticks.count > COUNT / 2


@pytest.mark.parametrize("reading", ["plain", "asynchronous", "iteration", "datagrams"])
async def test_frames_that_become_large_let_others_run(
    serve: Serve, connect: Connect, raw: Raw, within: Within, reading: str
) -> None:
    wire = Wire(Mti(), Codec("bytes", compress="deflate"))
    bomb = wire.encode(bytes(12 * 1024 * 1024), 1)
    assert wire.decode is not None
    begun = time.thread_time()
    wire.decode(bomb[8:], 1)
    one = time.thread_time() - begun
    count = 30
    arrived = 0

    def note(message: Any) -> None:
        nonlocal arrived
        arrived += 1

    async def note_later(message: Any) -> None:
        note(message)

    async def pour(peer: Any) -> None:
        for _ in range(count):
            peer.send_nowait(bomb[8:], 1)

    async def all_arrived() -> None:
        while arrived < count:
            await asyncio.sleep(0)

    if reading == "datagrams":
        async with DatagramEndpoint("udp://127.0.0.1:0", wire, on_message=note) as server:
            ticks = Ticks()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for _ in range(count):
                    sock.sendto(bomb, ("127.0.0.1", server.address.port))
            await within(all_arrived())
            await ticks.stop()
    elif reading == "iteration":
        server = await serve(note, wire=Wire(Mti()), on_connected=pour)
        client = await connect(server, wire=wire)
        await within(client.wait_connected())
        while not client._inbox._batches:
            await asyncio.sleep(0)
        ticks = Ticks()
        iteration = aiter(client)
        while arrived < count:
            note(await within(anext(iteration)))
        await ticks.stop()
    else:
        server = await serve(note if reading == "plain" else note_later, wire=wire)
        peer = await raw(server)
        ticks = Ticks()
        await peer.send(bomb * count)
        await within(all_arrived())
        await ticks.stop()
    assert ticks.longest < max(count * one / 3, 0.1)


async def test_many_peers_with_slow_messages_take_turns(
    serve: Serve, raw: Raw, within: Within
) -> None:
    """Each of them has its budget, but not each of them in every turn of the loop."""
    peers, messages = 8, 12
    slow = Slow(peers * messages)
    server = await serve(slow.plain)
    connected = [await raw(server) for _ in range(peers)]
    ticks = Ticks()
    for _ in range(messages):
        for peer in connected:
            await peer.send(Mti().encode(b"x"))
    await within(slow.done.wait())
    await ticks.stop()
    assert ticks.count > peers * messages / 4


async def test_a_peer_whose_messages_are_fast_again_is_handled_within_the_read_again(
    serve: Serve, raw: Raw, within: Within
) -> None:
    slow = Slow(COUNT + 3)

    def handle(message: Any) -> None:
        if message.body == b"slow":
            hold()
        slow.note(message)

    server = await serve(handle)
    peer = await raw(server)
    await peer.send(Mti().encode(b"slow") * COUNT)
    while len(slow.order) < COUNT:
        await asyncio.sleep(0)
    for number in range(3):
        await peer.send(Mti().encode(b"fast"))
        while len(slow.order) < COUNT + number + 1:
            await asyncio.sleep(0)
    await within(slow.done.wait())
    (worker,) = [each._link.worker for each in server.peers.values()]
    while worker is not None and worker is server.peers[1]._link.worker:
        await asyncio.sleep(0)
    assert server.peers[1]._link.worker is None


@pytest.mark.parametrize("size", [1, 20_000])
@pytest.mark.parametrize("kind", ["plain", "asynchronous", "decoding"])
async def test_peers_that_have_just_connected_do_not_hold_the_loop_one_after_the_other(
    kind: str, size: int, serve: Serve, within: Within
) -> None:
    """Twenty first messages that come in one turn are handled in turns of their own."""
    peers = 20
    # The clock is looked at where a read has several frames, or a large one.
    frames = Mti().encode(bytes(size)) * (2 if size == 1 else 1)
    slow = Slow(peers * (2 if size == 1 else 1))
    turns: Counter[int] = Counter()

    def plain(message: Any) -> None:
        turns[ticks.count] += 1
        slow.plain(message)

    async def asynchronous(message: Any) -> None:
        plain(message)

    def decoding(message: Any) -> Any:
        """Takes its time before there is anything to await, as decoding does."""
        turns[ticks.count] += 1
        hold()

        async def note() -> None:
            slow.note(message)

        return note()

    handlers = {"plain": plain, "asynchronous": asynchronous, "decoding": decoding}
    server = await serve(handlers[kind])
    there = (server.address.host, server.address.port)
    connected = [socket.create_connection(there) for _ in range(peers)]
    try:
        while len(server.peers) < peers:
            await asyncio.sleep(0)
        ticks = Ticks()
        for peer in connected:
            peer.sendall(frames)
        await within(slow.done.wait())
        await ticks.stop()
    finally:
        for peer in connected:
            peer.close()
    assert max(turns.values()) <= 4
    assert ticks.longest < peers * SLOW / 2


async def test_quick_peers_go_on_while_others_spend_each_turn(serve: Serve, within: Within) -> None:
    """What a turn that is spent leaves is handled in the next, however much of it there is."""
    slow_peers, quick_peers, rounds = 3, 30, 5
    server_done = asyncio.Event()
    left = slow_peers * rounds * 4 + quick_peers * rounds
    turns: list[int] = []

    def handle(message: Any) -> None:
        nonlocal left
        if len(message.body) > 1:
            hold()
        else:
            turns.append(ticks.count)
        left -= 1
        if not left:
            server_done.set()

    server = await serve(handle)
    there = (server.address.host, server.address.port)
    connected = [socket.create_connection(there) for _ in range(slow_peers + quick_peers)]
    try:
        while len(server.peers) < len(connected):
            await asyncio.sleep(0)
        ticks = Ticks()
        for _ in range(rounds):
            for peer in connected[:slow_peers]:
                peer.sendall(Mti().encode(b"slow") * 4)
            for peer in connected[slow_peers:]:
                peer.sendall(Mti().encode(b"q"))
        await within(server_done.wait())
        await ticks.stop()
    finally:
        for peer in connected:
            peer.close()
    # The quick ones are done long before the slow ones, which take a turn for each message.
    assert len(turns) == quick_peers * rounds
    assert max(turns) < slow_peers * rounds * 4 / 2
