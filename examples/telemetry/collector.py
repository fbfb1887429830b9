"""The collector: takes samples, keeps the last minute of them, and acknowledges each."""

from typing import Any

from gestalt.core import Component, Handlers, Message
from gestalt.net import StreamServer

from .messages import Ack, Cpu, Disk, Memory, Network, Sample, wire
from .window import Window


class Collector(Component):
    """Listens at `url` for agents."""

    def __init__(self, url: str) -> None:
        super().__init__()
        handlers = Handlers()
        handlers.on(Cpu, Memory, Network, Disk)(self._take)
        self.window = Window()
        self._server = StreamServer(url, wire, on_message=handlers)

    @property
    def url(self) -> str:
        """Where it listens, with the port that the system has chosen."""
        return str(self._server.address)

    def summary(self) -> dict[str, Any]:
        window = self.window
        return {"received": window.received, "repeated": window.repeated, "gaps": window.gaps}

    async def _open(self) -> None:
        await self._server.start()

    async def _drain(self) -> None:
        await self._server.stop()

    async def _close(self) -> None:
        await self._server.stop()

    async def _take(self, message: Message[Sample]) -> None:
        self.window.add(message.body)
        await message.reply(Ack(message.body.sequence))
