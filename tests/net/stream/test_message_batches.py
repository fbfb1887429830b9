"""Handlers that take what a read has brought at once."""

import asyncio
import dataclasses
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from gestalt.codecs import Codec, DecodeError, MessageTypes
from gestalt.core import Discard, HandlerNotFound, Handlers, MessageBatch
from gestalt.net import (
    ConnectionLost,
    Delimited,
    Framing,
    FramingError,
    HandlerError,
    LengthPrefix,
    Mti,
    Netstring,
    Peer,
    Raw,
    SendIncomplete,
    StreamBatch,
    StreamClient,
    StreamMessage,
    StreamServer,
    Tls,
    Wire,
)
from gestalt.net.batch import MOST
from gestalt.net.pace import BUDGET
from tests.net.fixtures import DEADLINE, Connect, Serve, Within
from tests.support.waiting import until

from .batches import MTI, Received, frames, write

JSON = Codec("json")


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    "framing", [Mti(), Mti("little"), LengthPrefix(4), Netstring(), Delimited(b"\n"), Raw()]
)
async def test_all_come_in_order_in_bounded_batches(
    serve: Serve, connect: Connect, within: Within, framing: Framing, asynchronous: bool
) -> None:
    received = Received()
    handler = received.take_later if asynchronous else received.take
    server = await serve(on_messages=handler, wire=Wire(framing))
    client = await connect(server)
    bodies = [b"%d" % number * (number % 20 + 1) for number in range(20_000)]
    await within(client.send_many(bodies))
    expected = b"".join(bodies)
    await until(lambda: sum(map(len, received.bodies)) == len(expected))
    assert received.bodies == bodies or isinstance(framing, Raw)
    assert b"".join(received.bodies) == expected
    assert max(map(len, received.batches)) <= MOST
    if not isinstance(framing, Raw):
        assert len(received.batches) < 500


async def test_a_batch_is_what_the_core_says_and_knows_its_peer(
    serve: Serve, within: Within
) -> None:
    received = Received()
    server = await serve(on_messages=received.take, **received.options())
    await within(write(server, frames(3)))
    await within(received.gone.wait())
    [batch] = received.batches
    assert isinstance(batch, MessageBatch)
    assert (len(batch), batch.bodies, batch.type_ids) == (3, [b"0", b"1", b"2"], [7, 8, 7])
    assert batch.source is batch.peer
    assert batch.sources == [batch.peer] * 3
    messages = list(batch)
    assert all(type(message) is StreamMessage for message in messages)
    assert [(m.body, m.type_id, m.peer) for m in messages] == [
        (b"0", 7, batch.peer),
        (b"1", 8, batch.peer),
        (b"2", 7, batch.peer),
    ]
    assert batch[1] is messages[1]
    assert list(batch) == messages
    assert repr(batch) == "<StreamBatch of 3>"


async def test_a_framing_without_identifiers_has_none(serve: Serve, within: Within) -> None:
    received = Received()
    server = await serve(on_messages=received.take, wire=Wire(Delimited()), **received.options())
    await within(write(server, b"a\nb\n"))
    await within(received.gone.wait())
    assert received.batches[0].type_ids == [None, None]
    assert [message.type_id for message in received.batches[0]] == [None, None]


async def test_more_than_the_most_come_as_several(serve: Serve, within: Within) -> None:
    received = Received()
    server = await serve(on_messages=received.take, **received.options())
    await within(write(server, MTI.encode(b"") * (2 * MOST + 5)))
    await within(received.gone.wait())
    assert sum(map(len, received.batches)) == 2 * MOST + 5
    assert max(map(len, received.batches)) <= MOST
    assert [type_id for batch in received.batches for type_id in batch.type_ids] == [0] * (
        2 * MOST + 5
    )


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("at", [0, 1, 150, 199])
async def test_one_that_does_not_decode_is_named_and_those_before_it_are_handled(
    serve: Serve, within: Within, at: int, asynchronous: bool
) -> None:
    received = Received()
    handler = received.take_later if asynchronous else received.take
    server = await serve(on_messages=handler, wire=Wire(MTI, JSON), **received.options())
    good = b"".join(MTI.encode(b"%d" % number, 7) for number in range(at))
    rest = b"".join(MTI.encode(b"0", 7) for _ in range(200 - at - 1))
    await within(write(server, good + MTI.encode(b"nonsense", 7) + rest))
    await within(received.gone.wait())
    assert received.bodies == list(range(at))
    [error] = received.errors
    assert isinstance(error, ConnectionLost)
    cause = error.__cause__
    assert isinstance(cause, DecodeError)
    [note] = cause.__notes__
    # Where the system has split what was sent, counting began anew.
    assert note.startswith("in message ")
    assert note.endswith(" that arrived together: 8 bytes, type id 7")
    stats = server.stats
    assert (stats.faults, stats.received, stats.handled) == (1, 200, at)
    assert stats.abandoned == 200 - at


async def test_what_breaks_the_framing_comes_after_what_was_good(
    serve: Serve, within: Within
) -> None:
    received = Received()
    server = await serve(
        on_messages=received.take, wire=Wire(Mti(max_size=100)), **received.options()
    )
    await within(write(server, frames(50) + MTI.encode(bytes(101), 7) + frames(5)))
    await within(received.gone.wait())
    assert received.bodies == [b"%d" % number for number in range(50)]
    assert isinstance(received.errors[0].__cause__, FramingError)
    assert [type_id for batch in received.batches for type_id in batch.type_ids] == [7, 8] * 25


async def test_typed_messages_of_several_types_are_decoded_each_as_its_own(
    serve: Serve, connect: Connect, within: Within
) -> None:
    types = MessageTypes()
    position = dataclasses.make_dataclass("Position", [("lat", float)])
    speed = dataclasses.make_dataclass("Speed", [("ms", int)])
    types.add(1, position)
    types.add(2, speed)
    received = Received()
    server = await serve(on_messages=received.take, wire=Wire(MTI, Codec("json", types=types)))
    client = await connect(server)
    values = [position(float(n)) if n % 3 else speed(n) for n in range(300)]
    await within(client.send_many(values))
    await within(client.send_many(values[1:3] * 100))
    await until(lambda: len(received.bodies) == 500)
    assert received.bodies == values + values[1:3] * 100


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_outcomes_of_single_messages_are_told_as_if_they_had_come_alone(
    serve: Serve, within: Within, asynchronous: bool
) -> None:
    received = Received()

    def handle(batch: StreamBatch[bytes]) -> None:
        for message in batch:
            if message.body == b"3":
                batch.fail(message, ValueError("three"))
            elif message.body in (b"5", b"6"):
                batch.fail(message, Discard("not now"))
        received.take(batch)

    async def handle_later(batch: StreamBatch[bytes]) -> None:
        await asyncio.sleep(0)
        handle(batch)

    server = await serve(on_messages=handle_later if asynchronous else handle, **received.options())
    await within(write(server, frames(10)))
    await within(received.gone.wait())
    assert len(received.bodies) == 10
    [error] = received.errors
    assert isinstance(error, HandlerError)
    assert isinstance(error.message, StreamMessage)
    assert error.message.body == b"3"
    assert error.batch is None
    assert isinstance(error.__cause__, ValueError)
    stats = server.stats
    assert (stats.handler_errors, stats.failed, stats.discarded) == (1, 1, 2)
    assert (stats.received, stats.handled, stats.abandoned) == (10, 7, 0)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_exception_is_about_the_batch_and_the_peer_stays(
    serve: Serve, within: Within, asynchronous: bool
) -> None:
    received = Received()

    def handle(batch: StreamBatch[bytes]) -> None:
        received.take(batch)
        if batch[0].body == b"discard":
            raise Discard("all of them")
        if batch[0].body == b"0":
            batch.fail(batch[1], KeyError("one"))
            raise ValueError("at once")

    async def handle_later(batch: StreamBatch[bytes]) -> None:
        await asyncio.sleep(0)
        handle(batch)

    peers: list[Peer] = []
    server = await serve(
        on_messages=handle_later if asynchronous else handle,
        on_connected=peers.append,
        on_error=received.errors.append,
    )
    _, writer = await asyncio.open_connection(server.address.host, server.address.port)
    writer.write(frames(4))
    await until(lambda: len(received.bodies) == 4)
    writer.write(MTI.encode(b"discard") * 3)
    await until(lambda: len(received.bodies) == 7)
    writer.write(frames(1, b"later"))
    await until(lambda: received.bodies[-1] == b"later")
    raised, failed = received.errors
    assert isinstance(raised, HandlerError)
    assert isinstance(failed, HandlerError)
    assert raised.batch is received.batches[0]
    assert raised.message is None
    assert "the handler of <StreamBatch of 4>" in str(raised)
    assert isinstance(raised.__cause__, ValueError)
    assert failed.message is received.batches[0][1]
    stats = server.stats
    assert (stats.handler_errors, stats.failed, stats.discarded) == (2, 4, 3)
    assert (stats.received, stats.handled) == (8, 1)
    assert peers[0].connected
    writer.close()


@pytest.mark.parametrize("how", ["raised", "failed", "raised later"])
async def test_what_no_handler_takes_is_the_fault_of_the_peer(
    serve: Serve, within: Within, how: str
) -> None:
    received = Received()
    table = Handlers()

    @table.on(7)
    def seven(message: StreamMessage[bytes]) -> None:
        received.bodies.append(message.body)

    def handle(batch: StreamBatch[bytes]) -> None:
        for message in batch:
            if how == "failed":
                try:
                    table(message)
                except HandlerNotFound as error:
                    batch.fail(message, error)
            else:
                table(message)

    async def handle_later(batch: StreamBatch[bytes]) -> None:
        await asyncio.sleep(0)
        handle(batch)

    handler = handle_later if how == "raised later" else handle
    server = await serve(on_messages=handler, **received.options())
    await within(write(server, frames(4)))
    await within(received.gone.wait())
    assert received.bodies == ([b"0", b"2"] if how == "failed" else [b"0"])
    assert isinstance(received.errors[0].__cause__, HandlerNotFound)
    stats = server.stats
    assert stats.handler_errors == 0
    # Those that a handler took before it raised are not known.
    assert (stats.received, stats.abandoned) == (4, 2 if how == "failed" else 4)


async def test_the_type_identifiers_of_a_read_are_unpacked_once(
    serve: Serve, within: Within
) -> None:
    unpacked: list[int] = []

    class Counting(Mti):
        def cut_together(
            self, data: bytes, payloads: list[bytes]
        ) -> tuple[int, int, Callable[[], Sequence[int | None]]]:
            used, needed, type_ids = super().cut_together(data, payloads)
            read = len(unpacked)
            unpacked.append(0)

            def unpack() -> Sequence[int | None]:
                unpacked[read] += 1
                return type_ids()

            return used, needed, unpack

    received = Received()
    server = await serve(on_messages=received.take, wire=Wire(Counting(), JSON))
    await within(write(server, frames(5000)))
    assert received.bodies == list(range(5000))
    assert {each for batch in received.batches for each in batch.type_ids} == {7, 8}
    assert len(received.batches) > len(unpacked)
    assert set(unpacked) == {1}


async def test_what_a_later_handler_finds_is_the_fault_of_the_peer_too(
    serve: Serve, within: Within
) -> None:
    received = Received()

    async def handle(batch: StreamBatch[bytes]) -> None:
        await asyncio.sleep(0)
        for message in batch:
            if message.body == b"1":
                batch.fail(message, HandlerNotFound("nobody", message))
            else:
                received.bodies.append(message.body)

    server = await serve(on_messages=handle, **received.options())
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (server.address.host, server.address.port))
        await loop.sock_sendall(sock, MTI.encode(b"0"))
        await until(lambda: received.bodies)
        await loop.sock_sendall(sock, frames(4))
        await within(received.gone.wait())
    assert received.bodies == [b"0", b"0", b"2", b"3"]
    assert isinstance(received.errors[0].__cause__, HandlerNotFound)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_a_batch_has_failed_before_is_told_beside_a_fault_of_the_peer(
    serve: Serve, within: Within, asynchronous: bool
) -> None:
    received = Received()

    def handle(batch: StreamBatch[bytes]) -> None:
        batch.fail(batch[0], ValueError("one"))
        raise HandlerNotFound("nobody", batch[2])

    async def handle_later(batch: StreamBatch[bytes]) -> None:
        await asyncio.sleep(0)
        handle(batch)

    handler = handle_later if asynchronous else handle
    server = await serve(on_messages=handler, **received.options())
    await within(write(server, frames(4)))
    await within(received.gone.wait())
    failed, lost = received.errors
    assert isinstance(failed, HandlerError)
    assert failed.message is not None
    assert isinstance(lost.__cause__, HandlerNotFound)
    stats = server.stats
    assert (stats.failed, stats.abandoned, stats.handled) == (1, 3, 0)


async def test_answers_go_to_the_peer_with_the_read_that_brought_the_questions(
    serve: Serve, within: Within
) -> None:
    async def answer(batch: StreamBatch[bytes]) -> None:
        await batch.reply_many([body + b"!" for body in batch.bodies], 9)

    server = await serve(on_messages=answer)
    replies = await within(write(server, frames(100)))
    assert list(MTI.decoder().feed(replies)) == [(b"%d!" % n, 9) for n in range(100)]


async def test_an_answer_to_a_peer_that_has_left_is_no_error(
    serve: Serve, connect: Connect, within: Within
) -> None:
    received = Received()
    answered: list[BaseException | None] = []

    async def answer(batch: StreamBatch[bytes]) -> None:
        batch.peer.abort()
        try:
            await batch.reply_many(batch.bodies)
        except SendIncomplete as error:
            answered.append(error.__cause__)
            raise

    server = await serve(on_messages=answer, **received.options())
    client = await connect(server)
    await client.send_many([b"x"])
    await within(received.gone.wait())
    await until(lambda: answered)
    await within(server.stop())
    assert isinstance(answered[0], ConnectionLost)
    assert received.errors == []


async def test_over_tls_and_unix_sockets_and_back_to_a_client(
    within: Within, stack: AsyncExitStack, tmp_path: Path
) -> None:
    authority = trustme.CA()
    chain = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    chain.write_to_path(str(tmp_path / "server.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ours, theirs = Tls(certificate=tmp_path / "server.pem"), Tls(ca=tmp_path / "ca.pem")
    for url, tls in (("tls://127.0.0.1:0", True), (f"unix://{tmp_path}/socket", False)):

        async def echo(batch: StreamBatch[bytes]) -> None:
            await batch.reply_many(batch.bodies, 3)

        received = Received()
        server = await stack.enter_async_context(
            StreamServer(url, Wire(MTI), on_messages=echo, tls=ours if tls else None)
        )
        client = await stack.enter_async_context(
            StreamClient(
                server.address, Wire(MTI), on_messages=received.take, tls=theirs if tls else None
            )
        )
        bodies = [b"%d" % number for number in range(10_000)]
        await within(client.send_many(bodies))
        await until(lambda received=received: len(received.bodies) == 10_000)
        assert received.bodies == bodies


def test_what_excludes_batches_is_refused() -> None:
    def handle(batch: StreamBatch[bytes]) -> None:
        raise NotImplementedError

    def one(message: StreamMessage[bytes]) -> None:
        raise NotImplementedError

    def server(**options: Any) -> StreamServer:
        return StreamServer("tcp://127.0.0.1:0", Wire(MTI), **options)

    with pytest.raises(ValueError, match="on_messages= and on_message= exclude each other"):
        server(on_messages=handle, on_message=one)
    with pytest.raises(ValueError, match="on_messages= and key= exclude each other"):
        server(on_messages=handle, key=lambda message: 1)
    with pytest.raises(TypeError, match="Handlers choose by the type of one message"):
        server(on_messages=Handlers())
    with pytest.raises(TypeError, match="needs on_message= or on_messages="):
        server()
    with pytest.raises(TypeError, match="a function of a MessageBatch, got an object of type int"):
        server(on_messages=5)


async def test_a_batch_waits_for_the_next_turn_where_another_peer_has_spent_this_one(
    serve: Serve, within: Within
) -> None:
    turns: list[int] = []
    turn = 0

    def hold(batch: StreamBatch[bytes]) -> None:
        turns.append(turn)
        begun = time.monotonic()
        while time.monotonic() - begun < BUDGET:
            pass

    server = await serve(on_messages=hold)
    with ExitStack() as sockets:
        host, port = server.address.host, server.address.port
        peers = [sockets.enter_context(socket.create_connection((host, port))) for _ in range(4)]
        await until(lambda: len(server.peers) == 4)
        # The event loop finds all of them in one turn.
        for peer in peers:
            peer.sendall(MTI.encode(b"hello"))
        async with asyncio.timeout(DEADLINE):
            while len(turns) < 4:
                await asyncio.sleep(0)
                turn += 1
    assert turns == sorted(set(turns))


async def test_small_ones_between_compressed_ones_come_as_they_are(
    serve: Serve, connect: Connect, within: Within
) -> None:
    received = Received()
    wire = Wire(MTI, Codec("text", compress="deflate", min_size=100))
    server = await serve(on_messages=received.take, wire=wire)
    client = await connect(server)
    bodies = ["small", "large" * 1000, "", "large" * 1000, "small"]
    await within(client.send_many(bodies))
    await until(lambda: len(received.bodies) == len(bodies))
    assert received.bodies == bodies
