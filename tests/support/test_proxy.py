import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.proxy import Proxy


class Echo:
    """A server that sends back what it gets, and notes how its connections ended."""

    def __init__(self) -> None:
        self.serving: set[asyncio.Task[None] | None] = set()
        self.pieces: list[bytes] = []
        self.ends: asyncio.Queue[str] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.add(asyncio.current_task())
        try:
            while data := await reader.read(65536):
                self.pieces.append(data)
                writer.write(data)
            self.ends.put_nowait("eof")
        except ConnectionResetError:
            self.ends.put_nowait("reset")
        finally:
            writer.close()
            self.serving.discard(asyncio.current_task())


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(20), Proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
        await proxy.cut()
        while echo.serving:
            await asyncio.sleep(0)


async def connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def test_bytes_pass_both_ways_and_ends_are_passed_on(proxy: Proxy, echo: Echo) -> None:
    reader, writer = await connect(proxy)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    writer.write_eof()
    assert await echo.ends.get() == "eof"
    assert await reader.read() == b""
    writer.close()
    await proxy.wait_connections(0)
    assert proxy.accepted == 1


async def test_every_byte_travels_alone_when_split(proxy: Proxy, echo: Echo) -> None:
    proxy.split = True
    reader, writer = await connect(proxy)
    writer.write(b"x" * 1000)
    assert await reader.readexactly(1000) == b"x" * 1000
    writer.close()


async def test_a_freeze_holds_everything_until_the_thaw(proxy: Proxy, echo: Echo) -> None:
    reader, writer = await connect(proxy)
    await proxy.wait_connections(1)
    proxy.freeze()
    writer.write(b"hello")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reader.readexactly(5)
    assert echo.pieces == []
    proxy.thaw()
    assert await reader.readexactly(5) == b"hello"
    writer.close()


async def test_one_way_loss_throws_away_one_direction_only(proxy: Proxy, echo: Echo) -> None:
    reader, writer = await connect(proxy)
    proxy.lose("down")
    writer.write(b"hello")
    while not echo.pieces:
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reader.readexactly(5)
    writer.close()


async def test_a_cut_resets_both_sides(proxy: Proxy, echo: Echo) -> None:
    reader, writer = await connect(proxy)
    await proxy.wait_connections(1)
    await proxy.cut()
    assert proxy.connections == 0
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    assert await echo.ends.get() == "reset"
    writer.close()


async def test_half_open_ends_the_server_side_and_tells_the_client_nothing(
    proxy: Proxy, echo: Echo
) -> None:
    reader, writer = await connect(proxy)
    writer.write(b"x")
    await reader.readexactly(1)
    await proxy.half_open()
    assert await echo.ends.get() == "reset"
    writer.write(b"hello")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reader.readexactly(1)
    writer.close()
    await proxy.wait_connections(0)


async def test_refused_connections_are_accepted_again_on_the_same_port(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy)
    proxy.allow()
    _, writer = await connect(proxy)
    writer.close()
