"""Clients that a server refuses in TLS 1.3 are told; those that it admits hear nothing of it."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest
import trustme

from gestalt.core import Backoff
from gestalt.net import (
    ConnectionLost,
    HandshakeFailed,
    Mti,
    StreamClient,
    StreamMessage,
    Wire,
)
from tests.net.fixtures import Connect, Serve, Within
from tests.support.mutual_tls import STRANGER, client_context, server_context

URL = "tls://127.0.0.1:0"
DEADLINE = 10.0
# Within the time of a test, a delay drawn from this is for ever.
NEVER = Backoff(initial=3600, maximum=3600)


def echo(message: StreamMessage[bytes]) -> None:
    message.peer.send_nowait(message.body)


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [(None, "it showed no certificate"), (STRANGER, "its certificate was refused: unable to get")],
)
async def test_both_ends_are_told_of_a_certificate_that_the_server_refuses(
    certificate: trustme.LeafCert | None,
    reason: str,
    serve: Serve,
    connect: Connect,
    within: Within,
) -> None:
    at_server: asyncio.Queue[Any] = asyncio.Queue()
    at_client: asyncio.Queue[Any] = asyncio.Queue()
    ends: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(echo, url=URL, tls=server_context(), on_error=at_server.put_nowait)
    client = await connect(
        server,
        tls=client_context(certificate),
        backoff=NEVER,
        on_error=at_client.put_nowait,
        on_disconnected=lambda peer, error: ends.put_nowait(error),
    )
    refusal = await within(at_server.get())
    assert isinstance(refusal, HandshakeFailed)
    assert reason in str(refusal)
    error = await within(at_client.get())
    assert isinstance(error, ConnectionLost)
    assert str(server.address) in str(error)
    assert isinstance(error.__cause__, HandshakeFailed)
    assert error.__cause__.address == server.address
    # Where the event loop drops the server's alert unsent, the client can but guess.
    assert "it may refuse our certificate" in str(error) or "alert" in str(error)
    assert await within(ends.get()) is error
    assert client.stats.faults == 1
    assert server.stats.handshakes_failed == 1
    assert server.stats.connected == 0


@contextmanager
def refusing() -> Iterator[int]:
    """Another TLS server, which sends the alert before it closes; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            accepted, _ = listener.accept()
            with accepted, pytest.raises(ssl.SSLError):
                server_context().wrap_socket(accepted, server_side=True)

        refused = ThreadPoolExecutor(1).submit(refuse)
        yield listener.getsockname()[1]
        refused.result(DEADLINE)


async def test_a_client_tells_the_alert_that_refuses_it(
    stack: AsyncExitStack, within: Within
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    client = StreamClient(
        f"tls://127.0.0.1:{stack.enter_context(refusing())}",
        Wire(Mti()),
        tls=client_context(None),
        backoff=NEVER,
        on_error=errors.put_nowait,
    )
    await stack.enter_async_context(client)
    error = await within(errors.get())
    assert isinstance(error, ConnectionLost)
    assert "the server did not confirm the TLS handshake" in str(error)
    assert "certificate required" in str(error)
    assert isinstance(error.__cause__, HandshakeFailed)
    assert isinstance(error.__cause__.__cause__, ssl.SSLError)


@pytest.mark.parametrize(
    ("version", "shown_by"),
    [
        (ssl.TLSVersion.TLSv1_2, "the handshake"),
        (ssl.TLSVersion.TLSv1_3, "a ticket"),
        (ssl.TLSVersion.TLSv1_3, "a message"),
    ],
)
async def test_a_server_that_has_shown_its_consent_may_go_without_a_fault(
    version: ssl.TLSVersion, shown_by: str, serve: Serve, connect: Connect, within: Within
) -> None:
    errors: list[Any] = []
    ends: asyncio.Queue[Any] = asyncio.Queue()
    came: asyncio.Queue[Any] = asyncio.Queue()
    context = server_context()
    context.maximum_version = version
    if shown_by != "a ticket":
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    server = await serve(echo, url=URL, tls=context, on_connected=came.put_nowait)
    client = await connect(
        server,
        tls=client_context(),
        backoff=NEVER,
        on_error=errors.append,
        on_disconnected=lambda peer, error: ends.put_nowait(error),
    )
    peer = await within(came.get())
    if shown_by == "a message":
        await peer.send(b"welcome")
    await within(server.stop())
    assert await within(ends.get()) is None
    assert errors == []
    assert client.stats.faults == 0


async def test_a_client_that_leaves_at_once_blames_nobody(
    serve: Serve, connect: Connect, within: Within
) -> None:
    errors: list[Any] = []
    ends: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(echo, url=URL, tls=server_context())
    for leave in ("close", "abort", "stop"):
        client = await connect(
            server,
            tls=client_context(),
            backoff=NEVER,
            on_connected=lambda peer, leave=leave: leave == "abort" and peer.abort(),
            on_error=errors.append,
            on_disconnected=lambda peer, error: ends.put_nowait(error),
        )
        if leave == "close":
            await within((await client.wait_connected()).close())
        elif leave == "stop":
            await within(client.wait_connected())
            await within(client.stop())
        assert await within(ends.get()) is None
    assert errors == []
