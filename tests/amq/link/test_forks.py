"""Forked children, which have a copy of every descriptor, and live longer than a connection."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from gestalt.amq import connect

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    # Tests run with threads, and the children do nothing.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@contextmanager
def forked() -> Iterator[None]:
    """A child that lives as long as the block."""
    ours, its = socket.socketpair()
    child = os.fork()
    if not child:
        ours.close()
        its.send(b"born")
        its.recv(1)
        os._exit(0)
    its.close()
    with ours:
        ours.recv(4)
        yield
    os.waitpid(child, 0)


class Between:
    """Passes data on between a bus and its broker, and notes the bus's connections that end."""

    def __init__(self, broker: str) -> None:
        self._host, self._port = urlsplit(broker).hostname, urlsplit(broker).port
        self.made = 0
        self.ended: asyncio.Queue[None] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        answers, requests = await asyncio.open_connection(self._host, self._port)
        back = asyncio.create_task(self._pass(answers, writer))
        await self._pass(reader, requests)
        self.ended.put_nowait(None)
        requests.close()
        await back
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()


async def test_a_broker_sees_the_connections_closed_though_a_child_lives(broker_url: str) -> None:
    between = Between(broker_url)
    async with await asyncio.start_server(between.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        parts = urlsplit(broker_url)
        url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()
        bus = connect(url)
        await bus.start()
        await bus.publisher("events").publish(1)
        with forked():
            await bus.stop()
            assert between.made
            async with asyncio.timeout(10):
                for _ in range(between.made):
                    await between.ended.get()
