"""The collector: takes samples, publishes them on a topic, and answers about the last minute."""

from typing import Any

from gestalt.amq import connect
from gestalt.core import Component, Handlers, Message
from gestalt.core.describing import note
from gestalt.net import DatagramEndpoint, StreamServer

from .count import Count
from .messages import (
    BROKER_TIMEOUT,
    EXCHANGE,
    SERVICE,
    Ack,
    Cpu,
    Disk,
    Memory,
    Network,
    Query,
    Sample,
    Statistics,
    codec,
    routing_key,
    wire,
)
from .statistics import answer
from .window import Window


class Collector(Component):
    """Listens for agents, passes on what they send, and answers queries.

    A sample is acknowledged when the broker has confirmed it, so that whatever dies, the agent
    has what did not arrive.

    Args:
        url: where to listen: tcp:// or udp://.
        amqp: the broker to publish to; None to publish nowhere.
    """

    def __init__(self, url: str, amqp: str | None) -> None:
        super().__init__(name="collector")
        handlers = Handlers()
        handlers.on(Cpu, Memory, Network, Disk)(self._take)
        self.count = Count()
        self.window = Window(self.count)
        listen = DatagramEndpoint if url.startswith("udp:") else StreamServer
        self._server = listen(url, wire, on_message=handlers)
        self._bus = (
            connect(amqp, codec=codec, name="collector", start_timeout=BROKER_TIMEOUT)
            if amqp
            else None
        )
        self._publisher = None
        if self._bus:
            self._bus.service(SERVICE, self._answer)
            self._publisher = self._bus.publisher(EXCHANGE)
            note(self._publisher, sends=[Sample], keys="*.*", title="Samples of all hosts")
        note(self._server, sends=[Ack], title="Samples from agents")

    @property
    def url(self) -> str:
        """Where it listens, with the port that the system has chosen."""
        return str(self._server.address)

    def summary(self) -> dict[str, Any]:
        return self.count.summary()

    async def _open(self) -> None:
        if self._bus:
            await self._bus.start()
        await self._server.start()

    async def _drain(self) -> None:
        await self._server.stop()

    async def _close(self) -> None:
        await self._server.stop()
        if self._bus:
            await self._bus.stop()

    def _answer(self, message: Message[Query]) -> Statistics:
        """What the samples of the last minute came to, by host."""
        return answer(self.window, message.body)

    async def _take(self, message: Message[Sample]) -> None:
        """Each sample is acknowledged when the broker has confirmed it."""
        sample = message.body
        if self._publisher and not self.count.has(sample):
            await self._publisher.publish(sample, routing_key(sample))
        self.window.add(sample)
        await message.reply(Ack(sample.sequence))
