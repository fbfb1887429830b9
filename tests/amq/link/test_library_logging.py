"""What the client library logs of a bus's connections is no part of an application's log."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gestalt.amq import connect
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, until

from .test_reconnect import through


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[str]:
    """A server that takes what a client begins with, answers, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def check(caplog: pytest.LogCaptureFixture) -> None:
    ours = {"gestalt.amq", "asyncio"}
    loud = [each for each in caplog.records if each.levelno > logging.DEBUG]
    assert {each.name for each in loud} <= ours
    assert [each for each in loud if not each.getMessage().startswith("fleet ")] == []
    assert [each for each in caplog.records if each.exc_info] == []
    assert "guest:guest" not in caplog.text


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\0\0\x09\1"])
async def test_a_failed_attempt_is_one_line_of_ours(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with server(answer) as place:
        for scheme in ("amqp", "amqps"):
            bus = connect(f"{scheme}://guest:guest@{place}/", name="fleet", backoff=QUICK)
            starting = asyncio.create_task(bus.start())
            await until(lambda: f": {place} cannot be connected to: " in caplog.text)
            await bus.stop()
            await asyncio.wait({starting})
            assert not starting.cancelled()
            assert starting.exception()
            check(caplog)
            caplog.clear()


async def test_a_lost_connection_is_one_line_of_ours(
    broker_url: str, broker_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), name="fleet", backoff=QUICK) as bus,
    ):
        async with bus.channel() as channel:
            await channel.declare_queue(exclusive=True)
        await proxy.cut()
        await until(lambda: "is lost" in caplog.text)
        await until(lambda: bus.ready)
        async with bus.channel():
            pass
    check(caplog)
    # It is there for who looks for it.
    assert {each.name for each in caplog.records} >= {"aiormq.connection", "aio_pika.connection"}
