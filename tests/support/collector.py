"""A handler of subscriptions that keeps what it gets."""

import asyncio
from typing import Any

from gestalt.amq import BusMessage


class Collector:
    """A handler that keeps what it gets, and says when there is enough."""

    def __init__(self) -> None:
        self.messages: list[BusMessage[Any]] = []
        self._changed = asyncio.Event()

    def __call__(self, message: BusMessage[Any]) -> None:
        self.messages.append(message)
        self._changed.set()

    @property
    def bodies(self) -> list[Any]:
        return [message.body for message in self.messages]

    async def wait(self, count: int) -> list[Any]:
        async with asyncio.timeout(20):
            while len(self.messages) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.bodies
