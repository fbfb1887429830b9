"""Saves how far a stream is handled, now and then, and never what is not handled."""

import asyncio
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, cast

from gestalt.amq.errors import OffsetError
from gestalt.amq.headers import error_text
from gestalt.core.calling import is_awaitable
from gestalt.core.numbers import kind_of

from .offsets import Offsets

# A store that does not answer for so long is in trouble, in seconds.
PATIENCE = 5.0
# The same when the subscription stops.
LAST_PATIENCE = 2.0
# The first pause after a failure, and the longest, in seconds.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0


class OffsetKeeper:
    """Saves the offset of one subscription, one call of the store after the other.

    A store's plain methods are called in a thread. What cannot be saved is told, and tried again
    with growing pauses; meanwhile the messages that were handled since are not acknowledged, so
    that the broker sends no more than the window.

    Args:
        options: where the offset is kept, and how often.
        name: by which it is kept.
        window: how many messages the broker sends ahead of those that are acknowledged.
        saved: is told of each offset that was saved.
        report: tells of a store's trouble.

    Attributes:
        trouble: why nothing can be saved, None while it can.
    """

    def __init__(
        self,
        options: Offsets,
        name: str,
        window: int,
        *,
        saved: Callable[[int], None],
        report: Callable[[BaseException, str], None],
    ) -> None:
        self.trouble: str | None = None
        self._store = options.store
        self._name = name
        self._within = options.within
        # So many, and it is saved: early enough for the broker never to wait for it.
        self._enough_messages = max(1, window // 2)
        self._tell_saved = saved
        self._report = report
        self._latest: int | None = None
        self._saved: int | None = None
        self._count = 0
        self._changed = asyncio.Event()
        self._enough = asyncio.Event()
        self._call: asyncio.Future[Any] | None = None
        self._turn = asyncio.Lock()

    async def load(self) -> int | None:
        """Begin with the offset that was saved last, None if there is none.

        Raises:
            OffsetError: the store fails, or gives something else.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                offset = await self._ask(self._store.load, self._name)
        except Exception as error:
            why = error_text(error) or type(error).__qualname__
            raise OffsetError(f"the offset of {self._name!r} cannot be loaded: {why}") from error
        if offset is not None and (not isinstance(offset, int) or offset < 0):
            raise OffsetError(f"the store has no offset for {self._name!r}, but {kind_of(offset)}")
        self._latest = self._saved = offset
        self._changed = asyncio.Event()
        self._enough = asyncio.Event()
        self._count = 0
        self._call = None
        self._turn = asyncio.Lock()
        self.trouble = None
        return offset

    def advance(self, offset: int, count: int) -> None:
        """So many more messages are handled, the last of them at this offset."""
        self._latest = offset
        self._count += count
        self._changed.set()
        if self._count >= self._enough_messages:
            self._enough.set()

    async def run(self) -> None:
        """Save whenever there is enough to save, or it has waited for long enough."""
        pause = 0.0
        while True:
            await self._changed.wait()
            try:
                async with asyncio.timeout(self._within):
                    await self._enough.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            self._enough.clear()
            self._count = 0
            try:
                await self._save()
            except Exception as error:
                self._fail(error)
                self._changed.set()
                pause = min(pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
                await asyncio.sleep(pause)
            else:
                self.trouble = None
                pause = 0.0

    async def flush(self) -> None:
        """Save what is not saved yet.

        Raises:
            OffsetError: the store fails, or does not answer.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                await self._save()
        except Exception as error:  # pragma: no cover - the store fails when the link is lost
            raise OffsetError(self._described(error)) from error

    async def finish(self) -> None:
        """Save what is not saved yet; what cannot be is told, and handled again."""
        try:
            async with asyncio.timeout(LAST_PATIENCE):
                await self._save()
        except Exception as error:
            self._fail(error)
        if self._call is not None:
            # A thread goes on by itself, an async method does not.
            self._call.cancel()

    async def _save(self) -> None:
        async with self._turn:
            await self._save_next()

    async def _save_next(self) -> None:
        if self._call is not None:
            # One that was cut short may still write, and would write after this one.
            await asyncio.wait({self._call})
            if not self._call.cancelled():  # pragma: no branch - cancelled by a stop
                # If it failed, so does this one, or it does not matter.
                self._call.exception()
            self._call = None
        offset = self._latest
        if offset is None or offset == self._saved:
            return
        self._call = asyncio.ensure_future(self._ask(self._store.save, self._name, offset))
        done, _ = await asyncio.wait({self._call}, timeout=PATIENCE)
        if not done:
            self._fail(OffsetError(f"the store has not answered for {PATIENCE:g} s"))
            await asyncio.wait({self._call})
        call, self._call = self._call, None
        call.result()
        self._saved = offset
        self._tell_saved(offset)

    async def _ask(self, method: Callable[..., Any], *arguments: Any) -> Any:
        if iscoroutinefunction(method):
            return await method(*arguments)
        result = await asyncio.to_thread(method, *arguments)
        return await cast("Any", result) if is_awaitable(result) else result

    def _described(self, error: Exception) -> str:
        why = error_text(error) or type(error).__qualname__
        return f"the offset of {self._name!r} cannot be saved: {why}"

    def _fail(self, error: Exception) -> None:
        trouble = self._described(error)
        if trouble != self.trouble:  # pragma: no branch - the same again
            self._report(error, f"{trouble}; it is tried again")
        self.trouble = trouble
