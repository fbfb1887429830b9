"""Endpoints that another thread uses: refused, with the way to do it right, and nothing is lost."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from gestalt.core import WrongThread
from gestalt.net import (
    DatagramEndpoint,
    Delimited,
    SendBufferFull,
    StreamClient,
    StreamMessage,
    StreamServer,
    Wire,
)
from tests.net.fixtures import Connect, Serve, Within

WIRE = Wire(Delimited())


async def elsewhere(function: Callable[[], Any]) -> Any:
    """Call a function in another thread; an awaitable that it returns is awaited there, too."""

    def work() -> Any:
        result = function()
        if hasattr(result, "__await__"):
            return asyncio.run(awaiting(result))
        return result

    return await asyncio.to_thread(work)


async def awaiting(awaitable: Any) -> Any:
    return await awaitable


async def refused(function: Callable[[], Any]) -> str:
    with pytest.raises(WrongThread) as caught:
        await elsewhere(function)
    return str(caught.value)


async def test_whatever_another_thread_asks_of_a_stream_is_refused(
    serve: Serve, connect: Connect, within: Within
) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    messages: list[StreamMessage[bytes]] = []

    def take(message: StreamMessage[bytes]) -> None:
        messages.append(message)
        got.put_nowait(message.body)

    server: StreamServer = await serve(take, wire=WIRE)
    client: StreamClient = await connect(server)
    await client.send(b"first")
    assert await within(got.get()) == b"first"
    (peer,) = server.peers.values()
    for use in (
        lambda: client.send(b"x"),
        lambda: client.send_nowait(b"x"),
        lambda: client.wait_connected(),
        lambda: peer.send(b"x"),
        lambda: peer.send_nowait(b"x"),
        lambda: peer.close(),
        lambda: peer.abort(),
        lambda: messages[0].reply(b"x"),
        lambda: server.send(peer.id, b"x"),
        lambda: server.broadcast(b"x"),
        lambda: server.broadcast(b"x", slow="drop"),
    ):
        text = await refused(use)
        assert "loop.call_soon_threadsafe" in text
        assert "asyncio.run_coroutine_threadsafe" in text
    # Nothing of it was done.
    await client.send(b"last")
    assert await within(got.get()) == b"last"
    await peer.send(b"answer")
    async for message in client:
        assert message.body == b"answer"
        break


async def test_a_client_without_a_connection_refuses_other_threads_too() -> None:
    async with StreamClient("tcp://127.0.0.1:9", WIRE, on_error=lambda _: None) as client:
        await refused(lambda: client.send(b"x"))
        await refused(lambda: client.send_nowait(b"x"))
        await refused(lambda: client.wait_connected())


async def test_a_full_buffer_is_no_reason_to_let_another_thread_flush_it(
    serve: Serve, connect: Connect, within: Within
) -> None:
    begun, let = asyncio.Event(), asyncio.Event()

    async def slow(message: StreamMessage[bytes]) -> None:
        begun.set()
        await let.wait()

    server = await serve(slow, wire=WIRE)
    client = await connect(server)
    await within(client.wait_connected())
    with suppress(SendBufferFull):
        while True:
            client.send_nowait(b"x" * 100_000)
    await within(begun.wait())
    await refused(lambda: client.send_nowait(b"x"))
    await refused(lambda: client.send(b"x"))
    let.set()


async def test_the_ways_that_the_error_names_work(
    serve: Serve, connect: Connect, within: Within
) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    server = await serve(lambda message: got.put_nowait(message.body), wire=WIRE)
    client = await connect(server)
    await within(client.wait_connected())
    loop = asyncio.get_running_loop()

    async def send(body: bytes) -> None:
        await client.send(body)

    def sensor() -> None:
        for number in range(500):
            loop.call_soon_threadsafe(client.send_nowait, b"%d" % number)
            asyncio.run_coroutine_threadsafe(send(b"%d" % -number), loop).result(10)

    await within(asyncio.gather(*(asyncio.to_thread(sensor) for _ in range(3))))
    bodies = sorted([int(await within(got.get())) for _ in range(3000)])
    assert bodies == sorted([sign * number for number in range(500) for sign in (1, -1)] * 3)


async def test_a_send_that_is_handed_to_the_loop_from_another_thread_is_done_there(
    serve: Serve, connect: Connect, within: Within
) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    server: StreamServer = await serve(lambda message: got.put_nowait(message.body), wire=WIRE)
    client: StreamClient = await connect(server)
    await within(client.wait_connected())
    loop = asyncio.get_running_loop()

    async with (
        DatagramEndpoint(
            "udp://127.0.0.1:0", WIRE, on_message=lambda message: got.put_nowait(message.body)
        ) as receiver,
        DatagramEndpoint(None, WIRE, peer=receiver.address) as sender,
    ):

        def sensor() -> None:
            for number in range(200):
                asyncio.run_coroutine_threadsafe(client.send(b"%d" % number), loop).result(10)
                asyncio.run_coroutine_threadsafe(sender.send(b"%d" % -number), loop).result(10)

        await within(asyncio.to_thread(sensor))
        bodies = sorted([int(await within(got.get())) for _ in range(400)])
    assert bodies == sorted([sign * number for number in range(200) for sign in (1, -1)])


async def test_threads_that_send_all_the_same_lose_and_double_nothing(
    serve: Serve, connect: Connect, within: Within
) -> None:
    """What is let through, since it met the loop in the midst of sending, arrives once."""
    got: list[bytes] = []
    last = asyncio.Event()

    def take(message: StreamMessage[bytes]) -> None:
        if message.body == b"last":
            last.set()
        else:
            got.append(message.body)

    server = await serve(take, wire=WIRE)
    client = await connect(server)
    await within(client.wait_connected())
    accepted: list[bytes] = []
    stop = threading.Event()

    def flood(name: int) -> None:
        number = 0
        while not stop.is_set():
            body = b"%d:%d" % (name, number)
            number += 1
            with suppress(WrongThread, SendBufferFull):
                client.send_nowait(body)
                accepted.append(body)

    floods = [asyncio.to_thread(flood, name) for name in range(2)]
    running = asyncio.gather(*floods)
    # Every turn of the loop waits until the threads give up the interpreter, 5 ms each or more.
    for number in range(20_000):
        body = b"own:%d" % number
        await client.send(body)
        accepted.append(body)
        if not number % 200:
            await asyncio.sleep(0)
    stop.set()
    await within(running)
    # The latest may not have left: it leaves with the next data that comes.
    await server.broadcast(b"tick")
    async for _ in client:
        break
    await client.send(b"last")
    await within(last.wait())
    assert sorted(got) == sorted(accepted)


@pytest.mark.parametrize("size", [70_000, 900_000])
async def test_a_thread_that_meets_the_loop_in_the_midst_of_sending_cannot_fill_its_buffer(
    size: int, serve: Serve, connect: Connect, within: Within
) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    server = await serve(lambda message: got.put_nowait(message.body), wire=WIRE)
    client = await connect(server)
    await within(client.wait_connected())
    await client.send(b"first of this turn")

    def send() -> None:
        for use in (client.send_nowait, lambda body: asyncio.run(awaiting(client.send(body)))):
            with pytest.raises(WrongThread):
                use(bytes(size))

    sending = threading.Thread(target=send)
    sending.start()
    sending.join(10)
    await client.send(b"last of this turn")
    assert await within(got.get()) == b"first of this turn"
    assert await within(got.get()) == b"last of this turn"


async def test_whatever_another_thread_asks_of_a_datagram_endpoint_is_refused(
    within: Within,
) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    messages: list[Any] = []

    def take(message: Any) -> None:
        messages.append(message)
        got.put_nowait(message.body)

    async with (
        DatagramEndpoint("udp://127.0.0.1:0", WIRE, on_message=take) as receiver,
        DatagramEndpoint(None, WIRE, peer=receiver.address) as sender,
    ):
        await sender.send(b"first")
        assert await within(got.get()) == b"first"

        async def batch() -> None:
            async with sender.batch() as batch:
                await batch.send(b"x")

        for use in (
            lambda: sender.send(b"x"),
            lambda: sender.send_nowait(b"x"),
            lambda: sender.send(b"x", to=receiver.address),
            lambda: batch(),
            lambda: messages[0].reply(b"x"),
            lambda: sender.join("239.1.2.3"),
            lambda: sender.resolve("udp://localhost:9"),
        ):
            assert "loop.call_soon_threadsafe" in await refused(use)
        assert sender.stats.sent == 1
        await sender.send(b"last")
        assert await within(got.get()) == b"last"


async def test_a_read_in_another_thread_is_refused_and_takes_nothing_from_others(
    serve: Serve, connect: Connect, within: Within
) -> None:
    async def echo(message: StreamMessage[bytes]) -> None:
        await message.reply(message.body)

    client: StreamClient = await connect(await serve(echo, wire=WIRE))
    async with DatagramEndpoint("udp://127.0.0.1:0", WIRE) as endpoint:
        own = DatagramEndpoint(None, WIRE, peer=endpoint.address)
        async with own:
            for reader, send in ((client, client.send), (endpoint, own.send)):
                assert "another thread" in await refused(lambda: anext(aiter(reader)))  # noqa: B023
                await send(b"for us")
                message = await within(anext(aiter(reader)))
                assert message.body == b"for us"
