"""A hundred good peers go on undisturbed among bad ones."""

import asyncio
import random
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gestalt.codecs import Codec, DecodeError
from gestalt.net import (
    ConnectionLost,
    FrameTooLarge,
    FramingError,
    LimitExceeded,
    Limits,
    Mti,
    Netstring,
    StreamClient,
    StreamMessage,
    Wire,
)
from tests.net.faults.fixtures import Raw
from tests.net.fixtures import Connect, Serve, Within

GOOD = 100
BAD = 20
LIMITS = Limits(message_timeout=0.3, stall_timeout=0.3)
NETSTRING = Wire(Netstring(max_size=4096))
JSON = Wire(Mti(max_size=4096), Codec("json", compress="deflate"))


async def echo(message: StreamMessage[Any]) -> None:
    await message.reply(message.body)


async def garbage(peer: Any) -> None:
    await peer.send(random.Random(1).randbytes(4096))
    await peer.ended()


async def oversize(peer: Any) -> None:
    await peer.send(b"4097:")
    await peer.ended()


async def endless_header(peer: Any) -> None:
    await peer.send(b"1" * 4096)
    await peer.ended()


async def no_comma(peer: Any) -> None:
    await peer.send(b"5:hello," + b"5:hello.")
    assert await peer.receive(8) == b"5:hello,"
    await peer.ended()


async def no_json(peer: Any) -> None:
    await peer.send(struct.pack(">II", 6, 0) + b"\0{[}]{")
    await peer.ended()


async def bomb(peer: Any) -> None:
    # Says that it is compressed, and is not.
    await peer.send(struct.pack(">II", 5, 0) + b"\1zlib")
    await peer.ended()


async def slow_loris(peer: Any) -> None:
    """One byte now and then, so that it is never idle."""
    ended = asyncio.ensure_future(peer.ended())
    digits = iter(b"4096:" + bytes(4096))
    while not ended.done():
        try:
            await peer.send(bytes([next(digits)]))
        except ConnectionError:
            break
        await asyncio.wait([ended], timeout=0.05)
    await ended


async def never_reading(peer: Any) -> None:
    """Asks for replies and takes none of them."""
    try:
        while True:
            await peer.send(b"4096:%b," % bytes(4096) * 16)
    except ConnectionError:
        pass


@pytest.mark.parametrize(
    ("wire", "behaviour", "cause"),
    [
        (NETSTRING, garbage, FramingError),
        (NETSTRING, oversize, FrameTooLarge),
        (NETSTRING, endless_header, FrameTooLarge),
        (NETSTRING, no_comma, FramingError),
        (JSON, no_json, DecodeError),
        (JSON, bomb, DecodeError),
        (NETSTRING, slow_loris, LimitExceeded),
        (NETSTRING, never_reading, LimitExceeded),
    ],
)
async def test_bad_peers_are_closed_and_counted_and_good_ones_go_on(
    wire: Wire,
    behaviour: Callable[[Any], Coroutine[Any, Any, None]],
    cause: type[Exception],
    serve: Serve,
    connect: Connect,
    raw: Raw,
    within: Within,
) -> None:
    errors: list[ConnectionLost] = []
    server = await serve(echo, wire=wire, limits=LIMITS, on_error=errors.append)
    good = [await connect(server) for _ in range(GOOD)]
    for client in good:
        await within(client.wait_connected())
    bad = [await raw(server, receive_buffer=4096) for _ in range(BAD)]
    misbehaving = asyncio.gather(*(behaviour(peer) for peer in bad))

    async def talk(client: StreamClient) -> None:
        number = 0
        messages = aiter(client)
        while number < 20 or not misbehaving.done():
            body = f"{client!r} {number}"
            await client.send(body if wire is JSON else body.encode())
            message = await anext(messages)
            assert message.body == (body if wire is JSON else body.encode())
            number += 1
            # Often enough to be in the way of the others, and not to keep the machine busy.
            await asyncio.sleep(0.02)

    await within(asyncio.gather(*(talk(client) for client in good)), 30)
    await within(misbehaving)
    assert server.stats.connected == GOOD + BAD
    assert server.stats.faults == BAD
    assert [type(error) for error in errors] == [ConnectionLost] * BAD
    assert all(isinstance(error.__cause__, cause) for error in errors)
    assert len(server.peers) == GOOD
    assert server.stats.handler_errors == 0


async def test_a_peer_that_has_sent_everything_and_said_so_still_gets_its_replies(
    serve: Serve, raw: Raw, within: Within
) -> None:
    release = asyncio.Event()

    async def later(message: StreamMessage[bytes]) -> None:
        await release.wait()
        await message.reply(message.body)

    peer = await raw(await serve(later, wire=NETSTRING))
    await peer.send(b"1:a,1:b,1:c,")
    peer.socket.shutdown(1)
    await asyncio.sleep(0.01)
    release.set()
    assert await within(peer.receive(12)) == b"1:a,1:b,1:c,"
    await within(peer.ended())
