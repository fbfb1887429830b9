"""TLS handshakes that fail or never end: whose fault it was is told, and nobody else suffers."""

import asyncio
import errno
import re
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gestalt.core import Backoff
from gestalt.net import (
    ConnectFailed,
    HandshakeFailed,
    Limits,
    Mti,
    StreamClient,
    StreamMessage,
    StreamServer,
    Tls,
)
from tests.net.faults.fixtures import Eventually, Raw
from tests.net.fixtures import Connect, Serve, Within
from tests.support.mutual_tls import AUTHORITY, CLIENT, client_context, server_context
from tests.support.proxy import Proxy

# The header of a record of the handshake, which announces more than follows.
BEGUN = b"\x16\x03\x01\x01\x00"
LIMITS = Limits(handshake_timeout=1.0)
QUICKLY = Backoff(initial=0.01, maximum=0.05)


def echo(message: StreamMessage[bytes]) -> None:
    message.peer.send_nowait(message.body)


async def exchange(client: StreamClient) -> None:
    await client.send(b"hello")
    async for message in client:
        assert message.body == b"hello"
        return


Secure = Callable[..., Awaitable[StreamServer]]


@pytest_asyncio.fixture
async def secure(serve: Serve) -> Secure:
    """Starts a server for mutual TLS."""

    async def start(url: str = "tls://127.0.0.1:0", **options: Any) -> Any:
        return await serve(echo, url=url, tls=server_context(), **options)

    return start


@pytest.fixture
def connect(connect: Connect) -> Any:
    """Starts a client that the server admits, unless it is given another context."""

    async def start(server: StreamServer, **options: Any) -> Any:
        return await connect(server, **{"tls": client_context(), **options})

    return start


async def garbage(peer: Any) -> None:
    await peer.send(bytes(range(256)) * 16)
    await peer.ended()


async def plain(peer: Any) -> None:
    await peer.send(Mti().encode(b"hello"))
    await peer.ended()


async def http(peer: Any) -> None:
    await peer.send(b"GET / HTTP/1.1\r\n\r\n")
    await peer.ended()


async def half_a_record(peer: Any) -> None:
    await peer.send(BEGUN)
    await peer.ended()


async def slow_loris(peer: Any) -> None:
    """One byte now and then, so that it is never idle."""
    ended = asyncio.ensure_future(peer.ended())
    octets = iter(BEGUN + bytes(256))
    while not ended.done():
        try:
            await peer.send(bytes([next(octets)]))
        except ConnectionError:
            break
        await asyncio.wait([ended], timeout=0.02)
    await ended


async def leaving(peer: Any) -> None:
    await peer.send(BEGUN)
    peer.socket.close()


async def resetting(peer: Any) -> None:
    await peer.send(BEGUN)
    peer.reset()


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (garbage, "it does not speak TLS"),
        (plain, "it does not speak TLS"),
        (http, "it speaks HTTP, not TLS"),
        (half_a_record, r"longer than 1\.0 s"),
        (slow_loris, r"longer than 1\.0 s"),
        (leaving, "it closed the connection"),
        # Some versions of uvloop do not tell a reset from an end.
        (resetting, "reset by peer|it closed the connection"),
    ],
)
async def test_a_peer_that_fails_the_handshake_is_closed_and_counted_and_told_of(
    behaviour: Callable[[Any], Coroutine[Any, Any, None]],
    reason: str,
    secure: Secure,
    connect: Connect,
    raw: Raw,
    within: Within,
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    server = await secure(limits=LIMITS, on_error=errors.put_nowait)
    good = await connect(server)
    await within(exchange(good))
    bad = [await raw(server) for _ in range(5)]
    addresses = {bad_one.socket.getsockname()[1] for bad_one in bad}
    await within(asyncio.gather(*map(behaviour, bad)))
    told = [await within(errors.get()) for _ in bad]
    for error in told:
        assert isinstance(error, HandshakeFailed)
        assert re.search(reason, str(error))
        assert str(error.address) in str(error)
        assert isinstance(error.__cause__, OSError)
    assert {error.address.port for error in told} == addresses
    assert server.stats.handshakes_failed == len(bad)
    assert server.stats.faults == 0
    assert len(server.peers) == server.stats.connected == 1
    await within(exchange(good))
    assert good.stats.connected == 1


async def test_a_failed_handshake_without_on_error_is_logged(
    secure: Secure, raw: Raw, within: Within, caplog: pytest.LogCaptureFixture
) -> None:
    peer = await raw(await secure("tls://[::1]:0"))
    port = peer.socket.getsockname()[1]
    await within(plain(peer))
    assert f"the TLS handshake with tls://[::1]:{port} failed" in caplog.text


async def test_a_context_that_is_not_for_servers_is_told_of(
    serve: Serve, raw: Raw, within: Within
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        echo, url="tls://127.0.0.1:0", tls=client_context(), on_error=errors.put_nowait
    )
    peer = await raw(server)
    assert isinstance(await within(errors.get()), HandshakeFailed)
    await within(peer.ended())


async def test_a_unix_socket_tells_of_failed_handshakes_too(
    secure: Secure, within: Within, tmp_path: Path, stack: AsyncExitStack
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    path = tmp_path / "socket"
    server = await secure(f"unix://{path}", on_error=errors.put_nowait)
    reader, writer = await asyncio.open_unix_connection(path)
    stack.callback(writer.close)
    writer.write(Mti().encode(b"hello"))
    assert await within(reader.read()) == b""
    assert "does not speak TLS" in str(await within(errors.get()))
    assert server.stats.handshakes_failed == 1
    # The certificate is for the host that the client has to be told of here.
    tls = Tls(ca=tmp_path / "ca.pem", certificate=tmp_path / "client.pem", server_name="127.0.0.1")
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    CLIENT.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    async with StreamClient(server.address, server.wire, tls=tls) as client:
        await within(exchange(client))


async def test_handshakes_under_way_count_as_peers(
    secure: Secure, connect: Connect, raw: Raw, within: Within, eventually: Eventually
) -> None:
    server = await secure(limits=Limits(max_peers=3), on_error=lambda error: None)
    good = await connect(server)
    await within(exchange(good))
    silent = [await raw(server) for _ in range(2)]
    # A connection is closed as soon as it comes when there are too many; others are not.
    excess = [await raw(server) for _ in range(5)]
    await within(asyncio.gather(*(peer.ended() for peer in excess)))
    assert server.stats.refused == 5
    errors: asyncio.Queue[Any] = asyncio.Queue()
    late = await connect(server, on_error=errors.put_nowait, backoff=QUICKLY)
    error = await within(errors.get())
    assert isinstance(error, ConnectFailed)
    assert isinstance(error.__cause__, ConnectionResetError)
    assert "nothing for" not in str(error)
    silent[0].socket.close()
    await within(exchange(late))
    await within(exchange(good))
    assert len(server.peers) == 2
    assert server.stats.handshakes_failed == 1
    await late.stop()
    await eventually(lambda: len(server.peers) == 1)
    # The place of a peer that has left is free again.
    await within(exchange(await connect(server)))


async def test_a_stop_ends_handshakes_under_way_at_once_and_blames_nobody(
    serve: Serve, connect: Connect, raw: Raw, within: Within, eventually: Eventually
) -> None:
    errors: list[Any] = []
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(message: StreamMessage[bytes]) -> None:
        begun.set()
        await release.wait()
        await message.reply(message.body)

    server = await serve(
        slow, url="tls://127.0.0.1:0", tls=server_context(), on_error=errors.append
    )
    client = await connect(server)
    exchanging = asyncio.create_task(exchange(client))
    await within(begun.wait())
    silent = [await raw(server) for _ in range(20)]
    for peer in silent:
        await peer.send(BEGUN)
    # All have arrived when one that came later has.
    await within(plain(await raw(server)))
    stopping = asyncio.create_task(server.stop())
    # Not only when what drains is done.
    await within(asyncio.gather(*(peer.ended() for peer in silent)), 2)
    assert not stopping.done()
    release.set()
    await within(exchanging)
    await within(stopping)
    assert server.stats.handshakes_failed == len(errors) == 1
    assert server.stats.connected == 1


async def test_a_handshake_in_single_bytes_succeeds(
    secure: Secure, stack: AsyncExitStack, proxy: Proxy, within: Within
) -> None:
    server = await secure()
    proxy.target, proxy.split = server.address.port, True
    client = StreamClient(f"tls://127.0.0.1:{proxy.port}", server.wire, tls=client_context())
    await within(exchange(await stack.enter_async_context(client)))
    assert server.stats.handshakes_failed == 0


@pytest.mark.parametrize("fault", ["cut", "half-open", "freeze"])
async def test_a_link_that_breaks_within_the_handshake_is_told_of_and_made_again(
    fault: str, secure: Secure, stack: AsyncExitStack, proxy: Proxy, within: Within
) -> None:
    at_server: asyncio.Queue[Any] = asyncio.Queue()
    at_client: asyncio.Queue[Any] = asyncio.Queue()
    server = await secure(limits=LIMITS, on_error=at_server.put_nowait)
    proxy.target = server.address.port
    # Nothing of the server's comes through, so that its handshake begins and does not end.
    proxy.lose("down")
    client = StreamClient(
        f"tls://127.0.0.1:{proxy.port}",
        server.wire,
        tls=client_context(),
        limits=LIMITS,
        backoff=QUICKLY,
        on_error=at_client.put_nowait,
    )
    await stack.enter_async_context(client)
    await within(proxy.wait_connections(1))
    if fault == "cut":
        await proxy.cut()
    elif fault == "half-open":
        await proxy.half_open()
    else:
        proxy.freeze()
    assert isinstance(await within(at_server.get()), HandshakeFailed)
    assert isinstance(await within(at_client.get()), ConnectFailed)
    proxy.thaw()
    proxy.lose()
    await within(exchange(client))
    assert server.stats.connected == 1


async def test_a_connection_that_the_system_gives_up_is_refused_and_told(
    serve: Serve, raw: Raw, within: Within, caplog: pytest.LogCaptureFixture
) -> None:
    """As macOS does with one that was reset: no option can be set any more."""
    loop = asyncio.get_running_loop()
    usual = loop.connect_accepted_socket
    failing = iter([OSError(errno.EINVAL, "Invalid argument")])

    async def connect_accepted_socket(*args: Any, **options: Any) -> Any:
        for error in failing:
            raise error
        return await usual(*args, **options)

    server = await serve(echo, name="server")
    loop.connect_accepted_socket = connect_accepted_socket  # type: ignore[method-assign]
    try:
        refused = await raw(server)
        await within(refused.ended())
        [record] = [each for each in caplog.records if each.name == "gestalt.net"]
        assert re.fullmatch(
            r"<StreamServer 'server' running> cannot take the connection of tcp://127.0.0.1:\d+",
            record.getMessage(),
        )
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], OSError)
        assert (server.stats.refused, server.stats.handshakes_failed) == (1, 0)
        peer = await raw(server)
        await peer.send(Mti().encode(b"hello"))
        assert await within(peer.receive(13)) == Mti().encode(b"hello")
    finally:
        del loop.connect_accepted_socket
