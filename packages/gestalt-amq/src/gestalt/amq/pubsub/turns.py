"""For how long the handlers of a subscription follow one another, and in which task."""

import asyncio
from contextvars import copy_context
from time import monotonic
from typing import Protocol

from gestalt.core.calling import own_task
from gestalt.core.leftovers import is_left_behind

# How long they do before others have the event loop, in seconds.
TURN = 0.005


class Measured(Protocol):
    """Is told that so many messages took one handler after the other so long, in seconds."""

    def __call__(self, count: int, elapsed: float, /) -> None: ...


class Turns:
    """The turns of several tasks, which share one in each turn of the event loop.

    Each with a turn of its own, as many as are ready at once would add up.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun = False
        self._until = 0.0

    def over(self, now: float) -> bool:
        """Whether to begin nothing more before the event loop has turned."""
        if self._begun:
            return now > self._until
        self._begun = True
        self._until = now + TURN
        self._loop.call_soon(self._end)
        return False

    def _end(self) -> None:
        self._begun = False


class Turn:
    """That of the current task, in which handlers follow one another.

    It has the task to itself: a handler that changes its context, or leaves anything else there
    that the next one would find, is the last.

    Args:
        measured: is told how long they took.
        turns: those of all tasks together, if there are several.

    Attributes:
        count: how many messages were begun in it; their handling is not measured while it is 0.
    """

    __slots__ = ("_begun", "_context", "_measured", "_name", "_now", "_task", "_turns", "count")

    def __init__(self, measured: Measured, turns: Turns | None) -> None:
        task = own_task()
        self.count = 0
        self._measured = measured
        self._turns = turns
        self._task = task
        self._context = copy_context()
        self._name = task.get_name()
        # Not by the clock of the event loop, which takes twice as long to look at.
        self._begun = self._now = monotonic()

    async def begin(self) -> None:
        """Begin, when others have had the loop, if it is their turn."""
        self._begun = self._now = monotonic()
        while self._turns is not None and self._turns.over(self._now):
            await asyncio.sleep(0)
            self._begun = self._now = monotonic()

    def end(self) -> None:
        """Note that there is nothing more to begin."""
        if self.count:
            self._measured(self.count, self._now - self._begun)
            self.count = 0

    def over(self) -> bool:
        """Whether, after a handler, the next one may not begin as it is: then `give_way`."""
        now = self._now = monotonic()
        return (
            now - self._begun > TURN
            or is_left_behind(self._task, self._context, self._name)
            or (self._turns is not None and self._turns.over(now))
        )

    async def give_way(self) -> bool:
        """Let others have the loop; whether handlers may go on in this task.

        Raises:
            CancelledError: it was cancelled, and the handler has kept that to itself.
        """
        self.end()
        if self._task.cancelling():
            raise asyncio.CancelledError
        if is_left_behind(self._task, self._context, self._name):
            return False
        await asyncio.sleep(0)
        await self.begin()
        return True
