"""Many messages to many peers by one call."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest

from gestalt.net import Limits, Mti, PayloadError, StreamMessage, Wire
from tests.net.fixtures import Connect, Serve, Within
from tests.support.waiting import until


def ignore(message: StreamMessage[bytes]) -> None:
    raise AssertionError("nobody sends to the server")


async def test_all_peers_get_all_of_them_in_order(
    serve: Serve, connect: Connect, within: Within
) -> None:
    server = await serve(ignore)
    received: list[list[bytes]] = [[], [], []]
    for each in received:
        await (
            await connect(server, on_message=lambda m, each=each: each.append(m.body))
        ).wait_connected()
    await until(lambda: len(server.peers) == 3)
    bodies = [b"%d" % number * 50 for number in range(10_000)]
    assert await within(server.broadcast_many(bodies, 7)) == 3
    assert await within(server.broadcast(b"last", 7)) == 3
    await until(lambda: all(each and each[-1] == b"last" for each in received))
    assert received == [[*bodies, b"last"]] * 3


@pytest.mark.parametrize("slow", ["wait", "drop", "disconnect"])
async def test_a_slow_peer_costs_the_others_nothing(
    serve: Serve, connect: Connect, within: Within, stack: AsyncExitStack, slow: str
) -> None:
    server = await serve(ignore, limits=Limits(stall_timeout=None))
    sock = stack.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((server.address.host, server.address.port))
    await until(lambda: server.peers)
    [lazy] = server.peers.values()
    received: list[bytes] = []
    client = await connect(server, on_message=lambda m: received.append(m.body))
    await client.wait_connected()
    await until(lambda: len(server.peers) == 2)
    # Until the system has no room for more.
    filling = asyncio.create_task(lazy.send_many([bytes(1000)] * 100_000, 7))
    await until(lambda: not _takes_more(server.broadcast, lazy) or filling.done())
    task = asyncio.create_task(server.broadcast_many([b"x"] * 100, 7, slow=slow))  # type: ignore[arg-type]
    await until(lambda: received.count(b"x") == 100)
    if slow == "wait":
        assert not task.done()
        lazy.abort()
    assert await within(task) == 1
    assert server.stats.dropped == (0 if slow == "wait" else 100)
    assert lazy.connected == (slow == "drop")
    lazy.abort()
    with pytest.raises(Exception, match="of 100000 messages"):
        await within(filling)


def _takes_more(_: object, peer: object) -> bool:
    try:
        peer.send_nowait(b"", 7)  # type: ignore[attr-defined]
    except BlockingIOError:
        return False
    return True


async def test_nobody_is_sent_any_when_one_of_them_cannot_be_sent(
    serve: Serve, connect: Connect, within: Within
) -> None:
    received: list[bytes] = []
    server = await serve(ignore, wire=Wire(Mti(max_size=10)))
    client = await connect(server, on_message=lambda m: received.append(m.body))
    await client.wait_connected()
    await until(lambda: server.peers)
    with pytest.raises(PayloadError, match="max_size, 10"):
        await server.broadcast_many([b"good"] * 1000 + [bytes(11)], 7)
    with pytest.raises(TypeError, match="several messages"):
        await server.broadcast_many(b"one", 7)
    with pytest.raises(ValueError, match="slow must be"):
        await server.broadcast_many([b"one"], 7, slow="never")  # type: ignore[arg-type]
    assert await server.broadcast_many([], 7) == 1
    assert await server.broadcast_many([b"one"], 7, to=[]) == 0
    assert await server.broadcast_many([b"two"], 7, to=server.peers.values()) == 1
    await until(lambda: received)
    assert received == [b"two"]
    for peer in server.peers.values():
        peer.abort()
    for slow in ("wait", "drop", "disconnect"):
        assert await server.broadcast_many([b"three"], 7, slow=slow) == 0
    assert server.stats.dropped == 0
