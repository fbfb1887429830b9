"""Datagrams that are sent, and handled, many at a time."""

import asyncio
import socket
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from gestalt.codecs import Codec
from gestalt.core import Discard, HandlerNotFound, Handlers, MessageBatch
from gestalt.core.metrics import measure
from gestalt.net import (
    Address,
    DatagramDropped,
    DatagramEndpoint,
    DatagramMessage,
    DatagramMessageBatch,
    DatagramOptions,
    DatagramTooLarge,
    HandlerError,
    Mti,
    NetError,
    NotConnected,
    PeerUnreachable,
    Raw,
    SendFailed,
    SendIncomplete,
    Wire,
)
from tests.net.datagram.fixtures import StartEndpoint, Take, Until
from tests.net.fixtures import Within

RAW = Wire(Raw())
JSON = Wire(Mti(), Codec("json"))


class Received:
    """What came, batch by batch, and what was told."""

    def __init__(self) -> None:
        self.batches: list[DatagramMessageBatch[Any]] = []
        self.errors: list[NetError] = []
        self.bodies: list[Any] = []

    def take(self, batch: DatagramMessageBatch[Any]) -> None:
        self.batches.append(batch)
        self.bodies += batch.bodies

    async def take_later(self, batch: DatagramMessageBatch[Any]) -> None:
        await asyncio.sleep(0)
        self.take(batch)


def send_plain(sock: socket.socket, endpoint: DatagramEndpoint, *datagrams: bytes) -> None:
    """Send before the endpoint's event loop has a turn, so that it finds them together."""
    for datagram in datagrams:
        sock.sendto(datagram, (endpoint.address.host, endpoint.address.port))


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_has_come_is_handled_together(
    endpoint: StartEndpoint,
    plain_socket: socket.socket,
    until: Until,
    asynchronous: bool,
) -> None:
    received = Received()
    handler = received.take_later if asynchronous else received.take
    server = await endpoint(on_messages=handler)
    mti = Mti()
    send_plain(plain_socket, server, *(mti.encode(b"%d" % n, n) for n in range(100)))
    await until(lambda: len(received.bodies) == 100)
    assert received.bodies == [b"%d" % n for n in range(100)]
    # Up to 64 at a time; the first asynchronous handler takes them while the others wait.
    assert len(received.batches) <= 4
    batch = received.batches[0]
    where = Address("udp", *plain_socket.getsockname())
    assert isinstance(batch, MessageBatch)
    assert batch.type_ids[:3] == [0, 1, 2]
    assert batch.source == where
    assert batch.sources == [where] * len(batch)
    assert type(batch[2]) is DatagramMessage
    assert (batch[2].body, batch[2].type_id, batch[2].source) == (b"2", 2, where)
    assert server.stats.received == 100


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_is_no_message_costs_itself_alone(
    endpoint: StartEndpoint, plain_socket: socket.socket, until: Until, asynchronous: bool
) -> None:
    received = Received()
    server = await endpoint(
        wire=JSON,
        on_messages=received.take_later if asynchronous else received.take,
        on_error=received.errors.append,
        max_size=1000,
    )
    mti = Mti()
    bad = [mti.encode(b"nonsense", 7), b"x", mti.encode(b"1", 7) * 2, bytes(1001)]
    good = [mti.encode(b"%d" % n, 7) for n in range(8)]
    send_plain(plain_socket, server, *good[:2], bad[0], good[2], bad[1], *good[3:5], *bad[2:])
    send_plain(plain_socket, server, bad[0], *good[5:], bad[0])
    await until(lambda: len(received.bodies) == 8 and len(received.errors) == 6)
    assert received.bodies == list(range(8))
    stats = server.stats
    assert (stats.undecodable, stats.truncated, stats.malformed, stats.too_large) == (3, 1, 1, 1)
    assert all(isinstance(error, DatagramDropped) for error in received.errors)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_handler_is_not_called_where_nothing_was_a_message(
    endpoint: StartEndpoint, plain_socket: socket.socket, until: Until, asynchronous: bool
) -> None:
    received = Received()
    server = await endpoint(
        wire=JSON, on_messages=received.take_later if asynchronous else received.take
    )
    bad = Mti().encode(b"nonsense", 7)
    send_plain(plain_socket, server, bad, bad)
    await until(lambda: server.stats.undecodable == 2)
    # With asynchronous handlers, from the first one on, by a task.
    send_plain(plain_socket, server, Mti().encode(b"1", 7))
    await until(lambda: received.bodies == [1])
    send_plain(plain_socket, server, bad)
    await until(lambda: server.stats.undecodable == 3)
    assert len(received.batches) == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_handler_that_discards_a_batch_is_no_error(
    endpoint: StartEndpoint, plain_socket: socket.socket, until: Until, asynchronous: bool
) -> None:
    errors: list[NetError] = []

    def discard(batch: DatagramMessageBatch[Any]) -> None:
        batch.fail(batch[0], Discard("not needed"))
        raise Discard("none of them is needed")

    async def discard_later(batch: DatagramMessageBatch[Any]) -> None:
        await asyncio.sleep(0)
        discard(batch)

    server = await endpoint(
        wire=RAW, on_messages=discard_later if asynchronous else discard, on_error=errors.append
    )
    send_plain(plain_socket, server, b"a", b"b", b"c")
    await until(lambda: server.stats.discarded == 3)
    assert errors == []


async def test_of_large_ones_a_read_takes_a_few(
    endpoint: StartEndpoint, plain_socket: socket.socket, until: Until
) -> None:
    received = Received()
    server = await endpoint(
        wire=RAW, on_messages=received.take, options=DatagramOptions(receive_buffer=1 << 20)
    )
    large = [bytes([number]) * 60_000 for number in range(6)]
    send_plain(plain_socket, server, *large)
    await until(lambda: received.bodies == large)
    # 256 KiB.
    assert [len(batch) for batch in received.batches] == [5, 1]


async def test_a_peer_that_is_not_there_is_told_once_and_ends_nothing(
    endpoint: StartEndpoint, until: Until
) -> None:
    received = Received()
    other = await endpoint(wire=RAW)
    address = other.address
    await other.stop()
    client = await endpoint(
        None, wire=RAW, peer=address, on_messages=received.take, on_error=received.errors.append
    )
    client.send_nowait(b"nobody hears")
    await until(lambda: len(received.errors) == 1)
    assert isinstance(received.errors[0], PeerUnreachable)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
        late.bind((address.host, address.port))
        send_plain(late, client, b"here")
        await until(lambda: received.bodies == [b"here"])


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_outcomes_are_those_of_single_messages(
    endpoint: StartEndpoint, plain_socket: socket.socket, until: Until, asynchronous: bool
) -> None:
    received = Received()

    def handle(batch: DatagramMessageBatch[bytes]) -> None:
        received.take(batch)
        for message in batch:
            if message.body == b"fail":
                batch.fail(message, ValueError("one"))
            elif message.body == b"discard":
                batch.fail(message, Discard())
            elif message.body == b"unknown":
                batch.fail(message, HandlerNotFound("nobody", message))
            elif message.body == b"raise":
                raise KeyError("all")

    async def handle_later(batch: DatagramMessageBatch[bytes]) -> None:
        await asyncio.sleep(0)
        handle(batch)

    server = await endpoint(
        wire=RAW,
        on_messages=handle_later if asynchronous else handle,
        on_error=received.errors.append,
    )
    send_plain(plain_socket, server, b"a", b"fail", b"discard", b"unknown", b"b")
    await until(lambda: len(received.bodies) == 5)
    send_plain(plain_socket, server, b"raise")
    await until(lambda: len(received.errors) == 3)
    failed, unknown, raised = received.errors
    assert isinstance(failed, HandlerError)
    assert failed.message is not None
    assert failed.message.body == b"fail"
    assert isinstance(unknown, DatagramDropped)
    assert isinstance(raised, HandlerError)
    assert raised.batch is received.batches[-1]
    stats = server.stats
    assert (stats.handler_errors, stats.failed, stats.discarded, stats.unhandled) == (2, 2, 1, 1)
    assert (stats.received, stats.received_bytes) == (6, 1 + 4 + 7 + 7 + 1 + 5)
    values = {m.name: m.value for m in measure(server) if not m.labels.get("reason")}
    assert values["handled"] == 2


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_one_that_no_handler_takes_costs_its_sender_alone_and_the_rest_is_told(
    endpoint: StartEndpoint, plain_socket: socket.socket, until: Until, asynchronous: bool
) -> None:
    received = Received()

    def handle(batch: DatagramMessageBatch[bytes]) -> None:
        received.take(batch)
        for message in batch:
            if message.body == b"unknown":
                raise HandlerNotFound("nobody", message)

    async def handle_later(batch: DatagramMessageBatch[bytes]) -> None:
        await asyncio.sleep(0)
        handle(batch)

    server = await endpoint(
        wire=RAW,
        on_messages=handle_later if asynchronous else handle,
        on_error=received.errors.append,
    )
    send_plain(plain_socket, server, b"a", b"unknown", b"b", b"c")
    await until(lambda: len(received.errors) == 2)
    rest, unknown = received.errors
    assert isinstance(rest, HandlerError)
    assert rest.batch is received.batches[0]
    assert isinstance(unknown, DatagramDropped)
    # Those that the handler took before it raised are not known.
    assert (server.stats.unhandled, server.stats.failed) == (1, 3)
    assert {m.name: m.value for m in measure(server)}["handled"] == 0
    send_plain(plain_socket, server, b"unknown")
    await until(lambda: server.stats.unhandled == 2)
    assert server.stats.handler_errors == 1


async def test_answers_go_to_whoever_sent_each_message(
    endpoint: StartEndpoint, until: Until, take: Take
) -> None:
    async def answer(batch: DatagramMessageBatch[bytes]) -> None:
        with pytest.raises(ValueError, match="as many answers, got"):
            await batch.reply_many([*batch.bodies, b"one more"])
        await batch.reply_many([body.upper() for body in batch.bodies])

    server = await endpoint(wire=RAW, on_messages=answer)
    clients = [await endpoint(None, wire=RAW, peer=server.address) for _ in range(2)]
    for number in range(10):
        for name, client in zip("ab", clients, strict=True):
            client.send_nowait(f"{name}{number}".encode())
    for name, client in zip("AB", clients, strict=True):
        bodies = [message.body for message in await take(client, 10)]
        assert bodies == [f"{name}{number}".encode() for number in range(10)]


async def test_a_source_that_cannot_be_answered_costs_its_own_answers(
    endpoint: StartEndpoint, take: Take
) -> None:
    server = await endpoint(wire=RAW)
    clients = [await endpoint(wire=RAW) for _ in range(2)]
    # Whoever sends may forge his address; broadcasting needs to be allowed.
    nowhere = Address("udp", "255.255.255.255", 9)
    sources = [clients[0].address, nowhere, clients[1].address]
    batch = DatagramMessageBatch([b"a", b"b", b"c"], lambda: [None] * 3, sources, server)
    with pytest.raises(SendIncomplete, match=r"^2 of 3 answers were sent: ") as caught:
        await batch.reply_many(iter([b"1", b"2", b"3"]))
    assert caught.value.accepted == 2
    assert isinstance(caught.value.__cause__, SendFailed)
    assert [(await take(client, 1))[0].body for client in clients] == [b"1", b"3"]
    bad = DatagramMessageBatch([b"a", b"b", b"c"], lambda: [None] * 3, sources[::2] * 2, server)
    with pytest.raises(SendIncomplete, match=r"^1 of 3 answers were sent: ") as caught:
        await bad.reply_many([b"1", bytes(70_000), b"3"])
    assert isinstance(caught.value.__cause__, DatagramTooLarge)
    # The first failure that is no refusal is told, if there is one.
    nobody = Address("udp", "255.255.255.255", 10)
    worse = DatagramMessageBatch([b"a", b"b"], lambda: [None] * 2, [nowhere, nobody], server)
    with pytest.raises(SendIncomplete, match=r"^0 of 2 answers were sent: ") as caught:
        await worse.reply_many([b"1", b"2"])
    assert isinstance(caught.value.__cause__, SendFailed)
    with pytest.raises(TypeError, match="several messages, got one: bytes"):
        await batch.reply_many(b"123")


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_of_large_compressed_ones_each_batch_is_on_its_own(
    endpoint: StartEndpoint, until: Until, concurrency: int
) -> None:
    wire = Wire(Mti(), Codec("json", compress="deflate", min_size=20))
    seen: list[str] = []
    bodies: list[str] = []
    variable = ContextVar("variable", default="unset")
    errors: list[NetError] = []

    async def handle(batch: DatagramMessageBatch[str]) -> None:
        seen.append(variable.get())
        variable.set("set")
        await asyncio.sleep(0)
        bodies.extend(body[0] for body in batch.bodies)
        if "c" in (body[0] for body in batch.bodies):
            raise asyncio.CancelledError

    server = await endpoint(
        wire=wire, on_messages=handle, on_error=errors.append, concurrency=concurrency
    )
    client = await endpoint(None, wire=wire, peer=server.address)
    letters = "abcdefghijklmnopqrst"
    # Two of them are more than is decoded for one batch.
    await client.send_many([letter * 200_000 for letter in letters])
    await until(lambda: len(bodies) == 20)
    await until(lambda: server.stats.failed)
    assert sorted(bodies) == list(letters)
    assert bodies == list(letters) or concurrency > 1
    assert set(seen) == {"unset"}
    assert len(errors) == 1
    assert server.stats.dropped == 0


async def test_what_waits_is_bounded_and_the_rest_is_dropped(
    endpoint: StartEndpoint, plain_socket: socket.socket, until: Until
) -> None:
    release = asyncio.Event()
    received = Received()

    async def handle(batch: DatagramMessageBatch[bytes]) -> None:
        received.take(batch)
        await release.wait()

    server = await endpoint(wire=RAW, on_messages=handle, backlog=10)
    send_plain(plain_socket, server, b"first")
    await until(lambda: received.batches)
    send_plain(plain_socket, server, *(b"%d" % n for n in range(30)))
    await until(lambda: server.stats.received == 31)
    release.set()
    await until(lambda: len(received.bodies) == 11)
    assert received.bodies == [b"first", *(b"%d" % n for n in range(20, 30))]
    assert server.stats.overflowed == 20
    assert [len(batch) for batch in received.batches] == [1, 10]


async def test_a_stop_handles_what_waits(
    endpoint: StartEndpoint, plain_socket: socket.socket, until: Until, within: Within
) -> None:
    release = asyncio.Event()
    received = Received()

    async def handle(batch: DatagramMessageBatch[bytes]) -> None:
        await release.wait()
        received.take(batch)

    server = await endpoint(wire=RAW, on_messages=handle)
    send_plain(plain_socket, server, *(b"%d" % n for n in range(100)))
    await until(lambda: server.stats.received == 100)
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    release.set()
    await within(stopping)
    assert received.bodies == [b"%d" % n for n in range(100)]


async def test_many_are_sent_by_one_call_to_the_peer_or_another(
    endpoint: StartEndpoint, take: Take, within: Within
) -> None:
    server = await endpoint(wire=RAW)
    client = await endpoint(None, wire=RAW, peer=server.address)
    other = await endpoint(wire=RAW)
    sizes = [64] * 100 + [0, 5, 5, 3, 1400]
    bodies = [bytes([n]) * size for n, size in enumerate(sizes)]
    await within(client.send_many(bodies))
    assert [message.body for message in await take(server, len(bodies))] == bodies
    await within(other.send_many(iter(bodies), to=server.address))
    assert [message.body for message in await take(server, len(bodies))] == bodies
    assert client.stats.sent == len(bodies)


async def test_who_fails_to_send_many_hears_how_many_were_sent(
    endpoint: StartEndpoint, take: Take
) -> None:
    server = await endpoint(wire=RAW)
    client = await endpoint(None, wire=RAW, peer=server.address, max_size=100)
    with pytest.raises(SendIncomplete, match=r"^70 of 90 messages were sent") as caught:
        await client.send_many([b"x" * 50] * 70 + [bytes(101)] * 20)
    assert caught.value.accepted == 70
    assert isinstance(caught.value.__cause__, DatagramTooLarge)
    assert len(await take(server, 70)) == 70
    with pytest.raises(SendIncomplete, match=r"^0 of 1 ") as caught:
        await server.send_many([b"x"])
    assert isinstance(caught.value.__cause__, NotConnected)
    with pytest.raises(TypeError, match="several messages, got one: bytes"):
        await client.send_many(b"one")


async def test_one_that_cannot_be_encoded_costs_none_before_it(
    endpoint: StartEndpoint,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        vacant = sock.getsockname()[1]
    client = await endpoint(None, wire=JSON, peer=f"udp://127.0.0.1:{vacant}")
    # That nobody receives there is what the system answers to the next that is sent.
    client.send_nowait("to nobody")
    with pytest.raises(SendIncomplete, match=r"^5 of 6 messages were sent") as caught:
        await client.send_many([*range(5), object()])
    assert (caught.value.accepted, client.stats.sent) == (5, 6)


async def test_an_iterator_is_sent_up_to_where_it_raises(
    endpoint: StartEndpoint, take: Take
) -> None:
    def numbers() -> Iterator[bytes]:
        for number in range(70):
            yield b"%d" % number
        raise KeyError("no more")

    server = await endpoint(wire=RAW)
    client = await endpoint(None, wire=RAW, peer=server.address)
    with pytest.raises(SendIncomplete, match=r"^70 messages were sent: ") as caught:
        await client.send_many(numbers())
    assert caught.value.accepted == 70
    assert isinstance(caught.value.__cause__, KeyError)
    assert len(await take(server, 70)) == 70


def test_what_excludes_batches_is_refused() -> None:
    def handle(batch: DatagramMessageBatch[bytes]) -> None:
        raise NotImplementedError

    for options, error in (
        ({"on_message": handle}, "exclude each other"),
        ({"key": lambda message: 1}, "on_messages= and key="),
    ):
        with pytest.raises(ValueError, match=error):
            DatagramEndpoint(None, RAW, on_messages=handle, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Handlers choose"):
        DatagramEndpoint(None, RAW, on_messages=Handlers())


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_stop_that_is_cut_counts_all_of_a_batch_that_it_cuts(
    endpoint: StartEndpoint, plain_socket: socket.socket, until: Until, asynchronous: bool
) -> None:
    """The handler is a plain one now and then, which later batches meet in a task."""
    received = Received()

    def handle(batch: DatagramMessageBatch[bytes]) -> Any:
        received.take(batch)
        if batch.bodies[0] == b"plain":
            return None
        return asyncio.Event().wait() if batch.bodies[0] == b"stay" else asyncio.sleep(0)

    server = await endpoint(wire=RAW, on_messages=handle, stop_timeout=0.0)
    for body in (b"first", b"plain", b"stay") if asynchronous else (b"stay",):
        count = server.stats.received + 3
        send_plain(plain_socket, server, body, body, body)
        await until(lambda: server.stats.received == count == len(received.bodies))  # noqa: B023 - awaited
    await server.stop()
    assert server.stats.abandoned == 3
