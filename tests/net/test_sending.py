"""What `send` takes, and when it lets others run."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from gestalt.net import (
    DatagramEndpoint,
    Limits,
    Mti,
    PayloadError,
    Raw,
    StreamMessage,
    Wire,
)
from tests.net.fixtures import Connect, Serve, Within


@pytest.mark.parametrize("send_buffer", [500, 64 * 1024, 4 * 1024 * 1024])
async def test_a_body_above_the_limit_of_the_framing_is_refused_by_either_end(
    serve: Serve, connect: Connect, within: Within, send_buffer: int
) -> None:
    """However much may wait to be sent."""
    wire = Wire(Mti(max_size=1000))
    limits = Limits(send_buffer=send_buffer)
    answered: asyncio.Queue[Any] = asyncio.Queue()

    def answer(message: StreamMessage[bytes]) -> None:
        with pytest.raises(PayloadError, match="1001 bytes"):
            message.peer.send_nowait(message.body + b"x")
        message.peer.send_nowait(message.body)

    server = await serve(answer, wire=wire, limits=limits)
    client = await connect(server, wire=wire, limits=limits, on_message=answered.put_nowait)
    with pytest.raises(PayloadError, match="1001 bytes"):
        await client.send(b"x" * 1001)
    await client.send(b"x" * 1000)
    assert len((await within(answered.get())).body) == 1000


@pytest.mark.parametrize("size", [0, 1, 100])
async def test_a_sender_of_small_messages_lets_others_run(
    serve: Serve, connect: Connect, within: Within, size: int
) -> None:
    arrived = turns = 0

    def count(message: StreamMessage[bytes]) -> None:
        nonlocal arrived
        arrived += 1

    async def count_turns() -> None:
        nonlocal turns
        while arrived < 50_000:
            turns += 1
            await asyncio.sleep(0)

    client = await connect(await serve(count))
    await within(client.wait_connected())
    counting = asyncio.create_task(count_turns())
    for _ in range(50_000):
        await client.send(bytes(size))
    # No more than the send buffer of 64 KiB is gathered in one turn.
    assert turns >= 50_000 * (size + 8) // (64 * 1024) - 1
    await within(counting)


@pytest_asyncio.fixture(params=["client", "peer", "server", "datagrams", "reply", "batch"])
async def sending(
    request: pytest.FixtureRequest, serve: Serve, connect: Connect, stack: AsyncExitStack
) -> Any:
    """A method that sends, and what has arrived."""
    arrived: list[bytes] = []
    kind = request.param

    def note(message: Any) -> None:
        arrived.append(message.body)

    if kind in ("datagrams", "batch"):
        wire = Wire(Raw())
        receiver = await stack.enter_async_context(
            DatagramEndpoint("udp://127.0.0.1:0", wire, on_message=note)
        )
        sender = await stack.enter_async_context(
            DatagramEndpoint(None, wire, peer=receiver.address)
        )
        if kind == "datagrams":
            return sender.send, arrived
        return (await stack.enter_async_context(sender.batch())).send, arrived
    if kind == "client":
        client = await connect(await serve(note))
        await client.wait_connected()
        # From the second message of a turn on, another way is taken.
        await client.send(b"warm")
        return client.send, arrived
    peers: asyncio.Queue[Any] = asyncio.Queue()
    messages: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(messages.put_nowait, on_connected=peers.put_nowait)
    client = await connect(server, on_message=note)
    peer = await peers.get()
    if kind == "peer":
        return peer.send, arrived
    if kind == "server":
        return lambda body: server.send(peer.id, body), arrived
    await client.send(b"question")
    return (await messages.get()).reply, arrived


async def test_what_send_returns_is_scheduled_as_any_coroutine_is(
    sending: Any, within: Within
) -> None:
    send, arrived = sending
    loop = asyncio.get_running_loop()
    await send(b"awaited")
    await within(asyncio.create_task(send(b"task")))
    async with asyncio.TaskGroup() as group:
        group.create_task(send(b"group"))
    await within(asyncio.gather(send(b"gathered"), send(b"gathered")))
    await asyncio.wait_for(send(b"in time"), 5)
    await within(asyncio.ensure_future(send(b"ensured")))
    await within(asyncio.shield(send(b"shielded")))
    await within(asyncio.wrap_future(asyncio.run_coroutine_threadsafe(send(b"safe"), loop)))
    task: asyncio.Task[None] = asyncio.Task(send(b"a task's repr"), loop=loop)
    repr(task)
    await within(task)
    expected = {b"awaited", b"task", b"group", b"gathered", b"in time", b"ensured", b"shielded"}
    while not expected | {b"safe"} <= set(arrived):
        # A batch waits for others of its size.
        await send(b"more")
        await asyncio.sleep(0.001)
    assert arrived.count(b"gathered") == 2


async def test_what_send_returns_behaves_as_a_finished_coroutine(sending: Any) -> None:
    send, _ = sending
    sent = send(b"x")
    assert asyncio.iscoroutine(sent)
    with pytest.raises(StopIteration):
        sent.send(None)
    other = send(b"y")
    with pytest.raises(LookupError):
        other.throw(LookupError("thrown in"))
    other.close()


async def test_what_an_async_handler_sends_leaves_before_the_next_turn(
    serve: Serve, connect: Connect, within: Within
) -> None:
    sent: list[int] = []

    async def answer(message: StreamMessage[bytes]) -> None:
        # It runs before what is scheduled by sending.
        asyncio.get_running_loop().call_soon(lambda: sent.append(server.stats.sent))
        await message.reply(message.body)
        await message.reply(message.body)

    answered: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(answer)
    client = await connect(server, on_message=answered.put_nowait)
    for _ in range(3):
        await client.send(b"x")
        await within(answered.get())
        await within(answered.get())
    assert sent == [2, 4, 6]


async def test_what_was_sent_leaves_as_soon_as_a_message_is_waited_for(
    serve: Serve, connect: Connect, within: Within
) -> None:
    sent: list[int] = []
    client = await connect(await serve(lambda message: message.peer.send_nowait(message.body)))
    await within(client.wait_connected())
    messages = aiter(client)
    for number in range(3):
        asyncio.get_running_loop().call_soon(lambda: sent.append(client.stats.sent))
        await client.send(b"%d" % number)
        # Without a task of its own, and so without another turn.
        assert (await anext(messages)).body == b"%d" % number
    assert sent == [1, 2, 3]
