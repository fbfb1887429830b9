"""TLS clients that end what they send, and await what it is answered by."""

import asyncio
import ssl
from typing import Any

import pytest

from gestalt.net import ConnectionLost, Delimited, StreamMessage, StreamServer, Wire
from tests.net.fixtures import Serve, Within
from tests.support.mutual_tls import client_context, server_context
from tests.support.tls_peer import TlsPeer

LINES = Wire(Delimited())


class Slow:
    """An async handler that replies when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.begun = asyncio.Event()
        self.outcomes: list[Any] = []

    async def __call__(self, message: StreamMessage[bytes]) -> None:
        self.begun.set()
        await self.let.wait()
        try:
            await message.reply(message.body.upper())
        except ConnectionLost as error:
            self.outcomes.append(error)
            raise
        self.outcomes.append(message.body)


def peer_of(server: StreamServer, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> TlsPeer:
    context = client_context()
    context.maximum_version = version
    return TlsPeer(server.address.port, context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("fin", [False, True], ids=["close_notify", "close_notify and FIN"])
@pytest.mark.parametrize("together", [False, True], ids=["afterwards", "with the request"])
async def test_a_request_is_answered_after_the_client_has_ended_its_half(
    serve: Serve, within: Within, version: ssl.TLSVersion, fin: bool, together: bool
) -> None:
    slow = Slow()
    gone: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        slow,
        wire=LINES,
        url="tls://127.0.0.1:0",
        tls=server_context(),
        on_disconnected=lambda _, error: gone.put_nowait(error),
    )
    async with peer_of(server, version) as peer:
        peer.write(b"question\n")
        if not together:
            peer.flush()
            await within(slow.begun.wait())
        peer.end()
        peer.flush()
        if fin:
            peer.writer.write_eof()
        await within(slow.begun.wait())
        # The end has arrived when another connection, made after it, has come and gone.
        async with peer_of(server) as other:
            other.end()
            other.flush()
            assert await within(other.read_all()) == b""
        slow.let.set()
        assert await within(peer.read_all()) == b"QUESTION\n"
    assert await within(gone.get()) is None
    assert await within(gone.get()) is None
    assert slow.outcomes == [b"question"]
    assert server.stats.faults == 0


@pytest.mark.parametrize("fin", [False, True], ids=["close_notify", "close_notify and FIN"])
async def test_all_of_many_requests_are_answered_though_reading_was_paused(
    serve: Serve, within: Within, fin: bool
) -> None:
    slow = Slow()
    server = await serve(slow, wire=LINES, url="tls://127.0.0.1:0", tls=server_context())
    requests = [b"%d" % number * 1000 for number in range(500)]
    async with peer_of(server) as peer:
        for request in requests:
            peer.write(request + b"\n")
            peer.flush()
            await peer.writer.drain()
        peer.end()
        peer.flush()
        if fin:
            peer.writer.write_eof()
        await within(slow.begun.wait())
        slow.let.set()
        answers = await within(peer.read_all())
    assert answers.split() == requests
    assert slow.outcomes == requests


async def test_a_client_that_ends_tcp_alone_is_told_of_when_nothing_can_be_answered(
    serve: Serve, within: Within
) -> None:
    slow = Slow()
    gone: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        slow,
        wire=LINES,
        url="tls://127.0.0.1:0",
        tls=server_context(),
        on_disconnected=lambda _, error: gone.put_nowait(error),
    )
    async with peer_of(server) as peer:
        peer.write(b"question\n")
        peer.flush()
        await within(slow.begun.wait())
        peer.writer.write_eof()
        # It does not hang: the server closes.
        with pytest.raises(EOFError):
            await within(peer.read_all())
        slow.let.set()
        error = await within(gone.get())
    assert isinstance(error, ConnectionLost)
    assert isinstance(error.__cause__, ssl.SSLEOFError)
    assert "without TLS's close_notify" in str(error)
    (outcome,) = slow.outcomes
    assert isinstance(outcome, ConnectionLost)


async def test_an_idle_client_that_ends_in_either_way_is_closed_without_a_complaint(
    serve: Serve, within: Within
) -> None:
    gone: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        lambda message: message.peer.send_nowait(message.body),
        wire=LINES,
        url="tls://127.0.0.1:0",
        tls=server_context(),
        on_disconnected=lambda _, error: gone.put_nowait(error),
    )
    for notify in (True, False):
        async with peer_of(server) as peer:
            peer.write(b"question\n")
            if notify:
                peer.end()
                peer.flush()
                assert await within(peer.read_all()) == b"question\n"
            else:
                peer.flush()
                peer.writer.write_eof()
                with pytest.raises(EOFError):
                    await within(peer.read_all())
            assert await within(gone.get()) is None


async def test_an_unfinished_message_before_the_end_is_a_fault(
    serve: Serve, within: Within
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        lambda message: None,
        wire=LINES,
        url="tls://127.0.0.1:0",
        tls=server_context(),
        on_error=errors.put_nowait,
    )
    async with peer_of(server) as peer:
        peer.write(b"half a quest")
        peer.end()
        peer.flush()
        assert await within(peer.read_all()) == b""
    assert "within a" in str(await within(errors.get()))


async def test_a_context_with_objects_of_its_users_own_is_left_alone(
    serve: Serve, within: Within
) -> None:
    class Own(ssl.SSLObject):
        pass

    context = server_context()
    context.sslobject_class = Own
    server = await serve(
        lambda message: message.peer.send_nowait(message.body),
        wire=LINES,
        url="tls://127.0.0.1:0",
        tls=context,
    )
    async with peer_of(server) as peer:
        peer.write(b"question\n")
        peer.end()
        peer.flush()
        assert await within(peer.read_all()) == b"question\n"
    assert context.sslobject_class is Own
