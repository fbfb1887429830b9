"""Tasks of ours that somebody else cancels: it costs a message at most."""

import asyncio
import gc
import socket
from contextlib import suppress
from typing import Any

import pytest

from gestalt.core import Backoff, State
from gestalt.net import DatagramEndpoint, HandlerError, Raw, StreamMessage, Wire
from tests.net.fixtures import DEADLINE, Connect, Serve, Within


def tasks_of(what: str) -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if what in task.get_name()]


def cancel(what: str) -> int:
    tasks = tasks_of(what)
    for task in tasks:
        task.cancel()
    return len(tasks)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("when", ["handling", "waiting"])
async def test_a_handlers_task_that_is_cancelled_is_replaced(
    serve: Serve, connect: Connect, within: Within, concurrency: int, when: str
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    begun: asyncio.Queue[None] = asyncio.Queue()

    async def handle(message: StreamMessage[bytes]) -> None:
        if message.body == b"hang":
            begun.put_nowait(None)
            await asyncio.Event().wait()
        await message.reply(message.body)

    server = await serve(handle, concurrency=concurrency, on_error=errors.put_nowait)
    client = await connect(server)
    replies = aiter(client)
    for number in range(5):
        if when == "handling":
            for _ in range(concurrency):
                await client.send(b"hang")
            for _ in range(concurrency):
                await within(begun.get())
        await client.send(b"%d" % number)
        if when == "waiting":
            assert (await within(anext(replies))).body == b"%d" % number
        assert cancel("handler of") >= 1
        if when == "handling":
            for _ in range(concurrency):
                error = await within(errors.get())
                assert isinstance(error, HandlerError)
                assert isinstance(error.__cause__, asyncio.CancelledError)
                assert error.message is not None
                assert error.message.body == b"hang"
            assert (await within(anext(replies))).body == b"%d" % number
    assert server.stats.connected == 1
    assert errors.empty()
    await within(server.stop())
    assert server.state is State.STOPPED


async def test_a_handler_that_cancels_its_own_task_costs_its_message_only(
    serve: Serve, connect: Connect, within: Within
) -> None:
    async def handle(message: StreamMessage[bytes]) -> None:
        if message.body == b"cancel":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        await message.reply(message.body)

    client = await connect(await serve(handle, on_error=lambda error: None))
    replies = aiter(client)
    for number in range(5):
        await client.send(b"cancel")
        await client.send(b"%d" % number)
        assert (await within(anext(replies))).body == b"%d" % number


async def test_tasks_cancelled_in_any_turn_lose_one_message_each_at_most(
    serve: Serve, connect: Connect, within: Within
) -> None:
    failed = handled = 0
    total = 400

    def on_error(error: Any) -> None:
        nonlocal failed
        failed += 1

    async def handle(message: StreamMessage[bytes]) -> None:
        nonlocal handled
        await asyncio.sleep(0)
        handled += 1

    server = await serve(handle, on_error=on_error)
    client = await connect(server)
    cancelled = 0
    for number in range(total):
        await client.send(b"x")
        for _ in range(number % 4):
            await asyncio.sleep(0)
        cancelled += cancel("handler of")
    while handled + failed < total:
        await asyncio.sleep(0)
    assert handled + failed == total
    assert 0 < failed <= cancelled
    # Nothing that a handler returned was forgotten.
    gc.collect()


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_task_of_a_datagram_endpoint_that_is_cancelled_is_replaced(
    within: Within, concurrency: int
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    begun = asyncio.Event()
    handled: asyncio.Queue[bytes] = asyncio.Queue()

    async def handle(message: Any) -> None:
        if message.body == b"hang":
            begun.set()
            await asyncio.Event().wait()
        handled.put_nowait(message.body)

    async with (
        DatagramEndpoint(
            "udp://127.0.0.1:0",
            Wire(Raw()),
            on_message=handle,
            on_error=errors.put_nowait,
            concurrency=concurrency,
        ) as server,
        DatagramEndpoint(None, Wire(Raw()), peer=server.address) as client,
    ):
        for number in range(5):
            begun.clear()
            await client.send(b"hang")
            await within(begun.wait())
            assert cancel("DatagramEndpoint handler") >= 1
            assert isinstance((await within(errors.get())).__cause__, asyncio.CancelledError)
            await client.send(b"%d" % number)
            assert await within(handled.get()) == b"%d" % number
        assert server.state is State.RUNNING


async def test_a_client_connects_again_after_its_task_was_cancelled(
    serve: Serve, connect: Connect, within: Within
) -> None:
    server = await serve(lambda message: None)
    client = await connect(server, backoff=Backoff(initial=0.001, maximum=0.01))
    for number in range(1, 4):
        peer = await within(client.wait_connected())
        assert client.stats.connected == number
        assert cancel("StreamClient connection") == 1
        await asyncio.sleep(0)
        peer.abort()
        while peer.connected or client.peer is peer:
            await asyncio.sleep(0)
    await within(client.stop())
    assert client.state is State.STOPPED


async def test_a_connection_whose_task_is_cancelled_before_it_begins_is_closed(
    serve: Serve, within: Within
) -> None:
    server = await serve(lambda message: None)
    with socket.socket() as sock:
        sock.setblocking(False)
        with suppress(BlockingIOError):
            sock.connect((server.address.host, server.address.port))
        # In the turn of the accept, the task is made; in the next one, this comes before it.
        async with asyncio.timeout(DEADLINE):
            while not cancel("connection of"):
                await asyncio.sleep(0)
        assert await within(asyncio.get_running_loop().sock_recv(sock, 1)) == b""
    assert server.stats.connected == 0
