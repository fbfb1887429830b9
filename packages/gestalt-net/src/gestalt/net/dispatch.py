"""From frames to handlers: plain ones at once, asynchronous ones in a task per peer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Coroutine, Iterable, Iterator
from inspect import isawaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Protocol

from gestalt.core import Handler

from .connection import Connection
from .framings import Frame
from .message import StreamMessage

if TYPE_CHECKING:
    from .endpoint import StreamEndpoint


class Dispatcher(Protocol):
    """Takes the frames that a connection has received."""

    def dispatch(self, connection: Connection, frames: Iterable[Frame]) -> None:
        """Take frames, in order."""


class HandlerDispatcher:
    """Gives each message to the handler.

    Plain handlers are called within the read callback, with no task, future or queue in between.
    The first handler of a peer that returns an awaitable makes it a worker, which does the rest.
    """

    __slots__ = ("_concurrency", "_decode", "_endpoint", "_handler")

    def __init__(self, endpoint: "StreamEndpoint", handler: Handler, concurrency: int) -> None:
        self._endpoint = endpoint
        self._handler = handler
        self._concurrency = concurrency
        self._decode = endpoint.wire.decode

    def dispatch(self, connection: Connection, frames: Iterable[Frame]) -> None:
        if connection.worker is not None:
            connection.worker.put(iter(frames))
            return
        peer = connection.peer
        handler = self._handler
        decode = self._decode
        new = object.__new__
        rest = iter(frames)
        for payload, type_id in rest:
            # What the constructor does: calling it takes twice as long on Python 3.11.
            message: StreamMessage[Any] = new(StreamMessage)
            message.type_id = type_id
            message.source = peer
            try:
                message.body = payload if decode is None else decode(payload, type_id)
                result = handler(message)
            except Exception as error:
                if not hasattr(message, "body"):
                    # It was the codec.
                    connection.fail(error)
                    return
                self._endpoint._handler_failed(error, peer, message)
            else:
                if result is not None and isawaitable(result):
                    connection.worker = Worker(
                        self._endpoint, connection, handler, self._concurrency
                    )
                    connection.worker.start(result, message, rest)
                    return


class Worker:
    """Runs the asynchronous handlers of one peer, in tasks that last as long as its connection.

    Reading pauses while more than one batch waits, so a slow handler slows its own peer only.
    """

    __slots__ = (
        "_batches",
        "_concurrency",
        "_connection",
        "_endpoint",
        "_handler",
        "_running",
        "_tasks",
        "_waiting",
    )

    def __init__(
        self,
        endpoint: "StreamEndpoint",
        connection: Connection,
        handler: Handler,
        concurrency: int,
    ) -> None:
        self._endpoint = endpoint
        self._connection = connection
        self._handler = handler
        self._concurrency = concurrency
        # What one read brought is one batch. Its iterator is shared by the tasks.
        self._batches: deque[Iterator[Frame]] = deque()
        self._tasks = 0
        self._running = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def idle(self) -> bool:
        """Whether everything that was received is handled."""
        return not self._running and not self._batches

    def start(
        self, result: Awaitable[Any], message: StreamMessage[Any], rest: Iterator[Frame]
    ) -> None:
        """Await what the handler returned for `message`, then handle the rest."""
        self._batches.append(rest)
        self._spawn(self._run(result, message))
        self._add_tasks()

    def put(self, frames: Iterator[Frame]) -> None:
        """Take another batch."""
        self._batches.append(frames)
        if len(self._batches) > 1:
            self._connection.pause_reading()
        self._add_tasks()

    def end(self) -> None:
        """Note that the connection is lost: the tasks end when everything is handled."""
        self._add_tasks()

    def _add_tasks(self) -> None:
        while self._waiting:
            waiter = self._waiting.pop()
            if not waiter.done():
                waiter.set_result(None)
        while self._tasks < self._concurrency and self._batches:
            self._spawn(self._run())

    def _spawn(self, coro: Coroutine[Any, Any, None]) -> None:
        self._tasks += 1
        self._endpoint._spawn(coro, name=f"handler of {self._connection.peer!r}")

    async def _run(
        self,
        result: Awaitable[Any] | None = None,
        message: StreamMessage[Any] | None = None,
    ) -> None:
        connection = self._connection
        self._running += 1
        if result is not None and message is not None:
            await self._await(result, message)
        while True:
            await self._handle_batches()
            self._running -= 1
            if self.idle:
                connection.handled()
            if connection.lost:
                return
            waiter = self._endpoint.loop.create_future()
            self._waiting.append(waiter)
            await waiter
            self._running += 1

    async def _handle_batches(self) -> None:
        connection = self._connection
        peer = connection.peer
        handler = self._handler
        decode = self._endpoint.wire.decode
        batches = self._batches
        message: StreamMessage[Any] | None
        while batches:
            frames = batches[0]
            for payload, type_id in frames:
                message = None
                try:
                    message = StreamMessage(
                        payload if decode is None else decode(payload, type_id), type_id, peer
                    )
                    result = handler(message)
                    if type(result) is CoroutineType or isawaitable(result):
                        await result
                except asyncio.CancelledError as error:
                    if message is None or _cancelled():
                        raise
                    self._endpoint._handler_failed(error, peer, message)
                except Exception as error:
                    if message is None:
                        batches.clear()
                        connection.fail(error)
                        return
                    self._endpoint._handler_failed(error, peer, message)
            # Another task of this worker may have removed the batch meanwhile.
            if batches and batches[0] is frames:
                batches.popleft()
                if len(batches) == 1:
                    connection.resume_reading()

    async def _await(self, result: Awaitable[Any], message: StreamMessage[Any]) -> None:
        try:
            await result
        except asyncio.CancelledError as error:
            if _cancelled():
                raise
            self._endpoint._handler_failed(error, self._connection.peer, message)
        except Exception as error:
            self._endpoint._handler_failed(error, self._connection.peer, message)


def _cancelled() -> bool:
    """Whether the current task was cancelled: a handler may also raise what it awaited raised."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
