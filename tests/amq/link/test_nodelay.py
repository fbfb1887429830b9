"""A request and its acknowledgements do not wait for each other (Nagle)."""

import socket

from gestalt.amq.embedded import EmbeddedBroker
from gestalt.amq.link.address import parse
from gestalt.amq.link.aio_pika_link import AioPikaLink, connect


async def test_a_connection_to_a_broker_sends_without_delay() -> None:
    async with EmbeddedBroker() as broker:
        link = await connect(parse(broker.url), name="test", heartbeat=0, timeout=5.0)
        assert isinstance(link, AioPikaLink)
        assert link.transport is not None
        sock = link.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await link.close(1.0)
