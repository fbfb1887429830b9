"""What a peer sends, and what handlers and callbacks raise, ends nothing but what it broke.

Nothing of it may reach the event loop's exception handler, which ends an application: the fixture
`unhandled` looks for that after each test.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gestalt.codecs import Codec, DecodeError, MessageTypes
from gestalt.core import HandlerNotFound, Handlers, Message, State
from gestalt.net import (
    ConnectionLost,
    DatagramEndpoint,
    Delimited,
    HandlerError,
    Mti,
    Peer,
    Raw,
    StreamMessage,
    Wire,
)
from tests.net.fixtures import Connect, Serve, Within

TYPES = MessageTypes()


@TYPES.add(1)
@dataclass
class Position:
    lat: float


@TYPES.add(2)
@dataclass
class Ack:
    number: int


WIRE = Wire(Mti(), Codec("json", types=TYPES))


def plain_table() -> Any:
    handlers = Handlers()
    handlers.on(Position)(lambda message: message.peer.send_nowait(message.body))
    return handlers


def asynchronous_table() -> Any:
    handlers = Handlers()

    @handlers.on(Position)
    async def echo(message: StreamMessage[Position]) -> None:
        await message.reply(message.body)

    return handlers


def wrapped_table() -> Any:
    handlers = asynchronous_table()

    async def handle(message: StreamMessage[Any]) -> None:
        await asyncio.sleep(0)
        await handlers(message)

    return handle


@pytest.mark.parametrize("table", [plain_table, asynchronous_table, wrapped_table])
@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("told", [True, False])
async def test_a_message_that_no_handler_takes_closes_its_sender_alone(
    serve: Serve,
    connect: Connect,
    within: Within,
    caplog: pytest.LogCaptureFixture,
    table: Callable[[], Any],
    concurrency: int,
    told: bool,
) -> None:
    errors: list[Any] = []
    gone: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        table(),
        wire=WIRE,
        concurrency=concurrency,
        on_error=errors.append if told else None,
        on_disconnected=lambda peer, error: gone.put_nowait(error),
    )
    good, stranger = await connect(server), await connect(server)
    replies, others = aiter(good), aiter(stranger)
    await good.send(Position(1.0))
    assert (await within(anext(replies))).body == Position(1.0)
    for body in (Position(2.0), Ack(7), Position(3.0)):
        await stranger.send(body)
    # What came before it is answered.
    assert (await within(anext(others))).body == Position(2.0)
    error = await within(gone.get())
    assert isinstance(error, ConnectionLost)
    assert isinstance(error.__cause__, HandlerNotFound)
    assert error.__cause__.message.body == Ack(7)
    assert server.stats.faults == 1
    assert server.stats.handler_errors == 0
    if told:
        assert errors == [error]
    else:
        assert "no handler for a Ack" in caplog.text
        assert "Traceback" in caplog.text
    await good.send(Position(4.0))
    assert (await within(anext(replies))).body == Position(4.0)
    assert server.state is State.RUNNING


async def test_a_table_asked_for_another_message_is_the_handlers_own_business(
    serve: Serve, connect: Connect, within: Within
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    empty = Handlers()

    async def handle(message: StreamMessage[Position]) -> None:
        await message.reply(message.body)
        empty(Message("another"))

    client = await connect(await serve(handle, wire=WIRE, on_error=errors.put_nowait))
    replies = aiter(client)
    for _ in range(2):
        await client.send(Position(1.0))
        assert (await within(anext(replies))).body == Position(1.0)
        error = await within(errors.get())
        assert isinstance(error, HandlerError)
        assert isinstance(error.__cause__, HandlerNotFound)
    assert client.stats.connected == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_undecodable_body_closes_its_sender_alone_and_is_logged_with_its_reason(
    serve: Serve,
    connect: Connect,
    within: Within,
    caplog: pytest.LogCaptureFixture,
    asynchronous: bool,
) -> None:
    gone: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        asynchronous_table() if asynchronous else plain_table(),
        wire=WIRE,
        on_disconnected=lambda peer, error: gone.put_nowait(error),
    )
    good = await connect(server)
    replies = aiter(good)
    await good.send(Position(1.0))
    await within(anext(replies))
    stranger = await connect(server, wire=Wire(Mti()))
    await stranger.send(WIRE.encode(Position(1.0))[8:], 1)
    await stranger.send(b'{"lat": "north"}', 1)
    error = await within(gone.get())
    assert isinstance(error.__cause__, DecodeError)
    assert "Traceback" in caplog.text
    await good.send(Position(2.0))
    assert (await within(anext(replies))).body == Position(2.0)


async def test_a_datagram_that_no_handler_takes_is_dropped_and_counted(
    within: Within, caplog: pytest.LogCaptureFixture
) -> None:
    handlers = Handlers()
    handlers.on(Position)(lambda message: message.reply_nowait(message.body))
    async with (
        DatagramEndpoint("udp://127.0.0.1:0", WIRE, on_message=handlers) as server,
        DatagramEndpoint(None, WIRE, peer=server.address) as client,
    ):
        await client.send(Ack(1))
        await client.send(Position(1.0))
        assert (await within(anext(aiter(client)))).body == Position(1.0)
        assert server.stats.unhandled == server.stats.dropped == 1
        assert server.stats.handler_errors == 0
    assert "no handler for a Ack" in caplog.text


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
async def test_an_on_error_that_raises_ends_nothing(
    serve: Serve, connect: Connect, within: Within, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def plain(error: Any) -> None:
        raise LookupError("within on_error")

    async def asynchronous(error: Any) -> None:
        plain(error)

    def handle(message: StreamMessage[bytes]) -> None:
        message.peer.send_nowait(message.body)
        raise ValueError(message.body)

    server = await serve(handle, on_error=plain if kind == "plain" else asynchronous)
    client = await connect(server)
    replies = aiter(client)
    for body in (b"1", b"2"):
        await client.send(body)
        assert (await within(anext(replies))).body == body
    while server.reported < 2:
        await asyncio.sleep(0)
    assert server.state is State.RUNNING
    assert "within on_error" in caplog.text
    assert server.stats.handler_errors == 2


def raising() -> Any:
    raise LookupError("within a callback")


async def raising_later() -> None:
    raising()


@pytest.mark.parametrize("raises", [raising, raising_later])
@pytest.mark.parametrize("which", ["on_connected", "on_disconnected"])
@pytest.mark.parametrize("end", ["server", "client"])
async def test_a_callback_that_raises_ends_nothing(
    serve: Serve,
    connect: Connect,
    within: Within,
    caplog: pytest.LogCaptureFixture,
    raises: Any,
    which: str,
    end: str,
) -> None:
    def echo(message: StreamMessage[bytes]) -> None:
        message.peer.send_nowait(message.body)

    options = {which: lambda *_: raises()}
    server = await serve(echo, **(options if end == "server" else {}))
    client = await connect(server, **(options if end == "client" else {}))
    owner = server if end == "server" else client
    await within(client.wait_connected())
    while which == "on_connected" and not owner.reported:
        await asyncio.sleep(0)
    (await within(client.wait_connected())).abort()
    while not owner.reported:
        await asyncio.sleep(0)
    await within(client.wait_connected())
    assert owner.state is State.RUNNING
    assert owner.stats.handler_errors >= 1
    assert "within a callback" in caplog.text


@pytest.mark.parametrize("where", ["handler", "on_connected", "on_error"])
async def test_a_cancelled_error_of_a_plain_function_ends_nothing(
    serve: Serve, connect: Connect, within: Within, where: str
) -> None:
    """A plain function may ask a future that was cancelled for its result."""

    def ask_cancelled(*_: Any) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        future.result()

    def handle(message: StreamMessage[bytes]) -> None:
        message.peer.send_nowait(message.body)
        if where == "handler":
            ask_cancelled()
        elif where == "on_error":
            raise ValueError

    options: dict[str, Any] = {} if where == "handler" else {where: ask_cancelled}
    server = await serve(handle, **options)
    client = await connect(server)
    replies = aiter(client)
    for body in (b"1", b"2"):
        await client.send(body)
        assert (await within(anext(replies))).body == body
    assert server.stats.connected == 1
    assert server.reported >= 1


async def test_errors_of_handlers_flood_neither_the_log_nor_the_application(
    serve: Serve, connect: Connect, within: Within, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(message: StreamMessage[bytes]) -> None:
        if message.body == b"last":
            message.peer.send_nowait(b"done")
        raise KeyError("lookup")

    server = await serve(handle, wire=Wire(Delimited()))
    client = await connect(server)
    with caplog.at_level(logging.WARNING, "gestalt.net"):
        for _ in range(2_000):
            await client.send(b"bad")
        await client.send(b"last")
        await within(anext(aiter(client)))
    assert server.stats.handler_errors == server.reported == 2_001
    assert 5 <= len(caplog.records) < 100


async def test_a_peer_that_leaves_is_no_error_of_the_handler_that_answers_it(
    serve: Serve, connect: Connect, within: Within
) -> None:
    gone: asyncio.Queue[Peer] = asyncio.Queue()
    go_on = asyncio.Event()

    async def answer(message: StreamMessage[bytes]) -> None:
        await go_on.wait()
        await message.reply(message.body)

    server = await serve(
        answer, wire=Wire(Raw()), on_disconnected=lambda peer, error: gone.put_nowait(peer)
    )
    client = await connect(server)
    await client.send(b"question")
    while not server.peers:
        await asyncio.sleep(0)
    peer = server.peers[1]
    while peer._link.worker is None:
        await asyncio.sleep(0)
    peer.abort()
    # At once, though its handler runs.
    assert await within(gone.get()) is peer
    go_on.set()
    await within(server.stop())
    assert server.stats.handler_errors == 0
