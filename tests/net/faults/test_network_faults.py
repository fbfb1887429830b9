"""Servers and clients with a network between them that fails in every way."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
import trustme

from gestalt.core import Backoff, State, StateError
from gestalt.net import (
    ConnectFailed,
    ConnectionLost,
    Delimited,
    Framing,
    LengthPrefix,
    LimitExceeded,
    Limits,
    Mti,
    Netstring,
    NotConnected,
    SendBufferFull,
    StreamClient,
    StreamMessage,
    StreamServer,
    Wire,
)
from tests.net.fixtures import Serve, Within
from tests.support.proxy import Proxy

QUICK = Backoff(initial=0.01, maximum=0.05)
WIRE = Wire(Mti())
# A corrupted message would not match its own number.
PATTERN = bytes(range(256))


def body_of(number: int) -> bytes:
    return b"%d " % number + PATTERN[: number % 256]


def number_of(body: bytes) -> int:
    number = int(body.split(b" ", 1)[0])
    assert body == body_of(number)
    return number


class Link:
    """An echo server and a client of it, with a proxy between them.

    Attributes:
        arrived: the numbers of the messages that the server has received.
        returned: the numbers of those whose echo the client has received.
        lost: what the client's `on_disconnected` was given.
    """

    def __init__(self, proxy: Proxy, wire: Wire, options: dict[str, Any]) -> None:
        self.proxy = proxy
        self.arrived: list[int] = []
        self.returned: list[int] = []
        self.lost: asyncio.Queue[ConnectionLost | None] = asyncio.Queue()
        self.errors: list[Exception] = []
        self._waiting: list[tuple[int, asyncio.Event]] = []
        self.server = StreamServer(
            "tcp://127.0.0.1:0", wire, on_message=self._echo, on_error=self.errors.append
        )
        self.client = StreamClient(
            f"tcp://127.0.0.1:{proxy.port}",
            wire,
            on_message=self._note,
            on_disconnected=lambda _, error: self.lost.put_nowait(error),
            on_error=self.errors.append,
            **{"backoff": QUICK, "stop_timeout": 1.0, **options},
        )

    async def _echo(self, message: StreamMessage[bytes]) -> None:
        self.arrived.append(number_of(message.body))
        with suppress(ConnectionLost):
            await message.reply(message.body)

    def _note(self, message: StreamMessage[bytes]) -> None:
        number = number_of(message.body)
        self.returned.append(number)
        for wanted, event in self._waiting:
            if number >= wanted:
                event.set()

    async def wait_returned(self, number: int) -> None:
        """Wait for the echo of this message, or of a later one."""
        if not self.returned or self.returned[-1] < number:
            event = asyncio.Event()
            self._waiting.append((number, event))
            await event.wait()

    def check(self) -> None:
        """Nothing arrived twice, or out of order."""
        for numbers in (self.arrived, self.returned):
            assert numbers == sorted(set(numbers))


@pytest.fixture
def linked(proxy: Proxy) -> Any:
    @asynccontextmanager
    async def linked(wire: Wire = WIRE, **options: Any) -> AsyncIterator[Link]:
        link = Link(proxy, wire, options)
        async with link.server:
            proxy.target = link.server.address.port
            async with link.client:
                yield link
        link.check()

    return linked


@pytest.mark.parametrize(
    "framing", [Delimited(b"\xff\xfe"), Netstring(), LengthPrefix(2), Mti()], ids=str
)
async def test_everything_arrives_once_and_whole_when_every_byte_travels_alone(
    framing: Framing, linked: Any, proxy: Proxy, within: Within
) -> None:
    proxy.split = True
    async with linked(Wire(framing)) as link:
        for number in range(50):
            await link.client.send(body_of(number))
        await within(link.wait_returned(49))
        assert link.arrived == link.returned == list(range(50))
    assert link.errors == []


async def test_everything_arrives_once_and_whole_over_a_slow_network(
    linked: Any, proxy: Proxy, within: Within
) -> None:
    proxy.delay = 0.005
    async with linked() as link:
        for number in range(2000):
            await link.client.send(body_of(number))
        await within(link.wait_returned(1999))
        assert link.arrived == link.returned == list(range(2000))
    assert link.errors == []


async def test_cuts_cost_messages_at_most_and_the_client_comes_back(
    linked: Any, proxy: Proxy, within: Within
) -> None:
    cuts = 10
    async with linked() as link:

        async def send() -> None:
            number = 0
            while True:
                try:
                    await link.client.send(body_of(number))
                except ConnectionLost:
                    await asyncio.sleep(0)
                number += 1
                if number % 20 == 0:
                    await asyncio.sleep(0)

        sending = asyncio.create_task(send())
        for _ in range(cuts):
            # Whatever was sent before the cut, a later message is sent over the new connection.
            await within(link.wait_returned((link.returned or [-1])[-1] + 100))
            await proxy.cut()
            await within(link.lost.get())
        await within(link.wait_returned(link.returned[-1] + 100))
        sending.cancel()
        assert link.client.stats.connected == cuts + 1
        assert link.server.stats.connected == cuts + 1
    assert set(link.returned) <= set(link.arrived)


async def fill(client: StreamClient) -> int:
    """Send until nothing more is taken for a while, and return how many messages were accepted."""
    accepted = refused = 0
    while refused < 10:
        try:
            client.send_nowait(bytes(60_000))
        except SendBufferFull:
            refused += 1
            await asyncio.sleep(0.005)
        else:
            accepted += 1
            refused = 0
    return accepted


async def send_on(client: StreamClient) -> None:
    while True:
        await client.send(bytes(60_000))


async def test_what_was_accepted_and_could_not_be_sent_is_counted(
    proxy: Proxy, serve: Serve, stack: AsyncExitStack, within: Within
) -> None:
    arrived = 0
    lost: asyncio.Queue[Any] = asyncio.Queue()

    def count(message: StreamMessage[bytes]) -> None:
        nonlocal arrived
        arrived += 1

    server = await serve(count)
    proxy.target = server.address.port
    client = StreamClient(
        f"tcp://127.0.0.1:{proxy.port}",
        WIRE,
        backoff=QUICK,
        on_disconnected=lambda _, error: lost.put_nowait(error),
    )
    await stack.enter_async_context(client)
    peer = await client.wait_connected()
    proxy.freeze()
    accepted = await within(fill(client))

    async def go_on() -> None:
        nonlocal accepted
        while True:
            # The system may still take something late; a client would go on with the next peer.
            await peer.send(bytes(60_000))
            accepted += 1

    going_on = asyncio.create_task(go_on())
    await asyncio.sleep(0)
    await proxy.cut()
    # The one that waited was not accepted, and is told so.
    with pytest.raises(ConnectionLost, match="not connected any more"):
        await within(going_on)
    error = await within(lost.get())
    # All of it is in doubt where the system has just asked for more.
    assert 0 < error.unsent + error.in_doubt <= accepted
    proxy.thaw()
    await client.send(b"after")
    await within(gone(server, 1))
    assert arrived <= accepted - error.unsent + 1


async def gone(server: StreamServer, peer_id: int) -> None:
    """Wait until a server has noted that a peer has gone."""
    while peer_id in server.peers:
        await asyncio.sleep(0.002)


@pytest.mark.parametrize("fault", ["half_open", "lose"])
async def test_a_link_that_died_silently_is_found_by_the_idle_timeout(
    fault: str, linked: Any, proxy: Proxy, within: Within
) -> None:
    async with linked(limits=Limits(idle_timeout=0.2)) as link:
        await link.client.send(body_of(0))
        await within(link.wait_returned(0))
        if fault == "half_open":
            await proxy.half_open()
        else:
            proxy.lose("up", "down")
        error = await within(link.lost.get())
        assert isinstance(error.__cause__, LimitExceeded)
        assert "idle" in str(error)
        proxy.lose()
        await within(link.client.wait_connected())
        # It may have connected once more while everything was lost: then that ends, too.
        number = 0
        while not link.returned[1:]:
            number += 1
            try:
                await link.client.send(body_of(number))
                async with asyncio.timeout(0.3):
                    await link.wait_returned(number)
            except (TimeoutError, ConnectionLost):
                continue
        assert link.client.stats.faults >= 1


async def test_a_send_over_a_frozen_link_ends_by_the_stall_timeout(
    linked: Any, proxy: Proxy, within: Within
) -> None:
    async with linked(limits=Limits(stall_timeout=0.2)) as link:
        await link.client.send(body_of(0))
        await within(link.wait_returned(0))
        proxy.freeze()
        await within(fill(link.client))
        with pytest.raises(ConnectionLost):
            await within(send_on(link.client))
        error = await within(link.lost.get())
        assert isinstance(error.__cause__, LimitExceeded)
        assert error.unsent > 0
        await proxy.cut()
        proxy.thaw()
        await link.client.send(body_of(1))
        await within(link.wait_returned(1))


async def test_closing_and_stopping_end_over_a_frozen_link(
    proxy: Proxy, serve: Serve, stack: AsyncExitStack, within: Within
) -> None:
    server = await serve(lambda message: None)
    proxy.target = server.address.port
    client = StreamClient(
        f"tcp://127.0.0.1:{proxy.port}",
        WIRE,
        backoff=QUICK,
        limits=Limits(close_timeout=0.1),
        stop_timeout=0.2,
    )
    await stack.enter_async_context(client)
    proxy.freeze()
    peer = await client.wait_connected()
    await within(fill(client))
    await within(peer.close(), 2)
    assert not peer.connected
    peer = await client.wait_connected()
    await within(fill(client))
    await within(client.stop(), 2)
    assert client.state is State.STOPPED
    # The server's end: half a message has arrived, and nothing more comes.
    await within(server.stop(), 2)
    assert server.state is State.STOPPED


async def test_waits_end_while_the_server_refuses_and_the_client_comes_back(
    linked: Any, proxy: Proxy, within: Within
) -> None:
    async with linked(connect_timeout=0.2) as link:
        await link.client.send(body_of(0))
        await within(link.wait_returned(0))
        proxy.refuse()
        await proxy.cut()
        await within(link.lost.get())
        assert not link.client.connected
        with pytest.raises(NotConnected, match="cannot be connected to") as raised:
            await within(link.client.send(body_of(1)), 2)
        assert isinstance(raised.value.__cause__, ConnectFailed)
        with pytest.raises(NotConnected):
            await within(link.client.wait_connected(0.05), 2)
        proxy.allow()
        await within(link.client.wait_connected(10))
        await link.client.send(body_of(2))
        await within(link.wait_returned(2))
    assert {type(error) for error in link.errors} == {ConnectFailed}


async def test_a_client_stops_at_once_while_it_waits_to_connect(
    proxy: Proxy, within: Within
) -> None:
    proxy.refuse()
    client = StreamClient(
        f"tcp://127.0.0.1:{proxy.port}", WIRE, backoff=Backoff(initial=60, maximum=60)
    )
    await client.start()
    sending = asyncio.create_task(client.send(b""))
    await asyncio.sleep(0.02)
    await within(client.stop(), 1)
    with pytest.raises(StateError, match="stopped"):
        await within(sending, 1)


async def test_a_handshake_over_a_frozen_link_ends_by_the_connect_timeout(
    proxy: Proxy, serve: Serve, stack: AsyncExitStack, within: Within
) -> None:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    server = await serve(
        arrived.put_nowait,
        url="tls://127.0.0.1:0",
        tls=server_context,
        limits=Limits(handshake_timeout=0.3),
    )
    proxy.target = server.address.port
    proxy.freeze()
    failures: asyncio.Queue[Any] = asyncio.Queue()
    client = StreamClient(
        f"tls://127.0.0.1:{proxy.port}",
        WIRE,
        tls=client_context,
        backoff=QUICK,
        connect_timeout=0.2,
        on_error=failures.put_nowait,
    )
    await stack.enter_async_context(client)
    failure = await within(failures.get())
    assert isinstance(failure, ConnectFailed)
    assert "0.2 s" in str(failure)
    proxy.thaw()
    await within(client.wait_connected(10))
    await client.send(b"over TLS")
    assert (await within(arrived.get())).body == b"over TLS"
