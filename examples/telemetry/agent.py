"""The agent: samples this host on a timer, and sends the samples to the collector."""

from typing import Any

from gestalt.core import Backoff, Component, Handlers, Message, Timer
from gestalt.core.describing import note
from gestalt.net import NetError, Peer, StreamClient

from .messages import Ack, Sample, wire
from .outbox import Outbox
from .sampling import Sampler


class Agent(Component):
    """Sends samples of this host to the collector at `url`, every `interval` seconds."""

    def __init__(self, url: str, interval: float) -> None:
        super().__init__(name="agent", stop_timeout=5.0)
        handlers = Handlers()
        handlers.on(Ack)(self._acknowledged)
        self.connects = 0
        self._sampler = Sampler()
        self._client = StreamClient(
            url,
            wire,
            on_message=handlers,
            on_connected=self._connected,
            on_error=self._failed,
            backoff=Backoff(maximum=1.0),
        )
        note(self._client, sends=[Sample])
        self._timer = Timer.every(interval, self._sample, delay=0, name="sampling")
        self.outbox = Outbox(self._client.send_nowait)

    def summary(self) -> dict[str, Any]:
        outbox = self.outbox
        return {
            "sent": outbox.added,
            "acknowledged": outbox.acknowledged,
            "lost": outbox.lost,
            "resent": outbox.resent,
            "connects": self.connects,
        }

    async def _open(self) -> None:
        await self._client.start()
        await self._timer.start()

    async def _drain(self) -> None:
        await self._timer.stop()
        await self.outbox.empty.wait()

    async def _close(self) -> None:
        await self._timer.stop()
        await self._client.stop()

    def _sample(self) -> None:
        for sample in self._sampler.read():
            self.outbox.add(sample)
        self.outbox.flush()

    def _connected(self, _: Peer) -> None:
        self.connects += 1
        self.outbox.resend()

    def _failed(self, error: NetError) -> None:
        # A collector that is away is no news: the outbox keeps what it has not got.
        if not isinstance(error, ConnectionError):
            raise error

    def _acknowledged(self, message: Message[Ack]) -> None:
        self.outbox.acknowledge(message.body.sequence)
        self.outbox.flush()
