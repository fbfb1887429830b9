"""Streams where the event loop cannot watch sockets, as the default one of Windows cannot."""

import asyncio
import errno
import socket
from typing import Any

import pytest

from gestalt.net import AcceptFailed, Delimited, StreamClient, StreamMessage, StreamServer, Wire
from tests.support.completion_loop import CompletionLoop

WIRE = Wire(Delimited())


class ShortOfDescriptors(CompletionLoop):
    """Has none left for the first connection."""

    refused = False

    async def sock_accept(self, sock: socket.socket) -> Any:
        if not self.refused:
            self.refused = True
            raise OSError(errno.EMFILE, "Too many open files")
        return await super().sock_accept(sock)


async def shout(message: StreamMessage[Any]) -> None:
    await message.reply(message.body.upper())


async def exchange(server: StreamServer) -> None:
    async with StreamClient(server.address, WIRE) as client:
        await client.send(b"hello")
        async for message in client:
            assert message.body == b"HELLO"
            return


def test_peers_come_and_go_and_the_server_starts_again() -> None:
    async def main() -> None:
        server = StreamServer("tcp://127.0.0.1:0", WIRE, on_message=shout)
        for _ in range(3):
            async with asyncio.timeout(10), server:
                for _ in range(3):
                    await exchange(server)
            assert len(asyncio.all_tasks()) == 1
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((server.address.host, server.address.port))

    with asyncio.Runner(loop_factory=CompletionLoop) as runner:
        runner.run(main())


def test_an_accept_that_fails_is_told_and_the_next_one_is_taken() -> None:
    errors: list[Exception] = []

    async def main() -> None:
        server = StreamServer("tcp://127.0.0.1:0", WIRE, on_message=shout, on_error=errors.append)
        async with asyncio.timeout(10), server:
            await exchange(server)
        assert server.stats.refused == 1

    with asyncio.Runner(loop_factory=ShortOfDescriptors) as runner:
        runner.run(main())
    [error] = errors
    assert isinstance(error, AcceptFailed)
