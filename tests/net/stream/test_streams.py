"""Servers and clients exchange messages."""

import asyncio
from typing import Any

import pytest

from gestalt.core import Discard, HandlerNotFound, Handlers, Park, State, StateError
from gestalt.net import (
    ConnectionLost,
    Delimited,
    Framing,
    HandlerError,
    LengthPrefix,
    Limits,
    Mti,
    Netstring,
    NotConnected,
    PayloadError,
    Peer,
    StreamMessage,
    UnknownPeer,
    Wire,
)
from tests.net.fixtures import Connect, Serve, Within
from tests.support.waiting import until


async def echo(message: StreamMessage[bytes]) -> None:
    await message.reply(message.body, message.type_id)


def plain_echo(message: StreamMessage[bytes]) -> None:
    message.peer.send_nowait(message.body, message.type_id)


async def take(client: Any, count: int) -> list[StreamMessage[Any]]:
    messages = []
    async for message in client:
        messages.append(message)
        if len(messages) == count:
            break
    return messages


@pytest.mark.parametrize("handler", [echo, plain_echo])
@pytest.mark.parametrize(
    "framing", [Delimited(), Netstring(), LengthPrefix(2, "little"), Mti()], ids=str
)
async def test_messages_arrive_whole_and_in_order(
    serve: Serve, connect: Connect, within: Within, handler: Any, framing: Framing
) -> None:
    server = await serve(handler, wire=Wire(framing))
    client = await connect(server)
    bodies = [b"%d" % number * (1 + number % 50) for number in range(5000)]

    async def send() -> None:
        for body in bodies:
            await client.send(body)

    sending = asyncio.create_task(send())
    received = await within(take(client, len(bodies)))
    await sending
    assert [message.body for message in received] == bodies


async def test_replies_around_a_plain_handler_that_raises_arrive_in_order(
    serve: Serve, connect: Connect, within: Within
) -> None:
    errors: list[Exception] = []

    def handle(message: StreamMessage[bytes]) -> None:
        plain_echo(message)
        if message.body == b"bad":
            raise ValueError("bad")

    client = await connect(await serve(handle, on_error=errors.append))
    bodies = [b"first", b"bad", b"last"]
    for body in bodies:
        await client.send(body)
    received = await within(take(client, len(bodies)))
    assert [message.body for message in received] == bodies
    assert [type(error) for error in errors] == [HandlerError]


async def test_an_mti_event_without_a_body_keeps_its_type(
    serve: Serve, connect: Connect, within: Within
) -> None:
    client = await connect(await serve(plain_echo))
    await client.send(b"", 42)
    (message,) = await within(take(client, 1))
    assert (message.body, message.type_id) == (b"", 42)


async def test_one_table_of_handlers_serves_by_type(
    serve: Serve, connect: Connect, within: Within
) -> None:
    handlers = Handlers()
    errors: asyncio.Queue[Any] = asyncio.Queue()

    @handlers.on(1)
    def first(message: StreamMessage[bytes]) -> None:
        message.peer.send_nowait(b"first", 11)

    @handlers.on(2)
    async def second(message: StreamMessage[bytes]) -> None:
        await asyncio.sleep(0)
        await message.reply(b"second", 22)

    client = await connect(await serve(handlers, on_error=errors.put_nowait))
    for type_id in (1, 2, 1, 3):
        await client.send(b"", type_id)
    received = await within(take(client, 3))
    assert [(m.body, m.type_id) for m in received] == [
        (b"first", 11),
        (b"second", 22),
        (b"first", 11),
    ]
    error = await within(errors.get())
    assert isinstance(error, ConnectionLost)
    assert isinstance(error.__cause__, HandlerNotFound)
    assert error.__cause__.message.type_id == 3


async def test_asynchronous_handlers_run_one_at_a_time_and_in_order(
    serve: Serve, connect: Connect, within: Within
) -> None:
    running = 0
    seen: list[bytes] = []
    done = asyncio.Event()

    async def handle(message: StreamMessage[bytes]) -> None:
        nonlocal running
        running += 1
        assert running == 1
        for _ in range(len(seen) % 3):
            await asyncio.sleep(0)
        seen.append(message.body)
        running -= 1
        if message.body == b"199":
            done.set()

    client = await connect(await serve(handle))
    for number in range(200):
        await client.send(b"%d" % number)
    await within(done.wait())
    assert seen == [b"%d" % number for number in range(200)]


async def test_concurrency_bounds_how_many_handlers_of_a_peer_run(
    serve: Serve, connect: Connect, within: Within
) -> None:
    running = most = finished = 0
    done = asyncio.Event()

    async def handle(message: StreamMessage[bytes]) -> None:
        nonlocal running, most, finished
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        finished += 1
        if finished == 100:
            done.set()

    client = await connect(await serve(handle, concurrency=4))
    for _ in range(100):
        await client.send(b"")
    await within(done.wait())
    assert most == 4


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_handler_discards_its_message_and_can_do_nothing_else_with_it(
    serve: Serve,
    connect: Connect,
    within: Within,
    asynchronous: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def decide(message: StreamMessage[bytes]) -> None:
        if message.body == b"discard":
            raise Discard("old")
        if message.body == b"park":
            raise Park("odd")
        message.peer.send_nowait(b"fine")

    async def decide_later(message: StreamMessage[bytes]) -> None:
        decide(message)

    server = await serve(decide_later if asynchronous else decide)
    client = await connect(server)
    for body in (b"discard", b"park", b"good"):
        await client.send(body)
    await within(take(client, 1))
    assert (server.stats.discarded, server.stats.handler_errors) == (1, 1)
    (record,) = caplog.records
    assert isinstance(record.exc_info[1].__cause__, Park)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_exception_of_a_handler_names_peer_and_message_and_the_peer_stays(
    serve: Serve,
    connect: Connect,
    within: Within,
    asynchronous: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(message: StreamMessage[bytes]) -> None:
        if message.body == b"bad":
            raise KeyError("lookup")
        message.peer.send_nowait(b"fine")

    async def fail_later(message: StreamMessage[bytes]) -> None:
        fail(message)

    server = await serve(fail_later if asynchronous else fail)
    client = await connect(server)
    await client.send(b"bad", 7)
    await client.send(b"good", 8)
    await within(take(client, 1))
    (record,) = caplog.records
    error = record.exc_info[1]
    assert isinstance(error, HandlerError)
    assert isinstance(error.__cause__, KeyError)
    assert error.message.body == b"bad"
    assert error.peer is server.peers[1]
    assert "type_id=7" in str(error)
    assert "tcp://127.0.0.1:" in str(error)
    assert server.stats.handler_errors == server.reported == 1


async def test_a_handler_that_awaits_something_cancelled_costs_its_own_message_only(
    serve: Serve, connect: Connect, within: Within, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(message: StreamMessage[bytes]) -> None:
        if message.body == b"cancelled":
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        await message.reply(message.body)

    client = await connect(await serve(handle))
    await client.send(b"cancelled")
    await client.send(b"next")
    assert [m.body for m in await within(take(client, 1))] == [b"next"]
    (record,) = caplog.records
    assert isinstance(record.exc_info[1].__cause__, asyncio.CancelledError)


async def test_a_server_knows_its_peers(serve: Serve, connect: Connect, within: Within) -> None:
    came: asyncio.Queue[Peer] = asyncio.Queue()
    went: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        plain_echo,
        on_connected=came.put_nowait,
        on_disconnected=lambda peer, error: went.put_nowait((peer, error)),
    )
    first = await connect(server)
    peer = await within(came.get())
    assert peer.id == 1
    assert dict(server.peers) == {1: peer}
    assert repr(server.peers) == "<1 peers>"
    assert peer.address == (await first.wait_connected()).local_address
    assert peer.local_address == server.address
    assert peer.tls is None
    assert peer.state is None
    peer.state = {"name": "first"}
    await server.send(1, b"hello", 5)
    (message,) = await within(take(first, 1))
    assert (message.body, message.type_id) == (b"hello", 5)

    second = await connect(server)
    other = await within(came.get())
    assert other.id == 2
    await first.stop()
    assert await within(went.get()) == (peer, None)
    assert list(server.peers) == [2]
    with pytest.raises(UnknownPeer, match="no peer 1"):
        await server.send(1, b"too late")
    with pytest.raises(ConnectionLost):
        await peer.send(b"too late")
    with pytest.raises(ConnectionLost):
        peer.send_nowait(b"too late")
    assert not peer.connected
    assert second.connected


async def test_a_broadcast_reaches_all_or_those_named(
    serve: Serve, connect: Connect, within: Within
) -> None:
    server = await serve(plain_echo)
    clients = []
    for _ in range(3):
        clients.append(await connect(server))
        await clients[-1].wait_connected()
    assert await server.broadcast(b"to all", 1) == 3
    assert await server.broadcast(b"to one", 2, to=[server.peers[2]]) == 1
    assert [m.type_id for m in await within(take(clients[0], 1))] == [1]
    assert [m.type_id for m in await within(take(clients[1], 2))] == [1, 2]


async def test_callbacks_may_be_asynchronous_and_their_exceptions_are_reported(
    serve: Serve, connect: Connect, within: Within
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()

    async def greet(peer: Peer) -> None:
        await peer.send(b"welcome")
        raise LookupError("after the greeting")

    server = await serve(plain_echo, on_connected=greet, on_error=errors.put_nowait)
    client = await connect(server)
    assert [m.body for m in await within(take(client, 1))] == [b"welcome"]
    error = await within(errors.get())
    assert isinstance(error.__cause__, LookupError)
    assert error.message is None


async def test_a_payload_that_cannot_be_framed_is_refused_and_the_connection_stays(
    serve: Serve, connect: Connect, within: Within
) -> None:
    client = await connect(await serve(plain_echo, wire=Wire(Netstring(max_size=10))))
    with pytest.raises(PayloadError, match="max_size"):
        await client.send(b"x" * 11)
    with pytest.raises(TypeError, match="bytes-like"):
        await client.send("text")
    await client.send(b"fine")
    assert [m.body for m in await within(take(client, 1))] == [b"fine"]


@pytest.mark.parametrize("how", ["send", "send_nowait"])
async def test_a_type_id_that_the_framing_cannot_carry_is_named(
    serve: Serve, connect: Connect, within: Within, how: str
) -> None:
    client = await connect(await serve(plain_echo))
    await client.wait_connected()
    # What follows in the same turn waits with it.
    client.send_nowait(b"good", 1)
    if how == "send":
        with pytest.raises(PayloadError, match="type id"):
            await client.send(b"body", 1 << 32)
    else:
        with pytest.raises(PayloadError, match="type id"):
            client.send_nowait(b"body", 1 << 32)
    await client.send(b"good", 1)
    messages = await within(take(client, 2))
    assert [(message.body, message.type_id) for message in messages] == [(b"good", 1)] * 2


@pytest.mark.parametrize("left", [False, True])
async def test_a_callback_that_a_stop_ends_is_no_error(
    serve: Serve, connect: Connect, left: bool
) -> None:
    errors: list[Exception] = []
    begun = asyncio.Event()

    async def greet(_: Peer) -> None:
        begun.set()
        await asyncio.Event().wait()

    server = await serve(plain_echo, on_connected=greet, on_error=errors.append, stop_timeout=0.01)
    client = await connect(server)
    await begun.wait()
    if left:
        await client.stop()
        await until(lambda: not server.peers)
    await server.stop()
    assert errors == []


async def test_a_limit_for_unfinished_messages_can_be_left_out(
    serve: Serve, connect: Connect, within: Within
) -> None:
    server = await serve(plain_echo, limits=Limits(receive_buffer=None))
    client = await connect(server)
    await client.send(bytes(1 << 20))
    (message,) = await within(take(client, 1))
    assert message.body == bytes(1 << 20)


async def test_a_stopped_server_is_done_with_what_it_had_received(
    serve: Serve, connect: Connect, within: Within
) -> None:
    release = asyncio.Event()
    begun = asyncio.Event()

    async def slow(message: StreamMessage[bytes]) -> None:
        begun.set()
        await release.wait()
        await message.reply(message.body)

    server = await serve(slow)
    client = await connect(server)
    for number in range(3):
        await client.send(b"%d" % number)
    await within(begun.wait())
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    release.set()
    received = await within(take(client, 3))
    assert [m.body for m in received] == [b"0", b"1", b"2"]
    await within(stopping)
    assert server.state is State.STOPPED


async def test_stop_ends_while_clients_are_connected_and_handlers_hang(
    serve: Serve, connect: Connect, within: Within
) -> None:
    begun = asyncio.Event()

    async def hang(message: StreamMessage[bytes]) -> None:
        begun.set()
        await asyncio.Event().wait()

    server = await serve(hang, stop_timeout=0.1)
    clients = [await connect(server) for _ in range(5)]
    for client in clients:
        await client.send(b"")
    await within(begun.wait())
    await within(server.stop(), 5)
    assert server.state is State.STOPPED
    assert not server.peers


async def test_a_server_and_a_client_start_again(
    serve: Serve, connect: Connect, within: Within
) -> None:
    server = await serve(plain_echo)
    client = await connect(server)
    with pytest.raises(StateError):
        await server.start()
    with pytest.raises(StateError):
        await client.start()
    for _ in range(3):
        await client.send(b"again")
        await within(take(client, 1))
        await client.stop()
        await client.start()
    assert server.stats.connected == 3


async def test_two_starts_make_one_connection(
    serve: Serve, connect: Connect, within: Within
) -> None:
    server = await serve(plain_echo)
    client = await connect(server)
    results = await asyncio.gather(client.start(), client.start(), return_exceptions=True)
    assert all(isinstance(result, StateError) for result in results)
    await client.send(b"one")
    await within(take(client, 1))
    assert server.stats.connected == 1


async def test_sending_without_a_connection_says_so(serve: Serve, connect: Connect) -> None:
    server = await serve(plain_echo)
    await server.stop()
    client = await connect(server, connect_timeout=0.2)
    with pytest.raises(NotConnected):
        client.send_nowait(b"nobody there")
    with pytest.raises(NotConnected, match="cannot be connected to"):
        await client.send(b"nobody there")
    with pytest.raises(NotConnected):
        await client.wait_connected(0.01)
    assert not client.connected
    await client.stop()
    with pytest.raises(StateError):
        await client.send(b"stopped")
    with pytest.raises(NotConnected, match="there is no connection to"):
        client.send_nowait(b"stopped")


async def test_iterating_ends_with_the_client(
    serve: Serve, connect: Connect, within: Within
) -> None:
    client = await connect(await serve(plain_echo))
    await client.send(b"last")
    iterating = asyncio.create_task(take(client, 2))
    await client.wait_connected()
    await asyncio.sleep(0.05)
    await client.stop()
    assert [m.body for m in await within(iterating)] == [b"last"]


async def test_a_client_with_a_handler_is_not_iterated(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve(plain_echo), on_message=plain_echo)
    with pytest.raises(StateError, match="on_message"):
        await take(client, 1)


async def test_a_handler_may_stop_its_own_server(
    serve: Serve, connect: Connect, within: Within
) -> None:
    async def stop(message: StreamMessage[bytes]) -> None:
        await message.reply(b"stopping")
        await server.stop()

    server = await serve(stop)
    client = await connect(server)
    await client.send(b"stop")
    assert [m.body for m in await within(take(client, 1))] == [b"stopping"]
    await within(server.wait_stopped())
    assert server.state is State.STOPPED
