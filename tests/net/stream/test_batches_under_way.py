"""Batches that are being handled: how many, for how long, and how they end."""

import asyncio
import socket
import time

import pytest

from gestalt.codecs import Codec
from gestalt.core.metrics import measure
from gestalt.net import (
    HandlerError,
    Limits,
    SendBufferFull,
    StreamBatch,
    StreamClient,
    Wire,
)
from gestalt.net.batch import MOST
from tests.net.fixtures import Connect, Serve, Within
from tests.support.waiting import until

from .batches import MTI, Received, frames, write


async def test_a_slow_handler_slows_its_own_peer_and_memory_stays_bounded(
    serve: Serve, connect: Connect, within: Within
) -> None:
    release = asyncio.Event()
    received = Received()

    async def handle(batch: StreamBatch[bytes]) -> None:
        received.take(batch)
        await release.wait()

    server = await serve(on_messages=handle, limits=Limits(stall_timeout=None))
    client = await connect(server, limits=Limits(stall_timeout=None))
    sending = asyncio.create_task(client.send_many([b"x" * 1000] * 100_000))
    await until(lambda: received.batches and not _takes_more(client))
    assert not sending.done()
    assert len(received.batches) == 1
    other = await connect(server)
    await within(other.send(b"other"))
    await until(lambda: len(received.batches) == 2)
    release.set()
    await within(sending)
    await until(lambda: sum(map(bool, received.bodies)) == 100_001)


def _takes_more(client: StreamClient) -> bool:
    try:
        client.send_nowait(b"")
    except SendBufferFull:
        return False
    return True


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_concurrency_is_that_of_batches(
    serve: Serve, within: Within, concurrency: int
) -> None:
    release = asyncio.Event()
    under_way: list[int] = []
    most = 0
    received = Received()

    async def handle(batch: StreamBatch[bytes]) -> None:
        nonlocal most
        under_way.append(len(batch))
        most = max(most, len(under_way))
        await release.wait()
        under_way.pop()
        received.take(batch)

    server = await serve(on_messages=handle, concurrency=concurrency, **received.options())
    writing = asyncio.create_task(write(server, MTI.encode(b"") * 4 * MOST))
    await until(lambda: len(under_way) == concurrency)
    [in_flight] = [m for m in measure(server) if m.name == "in_flight"]
    assert in_flight.value == sum(under_way)
    release.set()
    await within(writing)
    await within(received.gone.wait())
    assert len(received.bodies) == 4 * MOST
    assert most == concurrency


async def test_a_stop_handles_what_has_come_and_answers_it(serve: Serve, within: Within) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def answer(batch: StreamBatch[bytes]) -> None:
        begun.set()
        await release.wait()
        await batch.reply_many(batch.bodies, 9)

    server = await serve(on_messages=answer)
    writing = asyncio.create_task(write(server, frames(2000), end=False))
    await within(begun.wait())
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    release.set()
    await within(stopping)
    replies = list(MTI.decoder().feed(await within(writing)))
    # What the server had not read when it stopped is not answered.
    assert replies == [(b"%d" % n, 9) for n in range(len(replies))]
    assert replies


async def test_a_stop_that_is_cut_ends_handlers_that_hang(serve: Serve, within: Within) -> None:
    begun = asyncio.Event()
    received = Received()

    async def hang(batch: StreamBatch[bytes]) -> None:
        begun.set()
        await asyncio.Event().wait()

    server = await serve(on_messages=hang, stop_timeout=0.05, **received.options())
    writing = asyncio.create_task(write(server, frames(10), end=False))
    await within(begun.wait())
    await within(server.stop())
    await within(writing)
    assert received.errors == []


async def test_who_cancels_a_handler_costs_its_batch_and_not_the_handling(
    serve: Serve, connect: Connect, within: Within
) -> None:
    received = Received()

    async def handle(batch: StreamBatch[bytes]) -> None:
        await asyncio.sleep(0)
        if batch.bodies[0] == b"cancel":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        received.take(batch)

    server = await serve(on_messages=handle, on_error=received.errors.append)
    client = await connect(server)
    await client.send(b"cancel")
    await until(lambda: received.errors)
    await client.send(b"later")
    await until(lambda: received.bodies == [b"later"])
    assert isinstance(received.errors[0], HandlerError)
    assert received.errors[0].batch is not None


async def test_plain_handlers_that_take_long_give_way_to_others(
    serve: Serve, connect: Connect, within: Within
) -> None:
    received = Received()
    ticks: list[float] = []

    def slow(batch: StreamBatch[bytes]) -> None:
        time.sleep(0.006)
        received.take(batch)

    server = await serve(on_messages=slow, **received.options())
    loop = asyncio.get_running_loop()

    def tick() -> None:
        ticks.append(len(received.batches))
        if not received.gone.is_set():
            loop.call_soon(tick)

    tick()
    await within(write(server, MTI.encode(b"") * 6 * MOST))
    await within(received.gone.wait())
    assert len(received.bodies) == 6 * MOST
    # The loop has had its turn between any two batches.
    assert set(range(len(received.batches))) <= set(ticks)


async def test_who_comes_in_a_turn_that_is_used_up_waits_for_the_next(
    serve: Serve, within: Within
) -> None:
    received = Received()
    loop = asyncio.get_running_loop()
    calls: list[bool] = []

    def handle(batch: StreamBatch[bytes]) -> None:
        calls.append(asyncio.current_task() is None)
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass
        received.take(batch)

    server = await serve(on_messages=handle)
    with socket.socket() as one, socket.socket() as two:
        for sock in (one, two):
            sock.setblocking(False)
            await loop.sock_connect(sock, (server.address.host, server.address.port))
        await until(lambda: len(server.peers) == 2)
        for sock in (one, two):
            assert sock.send(MTI.encode(b"at once"))
        await until(lambda: len(received.bodies) == 2)
    # The first one within its read, the other one by a task.
    assert calls == [True, False]


async def test_a_compressed_batch_ends_before_it_becomes_large(
    serve: Serve, connect: Connect, within: Within
) -> None:
    codec = Codec("json", compress="zstd" if _has_zstd() else "deflate", min_size=100)
    received = Received()
    server = await serve(on_messages=received.take, wire=Wire(MTI, codec))
    client = await connect(server)
    bodies = ["x" * 100_000] * 40 + ["small"] * 40
    await within(client.send_many(bodies))
    await until(lambda: len(received.bodies) == 80)
    assert received.bodies == bodies
    assert max(len("".join(batch.bodies)) for batch in received.batches) <= 400_000


def _has_zstd() -> bool:
    try:
        Codec("json", compress="zstd")
    except Exception:
        return False
    return True
