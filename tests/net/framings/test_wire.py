"""Typed and compressed messages cross the wire."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from gestalt.codecs import CODING_TAGS, Codec, CodecError, DecodeError, MessageTypes
from gestalt.core import Handlers
from gestalt.net import ConnectionLost, LengthPrefix, Mti, Netstring, PayloadError, Wire
from tests.net.fixtures import Connect, Serve, Within

types = MessageTypes()


@types.add(1)
@dataclass
class Position:
    lat: float
    lon: float


@types.add(2)
@dataclass
class Text:
    text: str


def received(wire: Wire, data: bytes) -> Any:
    ((payload, type_id),) = wire.framing.decoder().feed(data)
    return payload if wire.decode is None else wire.decode(payload, type_id)


def test_without_a_codec_messages_are_bytes_and_nothing_stands_in_between() -> None:
    framing = Mti()
    for wire in (Wire(framing), Wire(framing, Codec("bytes"))):
        assert wire.encode == framing.encode
        assert wire.decode is None


def test_a_value_is_encoded_and_its_type_identifier_is_the_callers() -> None:
    wire = Wire(Mti(), Codec("json"))
    data = wire.encode({"lat": 1.5}, 7)
    assert data == Mti().encode(b'{"lat":1.5}', 7)
    assert received(wire, data) == {"lat": 1.5}


def test_types_give_the_type_identifier_and_choose_the_class() -> None:
    wire = Wire(Mti(), Codec("json", types=types))
    data = wire.encode(Text("hello"))
    assert data == Mti().encode(b'{"text":"hello"}', 2)
    assert received(wire, data) == Text("hello")
    with pytest.raises(PayloadError, match="type_id=7"):
        wire.encode(Text("hello"), 7)
    with pytest.raises(CodecError):
        wire.encode("not registered")


def test_a_framing_without_type_identifiers_carries_a_single_type() -> None:
    single = MessageTypes()
    single.add(9, Position)
    wire = Wire(Netstring(), Codec("json", types=single))
    assert received(wire, wire.encode(Position(1.0, 2.0))) == Position(1.0, 2.0)


def test_several_types_need_a_framing_that_carries_their_identifiers() -> None:
    with pytest.raises(ValueError, match="Mti"):
        Wire(LengthPrefix(), Codec("json", types=types))


@pytest.mark.parametrize("compress", ["deflate", "gzip", "xz", "bzip2"])
def test_a_coding_tag_tells_how_a_payload_is_compressed(compress: str) -> None:
    wire = Wire(Netstring(), Codec("text", compress=compress, min_size=100))
    small, large = wire.encode("small"), wire.encode("large" * 1000)
    assert small == b"6:\x00small,"
    ((payload, _),) = Netstring().decoder().feed(large)
    assert payload[0] == CODING_TAGS[compress]
    assert len(large) < 1000
    assert received(wire, small) == "small"
    assert received(wire, large) == "large" * 1000


def test_both_ends_may_differ_in_the_compressor_where_the_receiver_allows_it() -> None:
    text = "text" * 1000
    sender = Wire(Mti(), Codec("text", compress="gzip"))
    assert received(Wire(Mti(), Codec("text", accept=["gzip"])), sender.encode(text)) == text
    both = Wire(Mti(), Codec("text", compress="deflate", accept=["gzip"]))
    assert received(both, sender.encode(text)) == text
    with pytest.raises(DecodeError, match="gzip"):
        received(Wire(Mti(), Codec("text", compress="deflate")), sender.encode(text))


@pytest.mark.parametrize("payload", [b"", b"\xfftext"])
def test_a_missing_or_unknown_coding_tag_is_refused(payload: bytes) -> None:
    wire = Wire(Mti(), Codec("text", compress="deflate"))
    with pytest.raises(DecodeError, match="coding tag"):
        received(wire, Mti().encode(payload))


async def test_two_endpoints_in_one_process_do_not_share_their_types(
    serve: Serve, connect: Connect, within: Within
) -> None:
    other = MessageTypes()
    other.add(1, Text)
    got: asyncio.Queue[Any] = asyncio.Queue()
    for table, value in ((types, Position(1.0, 2.0)), (other, Text("one"))):
        wire = Wire(Mti(), Codec("json", types=table))
        client = await connect(await serve(got.put_nowait, wire=wire))
        await client.send(value)
        message = await within(got.get())
        assert (message.body, message.type_id) == (value, 1)


async def test_handlers_take_typed_messages_by_class(
    serve: Serve, connect: Connect, within: Within
) -> None:
    handlers = Handlers()
    got: asyncio.Queue[Any] = asyncio.Queue()

    @handlers.on(Position)
    async def moved(message: Any) -> None:
        await message.reply(Text(f"{message.body.lat}"))

    handlers.on(Text)(lambda message: got.put_nowait(message.body))
    wire = Wire(Mti(), Codec("json", compress="deflate", types=types))
    client = await connect(await serve(handlers, wire=wire), on_message=handlers)
    await client.send(Position(1.5, 2.5))
    assert await within(got.get()) == Text("1.5")


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_message_that_cannot_be_decoded_ends_its_connection_alone(
    serve: Serve, connect: Connect, within: Within, asynchronous: bool
) -> None:
    errors: asyncio.Queue[Any] = asyncio.Queue()
    got: list[Any] = []

    async def later(message: Any) -> None:
        got.append(message.body)

    server = await serve(
        later if asynchronous else lambda message: got.append(message.body),
        wire=Wire(Mti(), Codec("json")),
        on_error=errors.put_nowait,
    )
    bad = await connect(server, wire=Wire(Mti()))
    for body in (b"1", b"{broken", b"2"):
        await bad.send(body)
    error = await within(errors.get())
    assert isinstance(error, ConnectionLost)
    assert isinstance(error.__cause__, DecodeError)
    assert got == [1]
    assert server.stats.faults == 1


async def test_an_iterating_client_closes_on_what_it_cannot_decode_and_goes_on(
    serve: Serve, connect: Connect, within: Within
) -> None:
    def answer(message: Any) -> None:
        message.peer.send_nowait(b"{broken" if server.stats.connected == 1 else b'"fine"')

    errors: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(answer, wire=Wire(Mti()))
    client = await connect(server, wire=Wire(Mti(), Codec("json")), on_error=errors.put_nowait)

    async def receive() -> Any:
        async for message in client:
            return message.body
        raise AssertionError("the client stopped")

    receiving = asyncio.create_task(receive())
    await client.send("first")
    assert isinstance((await within(errors.get())).__cause__, DecodeError)
    await client.send("second")
    assert await within(receiving) == "fine"


def test_what_came_together_waits_for_no_other_where_nothing_of_it_is_compressed() -> None:
    wire = Wire(Mti(), Codec("text", compress="deflate", min_size=2**30))
    values = ["x" * 10_000] * 100
    payloads, _, error = wire.payloads_of(values, None)
    assert error is None
    decoded: list[Any] = []
    wire.decode_many(payloads, None, decoded)
    assert decoded == values
