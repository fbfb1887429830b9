"""What a broker may say of itself while it is connected to, and what is agreed upon by then."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from gestalt.amq import ConnectError, connect
from gestalt.amq.wire import PROTOCOL_HEADER
from gestalt.amq.wire.codec import method_frame
from gestalt.amq.wire.methods import ConnectionStart, ConnectionTune
from tests.support.rabbitmq import RabbitMQNode

START = method_frame(0, ConnectionStart(0, 9, {"key": "text"}, b"PLAIN", b"en_US"))
TUNE = method_frame(0, ConnectionTune(2047, 131_072, 60))


@asynccontextmanager
async def broker(*answers: bytes) -> AsyncIterator[str]:
    """The URL of a broker that gives these answers, whatever it is told, and then waits."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert await reader.readexactly(len(PROTOCOL_HEADER)) == PROTOCOL_HEADER
            for answer in answers:
                writer.write(answer)
                await reader.read(4096)
            await reader.read()
        except ConnectionError:
            pass  # it was refused, as it should be
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"amqp://guest:guest@127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    "answers",
    [
        [START.replace(b"keyS", b"key?")],
        [START, TUNE[:3] + b"\x00\x00\x00\x05" + TUNE[7:12] + b"\xce"],
    ],
    ids=["a value of no type", "half a method"],
)
async def test_a_broker_that_cannot_be_understood_cannot_be_connected_to(
    answers: list[bytes],
) -> None:
    async with broker(*answers) as url, asyncio.timeout(10):
        with pytest.raises(ConnectError, match=r"127\.0\.0\.1"):
            await connect(url, start_timeout=0.3).start()


@pytest.fixture
def unlimited_url(rabbitmq_node: RabbitMQNode) -> Iterator[str]:
    """A broker that sets no limit to frames."""
    rabbitmq_node.evaluate("application:set_env(rabbit, frame_max, 0)")
    try:
        yield rabbitmq_node.url
    finally:
        rabbitmq_node.evaluate("application:set_env(rabbit, frame_max, 131072)")


@pytest.mark.slow
async def test_a_broker_without_a_limit_to_frames_sends_and_takes_large_ones(
    unlimited_url: str, unique: str
) -> None:
    got: asyncio.Queue[str] = asyncio.Queue()
    async with connect(unlimited_url) as bus, asyncio.timeout(10):
        await bus.subscribe(unique, "#", lambda message: got.put_nowait(message.body))
        for body in ("small", "large" * 100_000):
            await bus.publisher(unique, mandatory=True).publish(body)
            assert await got.get() == body
