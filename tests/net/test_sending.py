"""What `send` takes, and when it lets others run."""

import asyncio
from typing import Any

import pytest

from gestalt.net import Limits, Mti, PayloadError, StreamMessage, Wire


@pytest.mark.parametrize("send_buffer", [500, 64 * 1024, 4 * 1024 * 1024])
async def test_a_body_above_the_limit_of_the_framing_is_refused_by_either_end(
    serve: Any, connect: Any, within: Any, send_buffer: int
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
    serve: Any, connect: Any, within: Any, size: int
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
