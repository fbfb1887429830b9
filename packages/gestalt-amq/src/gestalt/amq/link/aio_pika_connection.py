"""aio-pika's connection, over a transport that is connected already."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, Self

import aio_pika
import aiormq
from aio_pika.abc import UnderlayConnection
from aio_pika.tools import OneShotCallback
from aiormq.connection import TransportFactory
from yarl import URL

from .aio_pika_lent import LibraryChannel


class AioPikaConnection(aio_pika.Connection):
    """A connection of aio-pika, which somebody else has dialled and will end.

    aio-pika's own `connect` makes the protocol below it by the URL alone. Made here, that can be
    given streams, and any virtual host, and is known before it has connected, so that one that
    fails leaves nothing behind.

    Args:
        url: where the broker is, and what the protocol reads of it.
        virtual_host: on the broker.
        streams: gives the streams of the transport.

    Attributes:
        protocol: the protocol below aio-pika.
    """

    CHANNEL_CLASS = LibraryChannel

    def __init__(self, url: URL, virtual_host: str, streams: TransportFactory) -> None:
        super().__init__(url)
        self.protocol = _Protocol(url, transport_factory=streams)
        self.protocol.vhost = virtual_host

    async def connect(self, timeout: float | None = None) -> None:
        """Shake hands with the broker."""
        async with asyncio.timeout(timeout):
            await self.protocol.connect()
        closed = OneShotCallback(self._tell_closed)
        self.protocol.closing.add_done_callback(closed)
        self.transport = UnderlayConnection(self.protocol, closed)
        self.connected.set()

    async def _tell_closed(self, closing: asyncio.Future[Any]) -> None:
        self.connected.clear()
        error = asyncio.CancelledError() if closing.cancelled() else closing.exception()
        await self.close_callbacks(error)

    def __del__(self) -> None:
        """Nothing: the link has ended it, and aio-pika would begin a task to do so again."""


class _Protocol(aiormq.Connection):
    """aiormq's connection, with one future for all who wait for its end.

    It gives a new one to each who asks, and keeps them all: 4 KB for each channel that was ever
    opened, until the connection ends.
    """

    _shared: asyncio.Future[Any] | None = None

    @property
    def closing(self) -> asyncio.Future[Any]:
        """Done when the connection has ended."""
        if self._shared is None:
            self._shared = _Closing(super().closing, loop=self.loop)
        return self._shared

    @closing.setter
    def closing(self, future: asyncio.Future[Any]) -> None:
        # Versions before 7.2 set the one that they have.
        self._shared = future  # pragma: no cover - aiormq before 7.2


class _Closing(asyncio.Future[Any]):
    """Ends as another future does, and forgets the callbacks of channels that have ended."""

    def __init__(self, source: asyncio.Future[Any], *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._of_channels: list[OneShotCallback] = []
        source.add_done_callback(self._end)

    def add_done_callback(
        self, callback: Callable[[Self], object], *, context: Context | None = None
    ) -> None:
        if isinstance(callback, OneShotCallback):
            for each in self._of_channels:
                if each.finished.is_set():
                    self.remove_done_callback(each)
            self._of_channels = [each for each in self._of_channels if not each.finished.is_set()]
            self._of_channels.append(callback)
        super().add_done_callback(callback, context=context)

    def _end(self, source: asyncio.Future[Any]) -> None:
        self._of_channels.clear()
        if self.done():  # pragma: no cover - a task that awaited it was cancelled
            return
        if source.cancelled():  # pragma: no cover - aiormq cancels none of its own
            self.cancel()
        elif (error := source.exception()) is not None:
            self.set_exception(error)
            # Whoever asks has it raised; that nobody does is no fault.
            self.exception()
        else:
            self.set_result(source.result())
