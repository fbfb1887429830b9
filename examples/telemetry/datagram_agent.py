"""The agent over UDP: each sample is sent once, and what is lost is lost, and counted."""

import asyncio
from typing import Any

from gestalt.core import Component, Handlers, Message, Timer
from gestalt.net import DatagramEndpoint, NetError

from .messages import Ack, wire
from .sampling import Sampler

LAST_ACK = 1.0
"""How long to wait for the last acknowledgements, in seconds."""


class DatagramAgent(Component):
    """Sends samples of this host to the collector at `url`, every `interval` seconds."""

    def __init__(self, url: str, interval: float) -> None:
        super().__init__(stop_timeout=LAST_ACK)
        handlers = Handlers()
        handlers.on(Ack)(self._acknowledged)
        self._sent = self._acks = 0
        self._complete = asyncio.Event()
        self._sampler = Sampler()
        self._endpoint = DatagramEndpoint(
            None, wire, peer=url, on_message=handlers, on_error=self._failed
        )
        self._timer = Timer.every(interval, self._sample, delay=0)

    def summary(self) -> dict[str, Any]:
        return {
            "sent": self._sent,
            "acknowledged": self._acks,
            "lost": self._sent - self._acks,
            "resent": 0,
            "connects": 0,
        }

    async def _open(self) -> None:
        await self._endpoint.start()
        await self._timer.start()

    async def _drain(self) -> None:
        await self._timer.stop()
        if self._acks < self._sent:
            await self._complete.wait()

    async def _close(self) -> None:
        await self._timer.stop()
        await self._endpoint.stop()

    async def _sample(self) -> None:
        for sample in self._sampler.read():
            self._sent += 1
            self._complete.clear()
            try:
                await self._endpoint.send(sample)
            except NetError as error:
                self._failed(error)

    def _failed(self, error: NetError) -> None:
        # A collector that is away costs samples, which the count will show.
        if not isinstance(error, ConnectionError):
            raise error

    def _acknowledged(self, _: Message[Ack]) -> None:
        self._acks += 1
        if self._acks == self._sent:
            self._complete.set()
