"""Checks of the application's own: each with a deadline, at most one call of it at a time."""

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from gestalt.core import Reports
from gestalt.core.calling import RAISED, is_awaitable, is_own_cancellation
from gestalt.core.numbers import kind_of

from .verdict import Finding

logger = logging.getLogger("gestalt.runner")

KEPT = 1.0
"""For how many seconds its outcome is good, so that no prober makes work."""

Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class Checks:
    """Calls the checks, and keeps what came of them for a second.

    A check is a plain or an async function without arguments. It fails by an exception, by
    returning False, and by returning a str, which says why; all else is well. It is called in the
    event loop, so that a plain one must not wait.

    Args:
        functions: the checks, by their names.
        timeout: how long each may take, in seconds.

    Raises:
        TypeError: it is no mapping of names to functions.
    """

    def __init__(self, functions: Mapping[str, Callable[[], object]], *, timeout: float) -> None:
        if not isinstance(functions, Mapping):
            raise TypeError(f"checks must be functions by names, got {kind_of(functions)}")
        for name, function in functions.items():
            if not callable(function):
                raise TypeError(f"the check {name!r} must be a function, got {kind_of(function)}")
        reports = Reports(logger)
        self._checks = [_Check(*item, timeout, reports) for item in functions.items()]

    async def look(self, spawn: Spawn) -> list[Finding]:
        """What each check says now, or said less than a second ago.

        Args:
            spawn: makes the tasks in which they run.
        """
        running = [task for check in self._checks if (task := check.begin(spawn)) is not None]
        if running:
            longest = max(check.timeout for check in self._checks)
            await asyncio.wait(running, timeout=longest + 0.1)
        return [check.finding() for check in self._checks]


class _Check:
    """One check, its present call, and what came of the last one."""

    def __init__(
        self, name: str, function: Callable[[], object], timeout: float, reports: Reports
    ) -> None:
        self.timeout = timeout
        self._name = name
        self._function = function
        self._reports = reports
        self._task: asyncio.Task[None] | None = None
        self._began = 0.0
        self._found: Finding | None = None
        self._found_at = 0.0
        # What was logged of it last.
        self._told: str | None = None

    def begin(self, spawn: Spawn) -> asyncio.Task[None] | None:
        """Call it, unless there is an outcome that is good; gives the call to be awaited."""
        if self._task is None:
            if self._found is not None and time.monotonic() - self._found_at < KEPT:
                return None
            self._began = time.monotonic()
            self._found = None
            self._task = spawn(self._run(), f"health check {self._name}")
            self._task.add_done_callback(self._ended)
        elif time.monotonic() - self._began > self.timeout:  # pragma: no branch - another one asks
            # It does not end by its cancellation; there is nothing to wait for.
            return None
        return self._task

    def finding(self) -> Finding:
        if self._found is not None:
            return self._found
        seconds = time.monotonic() - self._began
        return Finding(self._name, f"it still runs after {seconds:.1f} s", seconds)

    async def _run(self) -> None:
        trouble: str | None
        raised: BaseException | None = None
        limit = asyncio.timeout(self.timeout)
        try:
            async with limit:
                result = self._function()
                if is_awaitable(result):  # pragma: no branch - a plain one
                    result = await result
            trouble = _trouble_of(result)
        except RAISED as error:
            if is_own_cancellation(error):
                raise
            if limit.expired():
                trouble = f"no answer for {self.timeout:g} s"
            else:
                # What it says may hold an address with a password: that is for the log alone.
                trouble, raised = type(error).__name__, error
        self._found_at = time.monotonic()
        self._found = Finding(self._name, trouble, self._found_at - self._began)
        if trouble != self._told:
            self._tell(trouble, raised)

    def _tell(self, trouble: str | None, error: BaseException | None) -> None:
        self._told = trouble
        if trouble is None:
            logger.info("the health check %r is well again", self._name)
        else:
            self._reports.log(
                f"the health check {self._name!r} failed: {trouble}",
                error,
                level=logging.WARNING,
                cause=self._name,
            )

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            # A BaseException, such as a SystemExit, has gone its own way.
            task.exception()


def _trouble_of(result: object) -> str | None:
    if result is False:
        return "it returned False"
    if inspect.isasyncgen(result) or inspect.isgenerator(result):
        return "it is a generator, and not a function"
    # An empty one says nothing.
    return result if isinstance(result, str) and result else None
