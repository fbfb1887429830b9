"""What a stop leaves time for, and how dead links, several addresses and processes are met."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from struct import pack
from typing import Any

import pytest

from gestalt.core import State
from gestalt.core.calling import own_task
from gestalt.net import (
    Address,
    ConnectionLost,
    Limits,
    Mti,
    Peer,
    StreamMessage,
    StreamServer,
    Wire,
)
from gestalt.net.stream.dial import dial
from tests.net.fixtures import Connect, Serve, Within
from tests.support.addresses import refusing_address, silent_address
from tests.support.waiting import until

WIRE = Wire(Mti())


async def echo(message: StreamMessage[bytes]) -> None:
    await message.reply(message.body)


async def test_a_handler_that_a_stop_waits_for_can_still_send_to_other_peers(
    serve: Serve, connect: Connect, within: Within
) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def tell_all(message: StreamMessage[bytes]) -> None:
        begun.set()
        await release.wait()
        await server.broadcast(message.body)

    server = await serve(tell_all)
    quiet, asking = await connect(server), await connect(server)
    await within(quiet.wait_connected())
    await asking.send(b"for all")
    await within(begun.wait())
    stopping = asyncio.create_task(server.stop())
    # Until the stop has begun, which is when peers could be closed too early.
    with pytest.raises(ConnectionRefusedError):
        await within(_connect_until_refused(server))
    assert quiet.connected
    release.set()
    assert (await within(anext(aiter(quiet)))).body == b"for all"
    assert (await within(anext(aiter(asking)))).body == b"for all"
    await within(stopping)
    assert not server.peers


async def test_a_stop_is_over_in_time_though_a_handler_hangs_and_another_peer_is_idle(
    serve: Serve, connect: Connect, within: Within
) -> None:
    begun = asyncio.Event()

    async def hang(message: StreamMessage[bytes]) -> None:
        begun.set()
        await asyncio.Event().wait()

    server = await serve(hang, stop_timeout=0.2)
    idle, busy = await connect(server), await connect(server)
    await within(idle.wait_connected())
    await busy.send(b"")
    await within(begun.wait())
    await within(server.stop(), 5)
    assert not server.peers


async def test_links_are_probed_while_they_are_idle(
    serve: Serve, connect: Connect, within: Within
) -> None:
    limits = Limits(keepalive=120)
    connected: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(echo, limits=limits, on_connected=connected.put_nowait)
    client = await connect(server, limits=limits)
    for peer in (await within(client.wait_connected()), await within(connected.get())):
        sock = peer._link.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        options = [
            sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
            if hasattr(socket, name)
        ]
        assert options in ([120, 20, 3], [])


async def test_probing_can_be_turned_off(serve: Serve, connect: Connect, within: Within) -> None:
    limits = Limits(keepalive=None)
    client = await connect(await serve(echo, limits=limits), limits=limits)
    peer = await within(client.wait_connected())
    sock = peer._link.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="the system has no SO_REUSEPORT")
async def test_servers_share_a_port_by_reuse_port(
    serve: Serve, connect: Connect, within: Within
) -> None:
    first = await serve(echo, reuse_port=True)
    second = await serve(echo, url=str(first.address), reuse_port=True)
    with pytest.raises(OSError, match=r"in use; each .* needs reuse_port=True"):
        await serve(echo, url=str(first.address))
    for server in (first, second):
        # The system spreads connections over both, so one is left to serve alone.
        client = await connect(server)
        await client.send(b"shared")
        assert (await within(anext(aiter(client)))).body == b"shared"
    assert first.stats.connected + second.stats.connected == 2
    await first.stop()
    client = await connect(second)
    await client.send(b"alone")
    assert (await within(anext(aiter(client)))).body == b"alone"


class Resolver:
    """The event loop, but for a name that has these addresses."""

    def __init__(self, *targets: tuple[str, int]) -> None:
        self._targets = targets

    async def getaddrinfo(self, host: str, port: int, **options: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", target) for target in self._targets]

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio.get_running_loop(), name)


@pytest.fixture
def refusing() -> Iterator[tuple[str, int]]:
    with refusing_address() as address:
        yield address


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    with silent_address() as address:
        yield address


async def test_an_address_that_is_silent_does_not_hold_up_the_next_one(
    serve: Serve, within: Within, silent: tuple[str, int], refusing: tuple[str, int]
) -> None:
    server = await serve(echo)
    good = server.address.host, server.address.port
    for targets in ([silent, good], [refusing, good], [silent, refusing, good], [good, silent]):
        resolver: Any = Resolver(*targets)
        before = asyncio.all_tasks()
        sock = await within(dial(resolver, Address("tcp", "many", 1)))
        assert sock.getpeername() == good
        sock.close()
        await within(_until(lambda before=before: asyncio.all_tasks() <= before))


async def test_when_every_address_fails_each_failure_is_named(
    within: Within, refusing: tuple[str, int]
) -> None:
    resolver: Any = Resolver(refusing, ("127.0.0.2", refusing[1]))
    with pytest.raises(ConnectionRefusedError, match=r"127\.0\.0\.1: .*; 127\.0\.0\.2: "):
        await within(dial(resolver, Address("tcp", "many", 1)))


async def test_the_inbox_pauses_reading_and_resumes_it_without_losing_a_message(
    serve: Serve, connect: Connect, within: Within
) -> None:
    peers: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(echo, on_connected=peers.put_nowait)
    client = await connect(server)
    peer = await within(peers.get())
    count, body = 2000, bytes(10_000)
    sent = 0

    async def send() -> None:
        nonlocal sent
        for number in range(count):
            await peer.send(body, number)
            sent += 1

    await within(client.wait_connected())
    sending = asyncio.create_task(send())
    transport = client._connection.transport
    await within(_until(lambda: not transport.is_reading()))
    # What the sockets' buffers hold goes, and no more.
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.05)
    assert sent < count
    messages = aiter(client)
    for number in range(count):
        message = await within(anext(messages))
        assert (message.type_id, len(message.body)) == (number, len(body))
    await within(sending)
    assert transport.is_reading()


async def _connect_until_refused(server: Any) -> None:
    while True:
        _, writer = await asyncio.open_connection(server.address.host, server.address.port)
        writer.transport.abort()


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_a_stop_that_is_cut_tells_of_peers_that_left_before_all_was_handled(
    serve: Serve, within: Within
) -> None:
    left: list[ConnectionLost | None] = []

    async def hang(message: StreamMessage[bytes]) -> None:
        await asyncio.Event().wait()

    server = await serve(
        hang, stop_timeout=0.0, on_disconnected=lambda _, error: left.append(error)
    )
    with socket.create_connection((server.address.host, server.address.port)) as sock:
        sock.sendall(b"".join(WIRE.encode(b"%d" % number) for number in range(3)))
        await until(lambda: server.stats.received == 3)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
    await until(lambda: not server.peers)
    assert left == []
    await within(server.stop())
    assert [type(error) for error in left] == [ConnectionLost]
    assert server.stats.abandoned == 3


async def test_a_callback_that_will_not_end_is_named_by_the_stop(
    within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gestalt.core.component.CLOSE_TIMEOUT", 0.01)
    release = asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []

    async def stubborn(peer: Peer, error: ConnectionLost | None) -> None:
        tasks.append(own_task())
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    server = StreamServer("tcp://127.0.0.1:0", WIRE, on_message=echo, on_disconnected=stubborn)
    await server.start()
    with socket.create_connection((server.address.host, server.address.port)):
        await until(lambda: server.peers)
    await until(lambda: tasks)
    with pytest.raises(TimeoutError, match=r"StreamServer callback about <Peer 1 "):
        await within(server.stop())
    assert server.state is State.FAILED
    release.set()
    await within(asyncio.wait(tasks))


async def test_who_connects_in_any_turn_of_a_stop_is_not_left_open(within: Within) -> None:
    loop = asyncio.get_running_loop()
    for turns in range(12):
        server = StreamServer("tcp://127.0.0.1:0", WIRE, on_message=echo)
        await server.start()
        with socket.socket() as sock:
            sock.setblocking(False)
            with suppress(BlockingIOError):
                sock.connect((server.address.host, server.address.port))
            for _ in range(turns):
                await asyncio.sleep(0)
            await within(server.stop())
            with suppress(ConnectionError):
                assert await within(loop.sock_recv(sock, 1)) == b""
