"""What was sent by a channel and awaits its answer, each for so long: one timer for all of it."""

import asyncio
from collections.abc import Callable
from typing import Any

NEVER = float("inf")


class InFlight:
    """The messages in flight, with their deadlines.

    Args:
        expire: ends one whose deadline has passed.
        looked: is told whether any has, whenever that was looked for.
        interval: how often it is to be looked while something is in flight, in seconds.

    Attributes:
        deadlines: of each, by the loop's clock.
        empty_since: when the last one was answered, by the same.
    """

    def __init__(
        self,
        expire: Callable[[asyncio.Future[Any]], None],
        looked: Callable[[bool], None] | None = None,
        interval: float = NEVER,
    ) -> None:
        self.deadlines: dict[asyncio.Future[Any], float] = {}
        self.empty_since = 0.0
        self._expire = expire
        self._looked = looked
        self._interval = interval
        self._empty = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._due = NEVER

    def add(self, answer: asyncio.Future[Any], deadline: float) -> None:
        """One was sent; it is ended when its deadline passes."""
        self.deadlines[answer] = deadline
        if deadline < self._due:
            self._set_timer(deadline)

    def remove(self, answer: asyncio.Future[Any]) -> bool:
        """One is answered, or given up; False when it was of an earlier start."""
        if self.deadlines.pop(answer, None) is None:
            return False
        if not self.deadlines:
            self.empty_since = asyncio.get_running_loop().time()
            self._empty.set()
        return True

    async def drain(self) -> None:
        """Wait until there is none."""
        while self.deadlines:
            self._empty.clear()
            await self._empty.wait()

    def start(self) -> None:
        """Begin anew, in the event loop that runs now."""
        self.deadlines.clear()
        self._empty = asyncio.Event()

    def stop(self) -> None:
        """End none of them any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = NEVER

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._due = min(when, loop.time() + self._interval)
        self._timer = loop.call_at(self._due, self._look)

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        following = NEVER
        expired = False
        for answer, deadline in self.deadlines.items():
            if answer.done():
                continue
            if deadline <= now:
                expired = True
                self._expire(answer)
            else:
                following = min(following, deadline)
        self._timer = None
        self._due = NEVER
        if following < NEVER:
            self._set_timer(following)
        if self._looked is not None:
            self._looked(expired)
