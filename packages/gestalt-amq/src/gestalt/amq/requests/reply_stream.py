"""A stream of replies as its reader sees it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Any

from gestalt.amq.wire import Delivery
from gestalt.core.numbers import kind_of

from .calls import StreamCall


class ReplyStream(AsyncGenerator[Any, None]):
    """Iterates over the replies of one request; made by `Requester.stream`.

    A read that is cancelled, as by a timeout, takes nothing away: the next one goes on. An error
    comes again at every further read, so that what is incomplete never looks complete.

    Args:
        begin: sends the request; called by the first read.
        use: notes that an item was used up, so that more may be asked for.
        leave: is told that nothing more is wanted.
        decode: decodes an item.
        explain: says what an error means for a request that was sent.
    """

    def __init__(
        self,
        begin: Callable[[], Awaitable[StreamCall]],
        *,
        use: Callable[[StreamCall], None],
        leave: Callable[[StreamCall], None],
        decode: Callable[[Delivery], Any],
        explain: Callable[[Exception], Exception],
    ) -> None:
        self._begin = begin
        self._use = use
        self._leave = leave
        self._decode = decode
        self._explain = explain
        self._loop: asyncio.AbstractEventLoop | None = None
        self._call: StreamCall | None = None
        self._reading = False
        self._ended: BaseException | None = None

    async def __anext__(self) -> Any:
        if self._reading:
            raise RuntimeError("a stream of replies has one reader at a time")
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        self._reading = True
        try:
            return await self._next()
        except Exception as error:
            self._end(error)
            raise
        finally:
            self._reading = False

    async def _next(self) -> Any:
        call = self._call
        if call is None:
            self._loop = asyncio.get_running_loop()
            call = self._call = await self._begin()
        try:
            delivery = await call.next()
        except Exception as error:
            if (meaning := self._explain(error)) is error:
                raise
            raise meaning from error
        if delivery is None:
            raise StopAsyncIteration
        self._use(call)
        return self._decode(delivery)

    async def asend(self, value: None) -> Any:
        """As `__anext__`: a responder takes nothing while it replies."""
        if value is not None:
            raise TypeError(f"a stream of replies takes no values, got {kind_of(value)}")
        return await self.__anext__()

    async def athrow(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
    ) -> Any:
        """Leave the stream, and raise."""
        await self.aclose()
        return await super().athrow(typ, val, tb)  # type: ignore[arg-type]

    async def aclose(self) -> None:
        """Leave the stream; the generator at the responder is closed, too."""
        self._end(StopAsyncIteration())

    def _end(self, reason: BaseException) -> None:
        if self._ended is None:
            self._ended = reason
            if self._call is not None:
                self._leave(self._call)

    def __del__(self) -> None:
        call, loop = self._call, self._loop
        if self._ended is None and call is not None and loop is not None:
            # It may be collected in any thread, and after the end of the loop.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._leave, call)
