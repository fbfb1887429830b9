"""Handlers that take what a read has brought at once."""

import asyncio
import dataclasses
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from gestalt.codecs import Codec, DecodeError, MessageTypes
from gestalt.core import Discard, HandlerNotFound, Handlers, MessageBatch
from gestalt.core.metrics import measure
from gestalt.net import (
    ConnectionLost,
    Delimited,
    Framing,
    FramingError,
    HandlerError,
    LengthPrefix,
    Limits,
    Mti,
    NetError,
    Netstring,
    Peer,
    Raw,
    SendBufferFull,
    SendIncomplete,
    StreamBatch,
    StreamClient,
    StreamMessage,
    StreamServer,
    Tls,
    Wire,
)
from gestalt.net.batch import MOST
from tests.net.fixtures import Connect, Serve, Within
from tests.support.waiting import until

MTI = Mti()
JSON = Codec("json")


class Received:
    """What came, batch by batch, and what was told."""

    def __init__(self) -> None:
        self.batches: list[StreamBatch[Any]] = []
        self.errors: list[NetError] = []
        self.bodies: list[Any] = []
        self.gone = asyncio.Event()

    def take(self, batch: StreamBatch[Any]) -> None:
        self.batches.append(batch)
        self.bodies += batch.bodies

    async def take_later(self, batch: StreamBatch[Any]) -> None:
        await asyncio.sleep(0)
        self.take(batch)

    def options(self) -> dict[str, Any]:
        return {
            "on_error": self.errors.append,
            "on_disconnected": lambda peer, error: self.gone.set(),
        }


async def write(server: StreamServer, data: bytes, *, end: bool = True) -> bytes:
    """Send bytes by a plain socket, so that one read takes them; return what comes back."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (server.address.host, server.address.port))
        await loop.sock_sendall(sock, data)
        if end:
            sock.shutdown(socket.SHUT_WR)
        replies = b""
        with suppress(ConnectionError):
            while piece := await loop.sock_recv(sock, 65536):
                replies += piece
        return replies


def frames(count: int, body: bytes = b"%d") -> bytes:
    return b"".join(MTI.encode(body.replace(b"%d", b"%d" % n), 7 + n % 2) for n in range(count))


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


async def test_who_comes_in_a_turn_that_is_used_up_waits_for_the_next(
    serve: Serve, within: Within
) -> None:
    received = Received()
    loop = asyncio.get_running_loop()
    calls: list[bool] = []

    def handle(batch: StreamBatch[bytes]) -> None:
        calls.append(asyncio.current_task() is None)
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass
        received.take(batch)

    server = await serve(on_messages=handle)
    with socket.socket() as one, socket.socket() as two:
        for sock in (one, two):
            sock.setblocking(False)
            await loop.sock_connect(sock, (server.address.host, server.address.port))
        await until(lambda: len(server.peers) == 2)
        for sock in (one, two):
            assert sock.send(MTI.encode(b"at once"))
        await until(lambda: len(received.bodies) == 2)
    # The first one within its read, the other one by a task.
    assert calls == [True, False]


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


async def test_a_slow_handler_slows_its_own_peer_and_memory_stays_bounded(
    serve: Serve, connect: Connect, within: Within
) -> None:
    release = asyncio.Event()
    received = Received()

    async def handle(batch: StreamBatch[bytes]) -> None:
        received.take(batch)
        await release.wait()

    server = await serve(on_messages=handle, limits=Limits(stall_timeout=None))
    client = await connect(server, limits=Limits(stall_timeout=None))
    sending = asyncio.create_task(client.send_many([b"x" * 1000] * 100_000))
    await until(lambda: received.batches and not _takes_more(client))
    assert not sending.done()
    assert len(received.batches) == 1
    other = await connect(server)
    await within(other.send(b"other"))
    await until(lambda: len(received.batches) == 2)
    release.set()
    await within(sending)
    await until(lambda: sum(map(bool, received.bodies)) == 100_001)


def _takes_more(client: StreamClient) -> bool:
    try:
        client.send_nowait(b"")
    except SendBufferFull:
        return False
    return True


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_concurrency_is_that_of_batches(
    serve: Serve, within: Within, concurrency: int, stack: AsyncExitStack
) -> None:
    release = asyncio.Event()
    under_way: list[int] = []
    most = 0
    received = Received()

    async def handle(batch: StreamBatch[bytes]) -> None:
        nonlocal most
        under_way.append(len(batch))
        most = max(most, len(under_way))
        await release.wait()
        under_way.pop()
        received.take(batch)

    server = await serve(on_messages=handle, concurrency=concurrency, **received.options())
    writing = asyncio.create_task(write(server, MTI.encode(b"") * 4 * MOST))
    await until(lambda: len(under_way) == concurrency)
    [in_flight] = [m for m in measure(server) if m.name == "in_flight"]
    assert in_flight.value == sum(under_way)
    release.set()
    await within(writing)
    await within(received.gone.wait())
    assert len(received.bodies) == 4 * MOST
    assert most == concurrency


async def test_a_stop_handles_what_has_come_and_answers_it(serve: Serve, within: Within) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def answer(batch: StreamBatch[bytes]) -> None:
        begun.set()
        await release.wait()
        await batch.reply_many(batch.bodies, 9)

    server = await serve(on_messages=answer)
    writing = asyncio.create_task(write(server, frames(2000), end=False))
    await within(begun.wait())
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    release.set()
    await within(stopping)
    replies = list(MTI.decoder().feed(await within(writing)))
    # What the server had not read when it stopped is not answered.
    assert replies == [(b"%d" % n, 9) for n in range(len(replies))]
    assert replies


async def test_a_stop_that_is_cut_ends_handlers_that_hang(serve: Serve, within: Within) -> None:
    begun = asyncio.Event()
    received = Received()

    async def hang(batch: StreamBatch[bytes]) -> None:
        begun.set()
        await asyncio.Event().wait()

    server = await serve(on_messages=hang, stop_timeout=0.05, **received.options())
    writing = asyncio.create_task(write(server, frames(10), end=False))
    await within(begun.wait())
    await within(server.stop())
    await within(writing)
    assert received.errors == []


async def test_who_cancels_a_handler_costs_its_batch_and_not_the_handling(
    serve: Serve, connect: Connect, within: Within
) -> None:
    received = Received()

    async def handle(batch: StreamBatch[bytes]) -> None:
        await asyncio.sleep(0)
        if batch.bodies[0] == b"cancel":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        received.take(batch)

    server = await serve(on_messages=handle, on_error=received.errors.append)
    client = await connect(server)
    await client.send(b"cancel")
    await until(lambda: received.errors)
    await client.send(b"later")
    await until(lambda: received.bodies == [b"later"])
    assert isinstance(received.errors[0], HandlerError)
    assert received.errors[0].batch is not None


async def test_plain_handlers_that_take_long_give_way_to_others(
    serve: Serve, connect: Connect, within: Within
) -> None:
    received = Received()
    ticks: list[float] = []

    def slow(batch: StreamBatch[bytes]) -> None:
        time.sleep(0.006)
        received.take(batch)

    server = await serve(on_messages=slow, **received.options())
    loop = asyncio.get_running_loop()

    def tick() -> None:
        ticks.append(len(received.batches))
        if not received.gone.is_set():
            loop.call_soon(tick)

    tick()
    await within(write(server, MTI.encode(b"") * 6 * MOST))
    await within(received.gone.wait())
    assert len(received.bodies) == 6 * MOST
    # The loop has had its turn between any two batches.
    assert set(range(len(received.batches))) <= set(ticks)


async def test_a_compressed_batch_ends_before_it_becomes_large(
    serve: Serve, connect: Connect, within: Within
) -> None:
    codec = Codec("json", compress="zstd" if _has_zstd() else "deflate", min_size=100)
    received = Received()
    server = await serve(on_messages=received.take, wire=Wire(MTI, codec))
    client = await connect(server)
    bodies = ["x" * 100_000] * 40 + ["small"] * 40
    await within(client.send_many(bodies))
    await until(lambda: len(received.bodies) == 80)
    assert received.bodies == bodies
    assert max(len("".join(batch.bodies)) for batch in received.batches) <= 400_000


def _has_zstd() -> bool:
    try:
        Codec("json", compress="zstd")
    except Exception:
        return False
    return True


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
