"""What SIGHUP asks for: the application reloads, without a restart, once at a time."""

import asyncio
from collections.abc import Callable

from gestalt.core.calling import RAISED, is_awaitable, is_own_cancellation
from gestalt.core.reloading import reload_components

from .errors import UnhandledError


class Reloads:
    """Reloads the components, and calls `on_reload`; asked for meanwhile, once more after it.

    Args:
        on_reload: a plain or async function; None does nothing.
        begin: called before each.
        done: called after each, however it went.
    """

    def __init__(
        self,
        on_reload: Callable[[], object] | None,
        *,
        begin: Callable[[], None],
        done: Callable[[], None],
    ) -> None:
        self._on_reload = on_reload
        self._begin = begin
        self._done = done
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def request(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reload soon."""
        if self._task is not None:
            self._again = True
        else:
            self._task = asyncio.Task(self._run(loop), loop=loop, name="reload")

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while True:
                self._again = False
                await self._reload()
                if not self._again:
                    return
        except RAISED as error:
            if is_own_cancellation(error):
                raise  # pragma: no cover - it is cut by the end
            if isinstance(error, asyncio.CancelledError):
                error = UnhandledError("it was cancelled from inside")
            loop.call_exception_handler({"message": "reload failed", "exception": error})
        finally:
            self._task = None

    async def _reload(self) -> None:
        self._begin()
        try:
            await reload_components()
            result = self._on_reload() if self._on_reload is not None else None
            if is_awaitable(result):
                await result
        finally:
            self._done()
