"""Forked children, which have a copy of every descriptor, and live longer than a connection."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gestalt.net import (
    DatagramEndpoint,
    Delimited,
    PeerUnreachable,
    StreamClient,
    StreamServer,
    Wire,
)
from tests.net.faults.fixtures import Raw
from tests.net.fixtures import Serve, Within
from tests.support.mutual_tls import client_context, server_context
from tests.support.tls_peer import TlsPeer

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    # Tests run with threads, and the children do nothing.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

WIRE = Wire(Delimited())
DESCRIPTORS = Path("/proc/self/fd")


@contextmanager
def forked(work: Callable[[], Any] = dict) -> Iterator[None]:
    """A child that does something, then lives as long as the block."""
    ours, its = socket.socketpair()
    child = os.fork()
    if not child:
        ours.close()
        work()
        its.send(b"born")
        its.recv(1)
        os._exit(0)
    its.close()
    with ours:
        ours.recv(4)
        yield
    os.waitpid(child, 0)


def ignore(message: Any) -> None:
    pass


async def test_a_peer_sees_its_connection_closed_though_a_child_lives(
    serve: Serve, raw: Raw, within: Within
) -> None:
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(ignore, wire=WIRE, on_connected=arrived.put_nowait)
    for close in ("close", "abort"):
        peer = await raw(server)
        ours = await within(arrived.get())
        with forked():
            # All that was accepted for sending arrives before the end.
            if close == "close":
                await ours.send(b"x" * 100_000)
                await ours.close()
                assert await within(peer.receive(100_002)) == b"x" * 100_000 + b"\n"
            else:
                ours.abort()
            await within(peer.ended())


async def test_a_peer_by_tls_sees_its_connection_closed_though_a_child_lives(
    serve: Serve, within: Within
) -> None:
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        ignore,
        wire=WIRE,
        url="tls://127.0.0.1:0",
        tls=server_context(),
        on_connected=arrived.put_nowait,
    )
    for close in ("close", "abort"):
        async with TlsPeer(server.address.port, client_context()) as peer:
            ours = await within(arrived.get())
            with forked():
                if close == "close":
                    await ours.send(b"goodbye")
                    closing = asyncio.create_task(ours.close())
                    assert await within(peer.read_all()) == b"goodbye\n"
                    peer.end()
                    peer.flush()
                    await within(closing)
                else:
                    ours.abort()
                with pytest.raises((EOFError, ConnectionError)):
                    await within(peer.read_tcp())


async def test_handshakes_that_a_child_was_forked_in_end_for_their_peers(
    serve: Serve, raw: Raw, within: Within
) -> None:
    server = await serve(ignore, wire=WIRE, url="tls://127.0.0.1:0", tls=server_context())
    peer = await raw(server)
    await peer.send(b"\x16\x03\x01\x01\x00")
    # It is in its handshake when a later one is through.
    async with TlsPeer(server.address.port, client_context()):
        with forked():
            await within(server.stop())
            await within(peer.ended())


async def test_a_server_sees_its_client_stop_though_a_child_lives(
    serve: Serve, within: Within
) -> None:
    for url, tls, client_tls in (
        ("tcp://127.0.0.1:0", None, None),
        ("tls://127.0.0.1:0", server_context(), client_context()),
    ):
        gone: asyncio.Queue[Any] = asyncio.Queue()
        server = await serve(
            ignore,
            wire=WIRE,
            url=url,
            tls=tls,
            on_disconnected=lambda peer, error, gone=gone: gone.put_nowait(peer),
        )
        client = StreamClient(server.address, WIRE, tls=client_tls)
        await client.start()
        await within(client.wait_connected())
        with forked():
            await within(client.stop())
            await within(gone.get())


async def test_a_stopped_server_is_stopped_in_its_children(tmp_path: Path, within: Within) -> None:
    for url in ("tcp://127.0.0.1:0", f"unix://{tmp_path / 'socket'}"):
        server = StreamServer(url, WIRE, on_message=ignore)
        await server.start()
        address = server.address
        path = tmp_path / "kept"
        if address.scheme == "unix":
            os.link(address.path, path)
        with forked():
            await within(server.stop())
            family, target = (
                (socket.AF_UNIX, str(path))
                if address.scheme == "unix"
                else (socket.AF_INET, (address.host, address.port))
            )
            with socket.socket(family) as caller, pytest.raises(ConnectionRefusedError):
                caller.connect(target)
            # The address is free for the next one.
            async with StreamServer(address, WIRE, on_message=ignore):
                pass


async def test_a_stopped_datagram_endpoint_is_stopped_in_its_children(within: Within) -> None:
    endpoint = DatagramEndpoint("udp://127.0.0.1:0", WIRE, on_message=ignore)
    await endpoint.start()
    errors: asyncio.Queue[Any] = asyncio.Queue()
    with forked():
        await within(endpoint.stop())
        async with DatagramEndpoint(
            None, WIRE, peer=endpoint.address, on_error=errors.put_nowait
        ) as other:
            await other.send(b"is anybody there?")
            assert isinstance(await within(errors.get()), PeerUnreachable)
        async with DatagramEndpoint(endpoint.address, WIRE, on_message=ignore):
            pass


async def test_a_child_keeps_the_descriptors_of_others(serve: Serve, within: Within) -> None:
    """A number that was a connection's and is another file's now is left alone."""
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(ignore, wire=WIRE, on_connected=arrived.put_nowait)
    reading, writing = os.pipe()
    with socket.create_connection((server.address.host, server.address.port)):
        peer = await within(arrived.get())
        before = sockets()
        await within(peer.close())
        freed = [each for each in before if not is_socket(each)]
        assert freed
        for each in freed:
            os.dup2(writing, each)
        with forked(lambda: [os.write(each, b"%d " % each) for each in freed]):
            told = os.read(reading, 1000)
    assert sorted(map(int, told.split())) == sorted(freed)
    for each in (*freed, reading, writing):
        os.close(each)


@contextmanager
def copied(before: set[int]) -> Iterator[None]:
    """Copies of all sockets that were not there before, as somebody else may have them."""
    copies = [os.dup(each) for each in sockets() - before]
    assert copies
    try:
        yield
    finally:
        for each in copies:
            os.close(each)


async def test_a_peer_sees_its_connection_closed_though_somebody_has_a_copy(
    serve: Serve, raw: Raw, within: Within
) -> None:
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(ignore, wire=WIRE, on_connected=arrived.put_nowait)
    for close in ("close", "abort"):
        before = sockets()
        peer = await raw(server)
        before.add(peer.socket.fileno())
        ours = await within(arrived.get())
        with copied(before):
            await ours.send(b"x" * 100_000)
            if close == "close":
                await ours.close()
                assert await within(peer.receive(100_002)) == b"x" * 100_000 + b"\n"
            else:
                ours.abort()
            await within(peer.ended())


async def test_a_stopped_server_accepts_nobody_though_somebody_has_a_copy(within: Within) -> None:
    before = sockets()
    server = StreamServer("tcp://127.0.0.1:0", WIRE, on_message=ignore)
    await server.start()
    with copied(before):
        await within(server.stop())
        target = (server.address.host, server.address.port)
        with socket.socket() as caller, pytest.raises(ConnectionRefusedError):
            caller.connect(target)


def sockets() -> set[int]:
    """The descriptors of this process that are sockets."""
    descriptors = [int(each.name) for each in DESCRIPTORS.iterdir()]
    return {each for each in descriptors if is_socket(each)}


def is_socket(descriptor: int) -> bool:
    try:
        return (DESCRIPTORS / str(descriptor)).readlink().name.startswith("socket:")
    except OSError:
        return False
