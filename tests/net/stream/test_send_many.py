"""Many messages by one call."""

import asyncio
import dataclasses
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from gestalt.codecs import Codec, CodecError, MessageTypes
from gestalt.core import StateError
from gestalt.net import (
    ConnectionLost,
    Delimited,
    Framing,
    LengthPrefix,
    Limits,
    Mti,
    Netstring,
    NotConnected,
    PayloadError,
    Peer,
    SendIncomplete,
    StreamClient,
    StreamMessage,
    Wire,
)
from gestalt.net.batch import MOST
from tests.net.fixtures import Connect, Serve, Within
from tests.support.waiting import until

MIXED = [bytes([number % 251]) * (number * 37 % 97) for number in range(5000)]


@pytest.mark.parametrize("framing", [Mti(), LengthPrefix(4), Netstring(), Delimited(b"\xff\xfe")])
@pytest.mark.parametrize("bodies", [[b"x" * 64] * 5000, MIXED, [], [b""], [b"y" * 300_000, b"z"]])
async def test_all_arrive_in_order_whatever_their_sizes(
    serve: Serve, connect: Connect, within: Within, framing: Framing, bodies: list[bytes]
) -> None:
    received: list[bytes] = []
    server = await serve(lambda m: received.append(m.body), wire=Wire(framing))
    client = await connect(server)
    await within(client.send(b"first"))
    await within(client.send_many(bodies))
    await within(client.send(b"last"))
    await until(lambda: received and received[-1] == b"last")
    assert received == [b"first", *bodies, b"last"]


async def test_they_keep_their_place_among_others_and_their_type(
    serve: Serve, connect: Connect, within: Within
) -> None:
    received: list[tuple[bytes, int | None]] = []
    server = await serve(lambda m: received.append((m.body, m.type_id)))
    client = await connect(server)
    await client.wait_connected()

    async def numbers(name: bytes, type_id: int) -> None:
        for number in range(20):
            some = [b"%s %d %d" % (name, number, each) for each in range(500)]
            await client.send_many(iter(some), type_id)

    await within(asyncio.gather(numbers(b"a", 1), numbers(b"b", 2)))
    await until(lambda: len(received) == 20_000)
    for name, type_id in ((b"a", 1), (b"b", 2)):
        mine = [body for body, other in received if other == type_id]
        assert mine == [b"%s %d %d" % (name, n, each) for n in range(20) for each in range(500)]


async def test_memory_stays_within_send_buffer_while_the_peer_takes_nothing(
    serve: Serve, within: Within, stack: AsyncExitStack
) -> None:
    peers: list[Peer] = []
    server = await serve(
        lambda m: None, on_connected=peers.append, limits=Limits(send_buffer=10_000)
    )
    sock = stack.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((server.address.host, server.address.port))
    await until(lambda: peers)
    sending = asyncio.create_task(peers[0].send_many([b"x" * 100] * 1_000_000, 1))
    # As soon as the system has no room for more, what waits is what `send_buffer` admits.
    await until(lambda: "bytes wait" in _refusal(peers[0]))
    waiting = int(_refusal(peers[0]).split(" bytes wait")[0].split()[-1])
    assert waiting <= 10_000 + 108
    sending.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await within(sending)
    [note] = caught.value.__notes__
    assert note.endswith("of 1000000 messages were accepted")
    peers[0].abort()


def _refusal(peer: Peer) -> str:
    try:
        peer.send_nowait(b"", 1)
    except BlockingIOError as error:
        return str(error)
    return ""


async def test_a_connection_that_is_lost_tells_how_many_were_accepted_and_how_many_were_not_sent(
    serve: Serve, within: Within, stack: AsyncExitStack
) -> None:
    peers: list[Peer] = []
    lost: asyncio.Future[ConnectionLost | None] = asyncio.get_running_loop().create_future()
    server = await serve(
        lambda m: None,
        on_connected=peers.append,
        on_disconnected=lambda peer, error: lost.set_result(error),
    )
    sock = stack.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((server.address.host, server.address.port))
    await until(lambda: peers)
    sending = asyncio.create_task(peers[0].send_many([b"x" * 100] * 1_000_000, 1))
    await until(lambda: _refusal(peers[0]))
    peers[0].abort()
    with pytest.raises(SendIncomplete, match="of 1000000 messages were accepted") as caught:
        await within(sending)
    assert isinstance(caught.value.__cause__, ConnectionLost)
    error = await within(lost)
    assert error is not None
    # 64 KiB of frames of 108 bytes wait here; what the transport holds is in doubt.
    assert 600 <= error.unsent <= 608
    assert 0 < error.unsent + error.in_doubt < caught.value.accepted < 1_000_000


@pytest.mark.parametrize("at", [0, 1, 70, 699])
async def test_one_that_cannot_be_sent_costs_itself_and_those_after_it(
    serve: Serve, connect: Connect, within: Within, at: int
) -> None:
    received: list[bytes] = []
    server = await serve(lambda m: received.append(m.body), wire=Wire(Mti(max_size=100)))
    client = await connect(server)
    bodies = [b"%d" % number for number in range(700)]
    bodies[at] = bytes(101)
    with pytest.raises(SendIncomplete, match=rf"{at} of 700 .* max_size, 100") as caught:
        await within(client.send_many(bodies))
    assert caught.value.accepted == at
    assert isinstance(caught.value.__cause__, PayloadError)
    await within(client.send(b"last"))
    await until(lambda: b"last" in received)
    assert received == [*bodies[:at], b"last"]


@pytest.mark.parametrize("compress", [None, "deflate"])
@pytest.mark.parametrize("at", [0, 5, 300])
async def test_typed_ones_are_encoded_up_to_the_first_that_is_wrong(
    serve: Serve, connect: Connect, within: Within, at: int, compress: str | None
) -> None:
    codec = Codec("json", compress=compress, min_size=20)
    received: list[object] = []
    server = await serve(lambda m: received.append(m.body), wire=Wire(Mti(), codec))
    client = await connect(server)
    bodies: list[object] = [{"n": number, "text": "x" * 30} for number in range(400)]
    bodies[at] = object()
    with pytest.raises(SendIncomplete, match=rf"^{at} of 400") as caught:
        await within(client.send_many(bodies))
    assert (caught.value.accepted, type(caught.value.__cause__).__mro__[1]) == (at, CodecError)
    await within(client.send_many([{"n": 1}, ["another", "class"]]))
    await until(lambda: len(received) == at + 2)
    assert received == [*bodies[:at], {"n": 1}, ["another", "class"]]


async def test_values_of_several_types_keep_theirs(
    serve: Serve, connect: Connect, within: Within
) -> None:
    types = MessageTypes()
    position = dataclasses.make_dataclass("Position", [("lat", float)])
    speed = dataclasses.make_dataclass("Speed", [("ms", int)])
    types.add(1, position)
    types.add(2, speed)
    received: list[StreamMessage[object]] = []
    server = await serve(received.append, wire=Wire(Mti(), Codec("json", types=types)))
    client = await connect(server)
    values = [position(float(n)) if n % 3 else speed(n) for n in range(300)]
    await within(client.send_many(values))
    await within(client.send_many(values[1:3]))
    await until(lambda: len(received) == 302)
    assert [message.body for message in received] == values + values[1:3]
    assert [message.type_id for message in received[:4]] == [2, 1, 1, 2]
    with pytest.raises(SendIncomplete, match=r"0 of 1 .* type_id=3 was given"):
        await client.send_many(values[:1], 3)
    # A list that has to wait for room again and again.
    received.clear()
    text = dataclasses.make_dataclass("Text", [("text", str)])
    types.add(3, text)
    large = [text(str(n) * 2000) if n % 3 else speed(n) for n in range(200)]
    await within(client.send_many(large))
    await until(lambda: len(received) == 200)
    assert [message.body for message in received] == large
    assert [message.type_id for message in received] == [3 if n % 3 else 2 for n in range(200)]


@pytest.mark.parametrize("codec", [None, Codec("json")])
@pytest.mark.parametrize("type_id", [1.5, "7", [1, 2, 3], -1, 2**32])
async def test_what_is_no_type_identifier_is_refused_by_name(
    serve: Serve, connect: Connect, type_id: object, codec: Codec | None
) -> None:
    client = await connect(await serve(lambda m: None, wire=Wire(Mti(), codec)))
    with pytest.raises(SendIncomplete, match=r"0 of 3 .* type identifier .* got ") as caught:
        await client.send_many([b"1"] * 3 if codec is None else [1] * 3, type_id)  # type: ignore[arg-type]
    assert isinstance(caught.value.__cause__, PayloadError)


async def test_others_run_after_each_buffer_of_a_long_list(serve: Serve, connect: Connect) -> None:
    received: list[bytes] = []
    server = await serve(lambda m: received.append(m.body))
    client = await connect(server)
    await client.wait_connected()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await client.send_many([b"x" * 64] * 20_000, 1)
    counting.cancel()
    # 1,440,000 bytes are 22 times `send_buffer`.
    assert turns >= 20
    await until(lambda: len(received) == 20_000)


@pytest.mark.parametrize("size", [700, 30_000, 40_000])
async def test_many_calls_within_a_turn_keep_within_send_buffer_and_in_order(
    serve: Serve, connect: Connect, within: Within, size: int
) -> None:
    received: list[bytes] = []
    server = await serve(lambda m: received.append(m.body))
    client = await connect(server)
    await client.wait_connected()
    some = [b"%d" % number + bytes(60) for number in range(size // 70)]
    for _ in range(20):
        await within(client.send_many(some, 1))
        await within(client.send(b"between", 1))
    await until(lambda: len(received) == 20 * (len(some) + 1))
    assert received == [*some, b"between"] * 20


@pytest.mark.parametrize("single", [b"bytes", "text", bytearray(b"x"), memoryview(b"x")])
async def test_a_single_message_is_refused(serve: Serve, connect: Connect, single: bytes) -> None:
    client = await connect(await serve(lambda m: None))
    with pytest.raises(TypeError, match="several messages, got one: " + type(single).__name__):
        await client.send_many(single)  # type: ignore[arg-type]


async def test_a_client_waits_for_its_connection_and_tells_when_there_is_none() -> None:
    client = StreamClient("tcp://127.0.0.1:1", Wire(Mti()), connect_timeout=0.05)
    with pytest.raises(SendIncomplete, match="0 of 1") as caught:
        await client.send_many([b"x"])
    assert isinstance(caught.value.__cause__, StateError)
    async with client:
        with pytest.raises(SendIncomplete, match="0 of 1") as caught:
            await client.send_many([b"x"])
        assert isinstance(caught.value.__cause__, NotConnected)


async def test_a_list_that_changes_meanwhile_is_sent_as_it_was(
    serve: Serve, connect: Connect, within: Within
) -> None:
    received: list[bytes] = []
    server = await serve(lambda m: received.append(m.body))
    client = await connect(server)
    await client.wait_connected()
    bodies = [b"x" * 1000] * 1000
    sending = asyncio.create_task(client.send_many(bodies, 1))
    await until(lambda: received)
    bodies.clear()
    await within(sending)
    await until(lambda: len(received) == 1000)


async def test_an_iterator_without_an_end_waits_for_the_peer(
    serve: Serve, within: Within, stack: AsyncExitStack
) -> None:
    peers: list[Peer] = []
    server = await serve(lambda m: None, on_connected=peers.append)
    sock = stack.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((server.address.host, server.address.port))
    await until(lambda: peers)
    given = itertools.count()
    sending = asyncio.create_task(peers[0].send_many(b"%0100d" % n for n in given))
    await until(lambda: _refusal(peers[0]))
    sending.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await within(sending)
    (note,) = caught.value.__notes__
    accepted = int(note.removesuffix(" messages were accepted"))
    assert 0 <= next(given) - accepted <= MOST


async def test_what_an_iterator_gave_before_it_raises_is_sent(
    serve: Serve, connect: Connect, within: Within
) -> None:
    received: list[bytes] = []
    server = await serve(lambda m: received.append(m.body))
    client = await connect(server)

    def numbers() -> Iterator[bytes]:
        for number in range(MOST + 5):
            yield b"%d" % number
        raise KeyError("no more")

    def whole_lists() -> Iterator[bytes]:
        yield from [b"full"] * MOST
        raise KeyError("no more")

    with pytest.raises(SendIncomplete, match=rf"^{MOST} messages were accepted"):
        await within(client.send_many(whole_lists()))
    await until(lambda: len(received) == MOST)
    received.clear()
    with pytest.raises(SendIncomplete, match=rf"^{MOST + 5} messages were accepted") as caught:
        await within(client.send_many(numbers()))
    assert caught.value.accepted == MOST + 5
    assert isinstance(caught.value.__cause__, KeyError)
    await within(client.send(b"last"))
    await until(lambda: b"last" in received)
    assert received == [*(b"%d" % number for number in range(MOST + 5)), b"last"]


async def test_another_thread_may_have_the_loop_send_them(serve: Serve, connect: Connect) -> None:
    received: list[bytes] = []
    server = await serve(lambda m: received.append(m.body))
    client = await connect(server)
    await client.wait_connected()
    loop = asyncio.get_running_loop()

    def numbers() -> Iterator[bytes]:
        for number in range(3):
            yield b"%d" % number

    def send() -> None:
        asyncio.run_coroutine_threadsafe(client.send_many(numbers(), 1), loop).result(10)

    thread = threading.Thread(target=send)
    thread.start()
    await until(lambda: len(received) == 3)
    await asyncio.to_thread(thread.join)
    assert received == [b"0", b"1", b"2"]
