"""Asynchronous handlers of a datagram endpoint: in tasks that last, over a bounded backlog."""

import asyncio
from collections.abc import Awaitable
from inspect import isawaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from gestalt.core import Handler

from .datagram_backlog import Backlog, Received
from .datagram_message import DatagramMessage
from .dispatch import _cancelled

if TYPE_CHECKING:
    from .datagram import DatagramEndpoint

TURN = 64
"""How many messages are handled, by handlers that do not wait, before others have their turn."""


class DatagramWorker:
    """Runs asynchronous handlers, `concurrency` of them at a time.

    The tasks are made when they are needed, and kept until the endpoint stops.
    """

    __slots__ = ("_backlog", "_concurrency", "_endpoint", "_handler", "_tasks")

    def __init__(
        self, endpoint: "DatagramEndpoint", backlog: Backlog, handler: Handler, concurrency: int
    ) -> None:
        self._endpoint = endpoint
        self._backlog = backlog
        self._handler = handler
        self._concurrency = concurrency
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, result: Awaitable[Any], message: DatagramMessage[Any]) -> None:
        """Await what the handler returned for `message`, then handle what comes."""
        self._spawn(result, message)

    def put(self, received: Received) -> None:
        """Take another datagram."""
        if len(self._tasks) < self._concurrency and not self._backlog.awaited:
            self._spawn()
        if not self._backlog.put(received):
            self._endpoint.stats.overflowed += 1

    async def finish(self) -> None:
        """Wait until everything in the backlog, which is closed, is handled."""
        await asyncio.wait(self._tasks)

    def _spawn(
        self,
        result: Awaitable[Any] | None = None,
        message: DatagramMessage[Any] | None = None,
    ) -> None:
        self._tasks.append(self._endpoint._spawn(self._run(result, message), name="handler"))

    async def _run(
        self, result: Awaitable[Any] | None, message: DatagramMessage[Any] | None
    ) -> None:
        if result is not None and message is not None:
            await self._await(result, message)
        backlog = self._backlog
        left = TURN
        while True:
            if not left:
                left = TURN
                await asyncio.sleep(0)
            if backlog:
                left -= 1
                received = backlog.take_nowait()
            elif (taken := await backlog.take()) is not None:
                left = TURN
                received = taken
            else:
                return
            await self._handle(received)

    async def _handle(self, received: Received) -> None:
        message = self._endpoint._decoded(received)
        if message is None:
            return
        try:
            result = self._handler(message)
        except Exception as error:
            self._endpoint._handler_failed(error, message)
        else:
            if type(result) is CoroutineType or isawaitable(result):
                await self._await(result, message)

    async def _await(self, result: Awaitable[Any], message: DatagramMessage[Any]) -> None:
        try:
            await result
        except asyncio.CancelledError as error:
            if _cancelled():
                raise
            self._endpoint._handler_failed(error, message)
        except Exception as error:
            self._endpoint._handler_failed(error, message)
