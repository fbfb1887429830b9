"""What handlers leave in their context or task reaches no other peer and harms no message."""

import asyncio
from typing import Any

from gestalt.core import State
from gestalt.net import Limits, Mti, Peer, StreamMessage
from tests.net.fixtures import Connect, Serve, Within
from tests.net.leaving import KINDS, LEAVING, WAYS, Failing, Leaving, Seen, Staying, seen, taken_by
from tests.support.waiting import until


@KINDS
async def test_what_handlers_of_a_peer_set_in_their_context_no_other_peer_sees(
    connect: Connect, serve: Serve, within: Within, options: dict[str, Any]
) -> None:
    for way in WAYS:
        await see(connect, serve, within, options, way)


async def see(
    connect: Connect, serve: Serve, within: Within, options: dict[str, Any], way: str
) -> None:
    kept = Seen()
    callbacks: list[Any] = []

    def note(peer: Peer, *_: Any) -> None:
        callbacks.append(seen.get())
        seen.set(peer.id)

    async def note_later(peer: Peer, *args: Any) -> None:
        note(peer, *args)

    given = taken_by(getattr(kept, way), options)
    server = await serve(**given, on_connected=note, on_disconnected=note_later)
    clients = [await connect(server) for _ in range(3)]
    for _ in range(3):
        for client in clients:
            await client.send(b"x")
    await within(until(lambda: server.stats.handled == 9))
    for client in clients:
        await client.stop()
    await within(until(lambda: len(callbacks) == 6))
    assert len({source for source, _ in kept.found}) == 3
    assert all(found in (None, source) for source, found in kept.found)
    assert callbacks == [None] * 6


async def test_a_peer_that_waited_for_room_finds_nothing_of_the_one_that_made_it(
    serve: Serve, within: Within
) -> None:
    found: dict[bytes, Any] = {}

    def handle(message: StreamMessage[bytes]) -> None:
        found[message.body[:1]] = seen.get()
        seen.set(message.body[:1])

    server = await serve(handle, limits=Limits(receive_buffer=300_000))
    host, port = server.address.host, server.address.port
    _, first = await asyncio.open_connection(host, port)
    _, second = await asyncio.open_connection(host, port)
    frames = [Mti().encode(letter * 200_000, 1) for letter in (b"a", b"b")]
    first.write(frames[0][:-1])
    await within(until(lambda: server.stats.received_bytes >= len(frames[0]) - 1))
    second.write(frames[1])
    # It is read until its message has begun, and no further.
    await within(until(lambda: server.stats.received_bytes > len(frames[0])))
    first.write(frames[0][-1:])
    await within(until(lambda: len(found) == 2))
    assert found == {b"a": None, b"b": None}
    first.close()
    second.close()


async def test_a_peer_that_a_handler_of_another_one_ends_finds_nothing_of_it(
    connect: Connect, serve: Serve, within: Within
) -> None:
    peers: list[Peer] = []
    found: list[Any] = []

    def handle(message: StreamMessage[bytes]) -> None:
        seen.set("of the other one")
        next(peer for peer in peers if peer is not message.source).abort()

    def note(*_: Any) -> None:
        found.append(seen.get())

    server = await serve(handle, on_connected=peers.append, on_disconnected=note)
    clients = [await connect(server) for _ in range(2)]
    await within(until(lambda: len(peers) == 2))
    await clients[0].send(b"x")
    await within(until(lambda: found))
    assert found == [None]


@KINDS
async def test_what_a_handler_leaves_in_its_task_harms_no_other_message(
    connect: Connect, serve: Serve, within: Within, options: dict[str, Any]
) -> None:
    for leave in LEAVING:
        handler = Leaving(leave)
        server = await serve(**taken_by(handler, options))
        client = await connect(server)
        for _ in range(12):
            await client.send(b"x")
            await asyncio.sleep(0)
        await within(until(lambda stats=server.stats: stats.handled == 12))
        await server.stop()
        assert server.stats.failed == server.stats.abandoned == 0
        assert handler.handled == 12


@KINDS
async def test_a_handler_that_keeps_its_cancellation_to_itself_does_not_hold_up_a_stop(
    connect: Connect, serve: Serve, within: Within, options: dict[str, Any]
) -> None:
    handler = Staying()
    server = await serve(**taken_by(handler, options))
    client = await connect(server)
    for number in range(9):
        await client.send(b"%d" % number)
    at_once = options.get("concurrency", 1)
    await within(until(lambda: server.stats.received == 9 and handler.begun == at_once))
    # Nothing that still ran after being cancelled is told of.
    await within(server.stop(timeout=0))
    assert handler.begun == at_once


@KINDS
async def test_whatever_a_handler_raises_costs_its_own_message_alone(
    connect: Connect, serve: Serve, within: Within, options: dict[str, Any]
) -> None:
    handler = Failing()
    server = await serve(**taken_by(handler, options))
    client = await connect(server)
    for count, body in enumerate(handler.BODIES, 1):
        await client.send(body)
        await within(until(lambda n=count: server.stats.failed + server.stats.handled == n))
    assert handler.good == server.stats.handled == 2
    assert server.state is State.RUNNING
    assert client.connected
