"""Several readers, and reads that were given up."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from gestalt.codecs import Codec
from gestalt.core import StateError
from gestalt.net import DatagramEndpoint, Delimited, Mti, StreamClient, StreamMessage, Wire
from tests.net.fixtures import Connect, Serve, Within


async def echo(message: StreamMessage[bytes]) -> None:
    await message.reply(message.body)


@pytest_asyncio.fixture(params=["stream", "datagrams"])
async def reader(
    request: pytest.FixtureRequest, serve: Serve, connect: Connect, stack: AsyncExitStack
) -> Any:
    """What receives what it sends."""
    if request.param == "stream":
        return await connect(await serve(echo))
    wire = Wire(Mti())
    server = await stack.enter_async_context(
        DatagramEndpoint("udp://127.0.0.1:0", wire, on_message=echo)
    )
    return await stack.enter_async_context(DatagramEndpoint(None, wire, peer=server.address))


async def body_of(read: Any) -> bytes:
    return bytes((await read).body)


@pytest.mark.parametrize("shared", [True, False])
async def test_each_of_several_readers_gets_a_message(
    reader: Any, within: Within, shared: bool
) -> None:
    iteration = aiter(reader)
    reads = [
        asyncio.create_task(body_of(anext(iteration if shared else aiter(reader))))
        for _ in range(20)
    ]
    for number in range(20):
        await reader.send(b"%d" % number)
    assert set(await within(asyncio.gather(*reads))) == {b"%d" % number for number in range(20)}


async def test_readers_that_wait_when_it_stops_all_end(reader: Any, within: Within) -> None:
    async def read() -> int:
        return len([message async for message in reader])

    reads = [asyncio.create_task(read()) for _ in range(5)]
    await asyncio.sleep(0)
    await within(reader.stop())
    assert await within(asyncio.gather(*reads)) == [0] * 5


async def test_reading_goes_on_after_a_read_that_timed_out_and_nothing_is_lost(
    reader: Any, within: Within
) -> None:
    iteration = aiter(reader)
    for number in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(iteration), 0.01)
        await reader.send(b"%d" % number)
        assert await within(body_of(anext(iteration))) == b"%d" % number


async def test_a_reader_that_is_cancelled_as_it_is_woken_passes_its_message_on(
    reader: Any, within: Within
) -> None:
    for number in range(50):
        first = asyncio.create_task(body_of(anext(aiter(reader))))
        second = asyncio.create_task(body_of(anext(aiter(reader))))
        await asyncio.sleep(0)
        await reader.send(b"%d" % number)
        for _ in range(number % 7):
            await asyncio.sleep(0)
        first.cancel()
        taken = await asyncio.gather(first, return_exceptions=True)
        if not isinstance(taken[0], asyncio.CancelledError):
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
            assert taken == [b"%d" % number]
        else:
            assert await within(second) == b"%d" % number


async def test_reading_begins_with_the_start(reader: Any) -> None:
    new = StreamClient("tcp://127.0.0.1:1", Wire(Mti()))
    with pytest.raises(StateError, match="before it is started"):
        aiter(new)


@pytest.mark.parametrize("codec", [None, Codec("text", compress="deflate")])
async def test_a_reader_that_never_waits_lets_others_run(
    serve: Serve, connect: Connect, within: Within, codec: Codec | None
) -> None:
    wire = Wire(Delimited() if codec is None else Mti(), codec)
    release = asyncio.Event()
    count = 2_000

    async def flood(message: StreamMessage[Any]) -> None:
        await release.wait()
        for _ in range(count):
            await message.reply(message.body)

    client = await connect(await serve(flood, wire=wire))
    iteration = aiter(client)
    await client.send("x" if codec else b"x")
    release.set()
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for _ in range(count):
        await within(anext(iteration))
        # Work that does not wait.
        until = loop.time() + 0.0002
        while loop.time() < until:
            pass
    counting.cancel()
    # No stretch of it is much longer than the budget of 5 ms.
    assert turns > (loop.time() - begun) / 0.05
