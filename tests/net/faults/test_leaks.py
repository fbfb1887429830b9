"""Nothing stays behind of connections that came and went."""

import asyncio
import gc
import ssl
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme

from gestalt.core import Backoff
from gestalt.net import Mti, Peer, StreamClient, StreamMessage
from tests.net.faults.fixtures import Eventually, Raw
from tests.net.fixtures import Serve, Within

CYCLES = 1000
DESCRIPTORS = Path("/proc/self/fd")
WAYS = ("client stops", "peer vanishes", "server closes", "server aborts")
BEGUN = b"\x16\x03\x01"
PACKAGES = ("asyncio", "_asyncio", "uvloop", "gestalt", "socket", "_socket", "ssl", "_ssl")


class Census:
    """What is there of all that could leak, when it is taken."""

    def __init__(self) -> None:
        gc.collect()
        self.tasks = len(asyncio.all_tasks())
        self.descriptors = len(list(DESCRIPTORS.iterdir()))
        # The event loop forgets a cancelled timer when it would have been due.
        kinds = Counter(
            type(each)
            for each in gc.get_objects()
            if not (type(each) is asyncio.TimerHandle and each.cancelled())
        )
        self.objects = Counter(
            {
                repr(kind): number
                for kind, number in kinds.items()
                if str(kind.__module__).split(".")[0] in PACKAGES
            }
        )

    def grown(self, since: "Census") -> Counter[str]:
        grown = self.objects - since.objects
        grown.update(tasks=self.tasks - since.tasks)
        grown.update(descriptors=self.descriptors - since.descriptors)
        return +grown


async def leaked(since: Census) -> Counter[str]:
    """What has grown and stays; what is there until the next look at the limits is no leak."""
    for _ in range(500):
        if not (grown := Census().grown(since)):
            break
        await asyncio.sleep(0.01)
    return grown


async def echo(message: StreamMessage[bytes]) -> None:
    await asyncio.sleep(0)
    await message.reply(message.body)


async def exchange(client: StreamClient) -> None:
    await client.send(b"hello")
    async for message in client:
        assert message.body == b"hello"
        break


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="open files are counted in /proc")
@pytest.mark.parametrize("way", WAYS)
async def test_a_thousand_connections_leave_nothing_behind(
    way: str, serve: Serve, raw: Raw, stack: AsyncExitStack, within: Within, eventually: Eventually
) -> None:
    peers: asyncio.Queue[Peer] = asyncio.Queue()
    server = await serve(
        echo,
        on_connected=peers.put_nowait,
        on_disconnected=lambda peer, error: None,
        on_error=lambda error: None,
    )
    keeping = StreamClient(server.address, server.wire, backoff=Backoff(initial=1e-6, maximum=1e-6))
    if way.startswith("server"):
        await stack.enter_async_context(keeping)

    async def cycle() -> None:
        match way:
            case "client stops":
                async with StreamClient(server.address, server.wire) as client:
                    await exchange(client)
                peers.get_nowait()
            case "peer vanishes":
                async with AsyncExitStack() as own:
                    reader, writer = await asyncio.open_connection(
                        server.address.host, server.address.port
                    )
                    own.callback(writer.transport.abort)
                    writer.write(Mti().encode(b"hello"))
                    await reader.readexactly(8)
                    # It leaves within a message.
                    writer.write(b"\0\0")
                peers.get_nowait()
            case "server closes":
                peer = await peers.get()
                await exchange(keeping)
                await peer.close()
            case "server aborts":
                peer = await peers.get()
                await exchange(keeping)
                peer.abort()

    async def cycles(count: int) -> Census:
        for _ in range(count):
            await within(cycle())
        if way.startswith("server"):
            peer = await within(peers.get())
            await within(exchange(keeping))
            peers.put_nowait(peer)
        else:
            await eventually(lambda: not server.peers)
        return Census()

    before = await cycles(10)
    await cycles(CYCLES // len(WAYS))
    assert await leaked(before) == Counter()
    assert server.stats.connected >= CYCLES // len(WAYS)


HANDSHAKES = ("it succeeds", "it is no TLS", "the peer leaves", "the server stops")


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="open files are counted in /proc")
@pytest.mark.parametrize("way", HANDSHAKES)
async def test_a_thousand_tls_handshakes_leave_nothing_behind(
    way: str, serve: Serve, within: Within, eventually: Eventually
) -> None:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    server = await serve(
        echo, url="tls://127.0.0.1:0", tls=server_context, on_error=lambda error: None
    )

    async def fail(data: bytes) -> None:
        reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
        writer.write(data)
        if data != BEGUN:
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    async def cycle() -> None:
        match way:
            case "it succeeds":
                async with StreamClient(server.address, server.wire, tls=client_context) as client:
                    await exchange(client)
            case "it is no TLS":
                await fail(Mti().encode(b"hello"))
            case "the peer leaves":
                await fail(BEGUN)
            case "the server stops":
                _, writer = await asyncio.open_connection(server.address.host, server.address.port)
                writer.write(BEGUN)
                # The one above has arrived, too, when this has.
                await fail(Mti().encode(b"hello"))
                await server.stop()
                await server.start()
                writer.close()
                await writer.wait_closed()

    async def cycles(count: int) -> Census:
        failed = server.stats.handshakes_failed + count * (way != "it succeeds")
        for _ in range(count):
            await within(cycle())
        await eventually(lambda: server.stats.handshakes_failed == failed and not server.peers)
        return Census()

    before = await cycles(10)
    await cycles(CYCLES // len(HANDSHAKES))
    assert await leaked(before) == Counter()
