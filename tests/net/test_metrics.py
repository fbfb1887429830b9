"""What endpoints count, in the words that all components have."""

import asyncio
import contextlib
import socket
import struct
from typing import Any

import pytest

from gestalt.codecs import Codec
from gestalt.core import Component, Discard
from gestalt.core.metrics import measure
from gestalt.net import (
    DatagramEndpoint,
    Delimited,
    LengthPrefix,
    Mti,
    Raw,
    StreamClient,
    StreamMessage,
    Wire,
)
from gestalt.net.framings import frames_left
from tests.net.fixtures import Connect, Serve, Within
from tests.support.waiting import until

JSON = Wire(Mti(), Codec("json"))
FRAME = 8  # bytes of the header of Mti


def counted(component: Component) -> dict[str, Any]:
    """The metrics of a component, those that are not 0 alone."""
    found = {}
    for metric in measure(component):
        reason = metric.labels.get("reason")
        found[f"{metric.name} {reason}" if reason else metric.name] = metric.value
    return {name: value for name, value in found.items() if value and name != "running"}


def frame(payload: bytes) -> bytes:
    return Mti().encode(payload, 0)


class Gate:
    """An async handler that waits until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.begun = 0

    async def __call__(self, message: Any) -> None:
        self.begun += 1
        await self.open.wait()


async def test_both_ends_count_messages_and_bytes(serve: Serve, connect: Connect) -> None:
    server = await serve(lambda message: message.reply(b"yes"))
    got = []
    client = await connect(server, on_message=lambda message: got.append(message))
    await client.wait_connected()
    for _ in range(1000):
        await client.send(b"12345678")
    await until(lambda: len(got) == 1000)
    messages = {"received": 1000, "sent": 1000, "handled": 1000, "peers": 1, "connected": 1}
    sizes = {"received_bytes": 1000 * (FRAME + 8), "sent_bytes": 1000 * (FRAME + 3)}
    assert counted(server) == messages | sizes
    sizes = {"received_bytes": 1000 * (FRAME + 3), "sent_bytes": 1000 * (FRAME + 8)}
    assert counted(client) == messages | sizes
    stats = server.stats
    assert (stats.received, stats.sent, stats.handled, stats.failed) == (1000, 1000, 1000, 0)
    assert (stats.received_bytes, stats.sent_bytes) == (1000 * (FRAME + 8), 1000 * (FRAME + 3))


async def test_what_a_closed_connection_has_carried_stays_counted(
    serve: Serve, connect: Connect
) -> None:
    server = await serve(lambda message: None)
    for _ in range(3):
        client = await connect(server)
        await client.send(b"1234")
        await client.stop()
    await until(lambda: not server.peers)
    assert counted(server) == {
        "received": 3, "received_bytes": 3 * (FRAME + 4), "handled": 3, "connected": 3
    }  # fmt: skip
    await server.stop()
    assert counted(server)["received"] == 3


@pytest.mark.parametrize("framing", [Mti(), LengthPrefix(), Delimited(), Raw()])
async def test_what_waits_for_an_async_handler_is_counted(
    serve: Serve, connect: Connect, framing: Any
) -> None:
    gate = Gate()
    server = await serve(gate, wire=Wire(framing), concurrency=2)
    client = await connect(server)
    if isinstance(framing, Raw):
        await client.send(b"whatever comes at once")
        await until(lambda: gate.begun == 1)
        assert counted(server)["in_flight"] == 1
        gate.open.set()
        return
    await client.wait_connected()
    for _ in range(10):
        await client.send(b"1234")
    await until(lambda: gate.begun == 2)
    found = counted(server)
    assert (found["received"], found["in_flight"], found["backlog"]) == (10, 2, 8)
    assert "handled" not in found
    gate.open.set()
    await until(lambda: counted(server).get("handled") == 10)
    found = counted(server)
    assert "in_flight" not in found
    assert "backlog" not in found


async def test_what_waits_for_its_key_is_counted(serve: Serve, connect: Connect) -> None:
    gate = Gate()
    server = await serve(gate, key=lambda message: message.body, concurrency=4)
    client = await connect(server)
    await client.wait_connected()
    for body in (b"a", b"a", b"a", b"b", b"a"):
        await client.send(body)
    await until(lambda: gate.begun == 2)
    found = counted(server)
    assert (found["received"], found["in_flight"], found["backlog"]) == (5, 2, 3)
    gate.open.set()
    await until(lambda: counted(server).get("handled") == 5)


async def test_what_waits_for_an_iteration_is_counted(serve: Serve, connect: Connect) -> None:
    server = await serve(lambda message: [message.source.send_nowait(b"x") for _ in range(10)])
    client = await connect(server)
    await client.send(b"go")
    await until(lambda: client.stats.received == 10)
    assert counted(client)["backlog"] == 10
    async for _ in client:
        if client.stats.handled == 3:
            break
    found = counted(client)
    assert (found["handled"], found["backlog"]) == (3, 7)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_failures_are_told_from_what_was_discarded_and_from_callbacks(
    serve: Serve, connect: Connect, asynchronous: bool
) -> None:
    def handle(message: Any) -> None:
        if message.body == b"bad":
            raise LookupError("bad")
        if message.body == b"old":
            raise Discard("old")

    async def handle_later(message: Any) -> None:
        await asyncio.sleep(0)
        handle(message)

    def greet(peer: object) -> None:
        raise OSError("no greeting")

    server = await serve(
        handle_later if asynchronous else handle,
        on_connected=greet,
        on_error=lambda error: None,
    )
    client = await connect(server)
    for body in (b"good", b"bad", b"old", b"bad", b"good"):
        await client.send(body)
    await until(lambda: counted(server).get("handled") == 2)
    found = counted(server)
    assert (found["received"], found["failed"], found["discarded"]) == (5, 2, 1)
    assert found["handler_errors"] == 3


@pytest.mark.parametrize("way", ["plain", "async", "keyed"])
async def test_what_comes_after_a_fault_of_the_peer_is_dropped(
    serve: Serve, connect: Connect, way: str
) -> None:
    async def handle_later(message: Any) -> None:
        await asyncio.sleep(0)

    options: dict[str, Any] = {"on_error": lambda error: None}
    if way == "keyed":
        options["key"] = lambda message: 0
    server = await serve(
        (lambda message: None) if way == "plain" else handle_later, wire=JSON, **options
    )
    with socket.create_connection(("127.0.0.1", server.address.port or 0)) as raw:
        raw.sendall(b"".join(map(frame, (b"1", b"2", b"{", b"4", b"5"))))
        await until(lambda: server.stats.faults and "in_flight" not in counted(server))
    found = counted(server)
    assert (found["received"], found["handled"]) == (5, 2)
    assert found["dropped abandoned"] == 3


async def test_what_an_iteration_cannot_decode_is_dropped_with_what_follows(
    serve: Serve, connect: Connect
) -> None:
    server = await serve(lambda message: None, wire=Wire(Mti()))
    client = await connect(server, wire=JSON, on_error=lambda error: None)
    await client.wait_connected()
    (peer,) = server.peers.values()
    for body in (b"1", b"{", b"3"):
        peer.send_nowait(body)
    reading = asyncio.ensure_future(anext(aiter(client)))
    assert (await reading).body == 1
    reading = asyncio.ensure_future(anext(aiter(client)))
    await until(lambda: client.stats.faults)
    reading.cancel()
    found = counted(client)
    assert (found["received"], found["handled"], found["dropped abandoned"]) == (3, 1, 2)


@pytest.mark.parametrize("keyed", [False, True])
async def test_what_a_stop_cuts_is_dropped(serve: Serve, connect: Connect, keyed: bool) -> None:
    gate = Gate()
    options: dict[str, Any] = {"key": lambda message: 0} if keyed else {}
    server = await serve(gate, stop_timeout=0.0, **options)
    client = await connect(server)
    await client.wait_connected()
    for _ in range(5):
        await client.send(b"1234")
    await until(lambda: gate.begun)
    await server.stop()
    found = counted(server)
    assert (found["received"], found["dropped abandoned"]) == (5, 5)
    assert "handled" not in found


async def test_handled_never_falls(serve: Serve, connect: Connect) -> None:
    async def handle(message: Any) -> None:
        if message.body == b"1":
            await asyncio.sleep(0)
            raise LookupError

    server = await serve(handle, concurrency=3, on_error=lambda error: None)
    client = await connect(server)
    last = 0
    for number in range(600):
        await client.send(b"%d" % (number % 3))
        handled = server.stats.handled
        assert handled >= last
        last = handled
        if number % 7 == 0:
            await asyncio.sleep(0)
    await until(lambda: (server.stats.received, server.stats.failed) == (600, 200))
    await until(lambda: "in_flight" not in counted(server))
    assert server.stats.handled == 400


async def test_a_broadcast_that_slow_peers_do_not_get_is_dropped(
    serve: Serve, within: Within
) -> None:
    server = await serve(lambda message: None)
    with socket.create_connection(("127.0.0.1", server.address.port or 0)):
        await until(lambda: server.peers)
        while await within(server.broadcast(b"x" * 65536, slow="drop")):
            await asyncio.sleep(0)
        assert counted(server)["dropped slow_peer"] == 1


async def test_what_a_peer_left_behind_counts_until_it_is_handled(
    serve: Serve, within: Within
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def handle(_: StreamMessage[bytes]) -> None:
        begun.set()
        await go_on.wait()

    server = await serve(handle)
    with socket.socket() as sock:
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (server.address.host, server.address.port))
        await loop.sock_sendall(sock, Mti().encode(b"") * 3)
        await within(begun.wait())
        # Closing resets the connection: nothing can be answered.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await until(lambda: not server.peers)
    found = counted(server)
    assert (found["received"], found["in_flight"], found["backlog"]) == (3, 1, 2)
    go_on.set()
    await until(lambda: "in_flight" not in counted(server))


def test_how_many_frames_are_left_is_known_whatever_a_decoder_gave() -> None:
    for count in (1, 2, 3):
        for framing, one in ((Mti(), frame(b"ab")), (Delimited(), b"ab\n")):
            frames = iter(framing.decoder().feed(one * count))
            assert frames_left(frames) == count
            next(frames)
            assert frames_left(frames) == count - 1
            assert len(list(frames)) == count - 1
            assert frames_left(frames) == 0


async def test_a_client_without_a_connection_is_measured() -> None:
    async with StreamClient(
        "tcp://127.0.0.1:1", Wire(Mti()), on_error=lambda error: None
    ) as client:
        assert counted(client) == {}
    assert counted(StreamClient("tcp://127.0.0.1:1", Wire(Mti()))) == {}


async def test_datagrams_are_counted_with_their_bytes(within: Within) -> None:
    got = []
    wire = Wire(Raw())
    async with (
        DatagramEndpoint("udp://127.0.0.1:0", wire, on_message=got.append) as receiver,
        DatagramEndpoint(None, wire, peer=receiver.address, on_message=got.append) as sender,
    ):
        await sender.send(b"1234")
        sender.send_nowait(b"567")
        await sender.send(b"89", to=receiver.address)
        async with sender.batch() as batch:
            for _ in range(4):
                await batch.send(b"12345")
        await until(lambda: len(got) == 7)
        assert counted(sender) == {"sent": 7, "sent_bytes": 29}
        assert counted(receiver) == {"received": 7, "received_bytes": 29, "handled": 7}


@pytest.mark.parametrize("keyed", [False, True])
async def test_datagrams_that_wait_fail_and_are_dropped_are_counted(keyed: bool) -> None:
    gate = Gate()

    async def handle(message: Any) -> None:
        await gate(message)
        if message.body == 2:
            raise LookupError("two")
        if message.body == 3:
            raise Discard("three")

    wire = Wire(Raw(), Codec("json"))
    options: dict[str, Any] = {"key": lambda message: 0} if keyed else {}
    receiver = DatagramEndpoint(
        "udp://127.0.0.1:0", wire, on_message=handle, on_error=lambda error: None, **options
    )
    async with receiver, DatagramEndpoint(None, Wire(Raw()), peer=receiver.address) as sender:
        for body in (b"1", b"2", b"3", b"{", b"5"):
            await sender.send(body)
        await until(lambda: receiver.stats.received == 5 and gate.begun)
        found = counted(receiver)
        assert (found["in_flight"], found["backlog"] + found.get("dropped undecodable", 0)) == (
            1,
            4,
        )
        gate.open.set()
        await until(lambda: counted(receiver).get("handled") == 2)
        found = counted(receiver)
        assert (found["failed"], found["discarded"], found["dropped undecodable"]) == (1, 1, 1)
        assert "backlog" not in found


@pytest.mark.parametrize("keyed", [False, True])
async def test_datagrams_that_a_stop_cuts_are_dropped(keyed: bool) -> None:
    gate = Gate()
    options: dict[str, Any] = {"key": lambda message: 0} if keyed else {}
    receiver = DatagramEndpoint(
        "udp://127.0.0.1:0", Wire(Raw()), on_message=gate, stop_timeout=0.0, **options
    )
    async with DatagramEndpoint(None, Wire(Raw())) as sender:
        async with receiver:
            for _ in range(3):
                await sender.send(b"1", to=receiver.address)
            await until(lambda: receiver.stats.received == 3 and gate.begun)
        assert counted(receiver) == {
            "received": 3, "received_bytes": 3, "dropped abandoned": 3, "reported": 1
        }  # fmt: skip


async def test_datagrams_that_wait_for_an_iteration_are_counted() -> None:
    receiver = DatagramEndpoint("udp://127.0.0.1:0", Wire(Raw()))
    async with receiver, DatagramEndpoint(None, Wire(Raw()), peer=receiver.address) as sender:
        for _ in range(3):
            await sender.send(b"1")
        await until(lambda: receiver.stats.received == 3)
        assert counted(receiver)["backlog"] == 3
        with contextlib.suppress(StopAsyncIteration):
            await anext(aiter(receiver))
        found = counted(receiver)
        assert (found["backlog"], found["handled"]) == (2, 1)
