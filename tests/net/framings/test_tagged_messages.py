"""Several message types where the framing carries no type identifiers: a tag tells them."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from gestalt.codecs import Codec, Codecs, MessageTypes, UnknownType
from gestalt.core import Handlers
from gestalt.net import (
    Delimited,
    Framing,
    LengthPrefix,
    Mti,
    Netstring,
    PayloadError,
    StreamMessage,
    Wire,
)
from tests.net.fixtures import Connect, Serve, Within


@dataclass
class Position:
    number: int
    lat: float


@dataclass
class Ack:
    number: int


@pytest.fixture
def types() -> MessageTypes:
    types = MessageTypes(tag="type")
    types.add(1, Position)
    types.add(2, Ack)
    return types


@pytest.fixture
def handlers() -> Handlers:
    handlers = Handlers()

    @handlers.on(Position)
    async def acknowledge(message: StreamMessage[Position]) -> None:
        await message.reply(Ack(message.body.number))

    @handlers.on(Ack)
    def acknowledged(message: StreamMessage[Ack]) -> None:
        message.peer.send_nowait(Position(message.body.number, 0.5))

    return handlers


@pytest.mark.parametrize(
    ("framing", "format_name"),
    [
        (Delimited(), "json"),
        (Netstring(), "json"),
        (Netstring(), "msgpack"),
        (LengthPrefix(2), "yaml"),
        (Mti(), "json"),
    ],
    ids=str,
)
async def test_each_message_has_its_class_and_handlers_find_it(
    serve: Serve,
    connect: Connect,
    within: Within,
    types: MessageTypes,
    handlers: Handlers,
    framing: Framing,
    format_name: str,
) -> None:
    pytest.importorskip({"json": "msgspec"}.get(format_name, format_name))
    wire = Wire(framing, Codec(format_name, types=types))
    client = await connect(await serve(handlers, wire=wire))
    await client.send(Position(1, -34.9))
    await client.send(Ack(2))
    bodies = []
    async with asyncio.timeout(20):
        async for message in client:
            bodies.append(message.body)
            if len(bodies) == 2:
                break
    assert sorted(bodies, key=lambda body: body.number) == [Ack(1), Position(2, 0.5)]


async def test_a_line_is_what_others_write(
    serve: Serve, within: Within, types: MessageTypes, handlers: Handlers
) -> None:
    server = await serve(handlers, wire=Wire(Delimited(), Codec("json", types=types)))
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    writer.write(b'{"number": 7, "lat": 1, "type": "Position"}\n')
    assert await within(reader.readline()) == b'{"type":"Ack","number":7}\n'
    writer.close()
    await writer.wait_closed()


async def test_a_line_whose_tag_is_unknown_costs_its_sender_the_connection(
    serve: Serve, within: Within, types: MessageTypes, handlers: Handlers
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        handlers, wire=Wire(Delimited(), Codec("json", types=types)), on_error=errors.put_nowait
    )
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    writer.write(b'{"type":"Nothing"}\n')
    assert await within(reader.read()) == b""
    error = await within(errors.get())
    while error is not None and not isinstance(error, UnknownType):
        error = error.__cause__
    assert "there are Position, Ack" in str(error)
    writer.close()


def test_several_types_without_a_tag_are_refused_with_the_way_to_have_them() -> None:
    types = MessageTypes()
    types.add(1, Position)
    types.add(2, Ack)
    with pytest.raises(ValueError, match=r'MessageTypes\(tag="type"\)'):
        Wire(Delimited(), Codec("json", types=types))


@pytest.mark.parametrize("given", [Codecs(Codec("json"), Codec("text")), "json"])
def test_what_is_no_codec_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match=r"one Codec, got an object of type (Codecs|str)"):
        Wire(Mti(), given)


def test_a_newline_in_a_tagged_body_is_refused_as_in_others(types: MessageTypes) -> None:
    pytest.importorskip("yaml")
    wire = Wire(Delimited(), Codec("yaml", types=types))
    with pytest.raises(PayloadError):
        wire.encode(Ack(1))
