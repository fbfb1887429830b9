"""A request and its acknowledgements do not wait for each other (Nagle)."""

import socket

from gestalt.amq import connect
from gestalt.amq.embedded import EmbeddedBroker
from gestalt.amq.link.aiormq_link import AiormqLink


async def test_a_connection_to_a_broker_sends_without_delay() -> None:
    async with EmbeddedBroker() as broker, connect(broker.url) as bus:
        link = bus._publishing.link
        assert isinstance(link, AiormqLink)
        assert link.transport is not None
        sock = link.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
