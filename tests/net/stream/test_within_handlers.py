"""What plain handlers do to the connection whose read calls them."""

import asyncio
import contextlib
import math
import socket

import pytest

from gestalt.net import ConnectionLost, HandlerError, Limits, Mti, Peer, StreamMessage, StreamServer
from gestalt.net.stream import handling
from tests.net.fixtures import Serve, Within

REQUESTS = 50
MTI = Mti()
BATCH = b"".join(MTI.encode(b"%d" % number, 7) for number in range(REQUESTS))


@pytest.fixture(autouse=True)
def one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a read brings is handled in one turn, however long a busy machine takes."""
    monkeypatch.setattr(handling, "BUDGET", math.inf)


def bodies(data: bytes) -> list[bytes]:
    return [payload for payload, _ in MTI.decoder().feed(data)]


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def ask(server: StreamServer) -> socket.socket:
    """A bare socket that has sent a batch, which one read takes."""
    sock = socket.socket()
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(sock, (server.address.host, server.address.port))
        await loop.sock_sendall(sock, BATCH)
    except BaseException:
        sock.close()
        raise
    return sock


async def rest_of(sock: socket.socket) -> bytes:
    """What comes until the other end has closed."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    while piece := await loop.sock_recv(sock, 65536):
        data += piece
    return bytes(data)


async def test_replies_leave_with_the_read_that_brought_the_requests(
    serve: Serve, within: Within
) -> None:
    loop = asyncio.get_running_loop()
    found: asyncio.Future[bytes] = loop.create_future()
    handled = 0

    def look() -> None:
        try:
            found.set_result(sock.recv(65536))
        except BlockingIOError:
            found.set_result(b"")

    def handle(message: StreamMessage[bytes]) -> None:
        nonlocal handled
        if not handled:
            # Whatever the replies may call soon comes after this.
            loop.call_soon(look)
        handled += 1
        message.peer.send_nowait(message.body)

    with await ask(await serve(handle)) as sock:
        assert bodies(await within(found)) == numbers(REQUESTS)
        assert handled == REQUESTS


async def test_replies_beyond_the_mark_leave_while_the_handler_runs(
    serve: Serve, within: Within
) -> None:
    errors: list[Exception] = []
    last = b"%d" % (REQUESTS - 1)

    def handle(message: StreamMessage[bytes]) -> None:
        message.peer.send_nowait(message.body)
        if message.body == last:
            closing.append(asyncio.ensure_future(message.peer.close()))

    closing: list[asyncio.Task[None]] = []
    server = await serve(handle, on_error=errors.append, limits=Limits(send_buffer=40))
    with await ask(server) as sock:
        assert bodies(await within(rest_of(sock))) == numbers(REQUESTS)
    await within(closing[0])
    assert errors == []


async def test_a_handler_may_abort_its_own_peer_in_the_midst_of_a_read(
    serve: Serve, within: Within
) -> None:
    errors: list[Exception] = []
    gone: asyncio.Queue[tuple[Peer, ConnectionLost | None]] = asyncio.Queue()
    handled: list[bytes] = []

    def handle(message: StreamMessage[bytes]) -> None:
        handled.append(message.body)
        if message.body == b"3":
            message.peer.abort()
        # From then on, this raises; who left is not the handler's error.
        message.peer.send_nowait(message.body)

    server = await serve(
        handle,
        on_error=errors.append,
        on_disconnected=lambda peer, error: gone.put_nowait((peer, error)),
    )
    with await ask(server) as sock:
        peer, error = await within(gone.get())
        # What had arrived is handled, and what was not sent any more is told.
        assert handled == numbers(REQUESTS)
        assert isinstance(error, ConnectionLost)
        assert error.unsent == 3
        assert not peer.connected
        assert not server.peers
        with contextlib.suppress(ConnectionResetError):
            assert await within(rest_of(sock)) == b""
    assert errors == []


async def test_a_handler_that_sends_to_another_peer_reaches_it(
    serve: Serve, within: Within
) -> None:
    peers: list[Peer] = []
    errors: list[HandlerError] = []

    def handle(message: StreamMessage[bytes]) -> None:
        if message.peer is not peers[0]:
            peers[0].send_nowait(message.body)

    server = await serve(handle, on_connected=peers.append, on_error=errors.append)
    with await ask(server) as first, await ask(server):
        decoder = MTI.decoder()
        received: list[bytes] = []
        loop = asyncio.get_running_loop()
        while len(received) < REQUESTS:
            data = await within(loop.sock_recv(first, 65536))
            received += [payload for payload, _ in decoder.feed(data)]
        assert received == numbers(REQUESTS)
    assert errors == []
