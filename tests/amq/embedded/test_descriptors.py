"""A broker whose process has no descriptors left waits, says so, and then takes who waits."""

import asyncio
import resource
import socket

import pytest

from gestalt.amq.embedded import EmbeddedBroker
from tests.support.waiting import Reported, until


@pytest.mark.parametrize("stopped", [False, True])
def test_without_descriptors_who_connects_waits(stopped: bool) -> None:
    async def run() -> Reported:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        reported: Reported = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        async with EmbeddedBroker() as broker, asyncio.timeout(30):
            with socket.socket() as client:
                client.setblocking(False)
                # No new descriptor would have so small a number.
                resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
                try:
                    await loop.sock_connect(client, ("127.0.0.1", broker.port))
                    await until(lambda: reported)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                if stopped:
                    await broker.stop()
                    with pytest.raises(ConnectionError):
                        await loop.sock_recv(client, 1)
                else:
                    # What no protocol begins with is answered by the broker's own header.
                    await loop.sock_sendall(client, b"HELLO...")
                    assert await loop.sock_recv(client, 4) == b"AMQP"
        return reported

    (context,) = asyncio.run(run())
    assert context["message"] == "the broker accepts no connection for 1.0 s"
