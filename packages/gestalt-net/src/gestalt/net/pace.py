"""Giving way: nobody's messages hold the event loop for long."""

import asyncio
from collections import deque
from time import monotonic

BUDGET = 0.005
"""For how long, in seconds, one peer's messages are handled before it is others' turn."""

SHORT = 0.0002
"""What takes no longer than this, in seconds, is followed by several others without a look."""

SEVERAL = 32
"""How many messages are handled between two looks at the clock, where they take a short time."""

SEVERAL_COMPRESSED = 2
"""How many, where they may be compressed."""


def several_of(*, compressed: bool) -> int:
    """How many messages may be handled between two looks at the clock.

    Args:
        compressed: whether a few bytes of them may become many.
    """
    return SEVERAL_COMPRESSED if compressed else SEVERAL


class Pace:
    """Lets those who have used up their time wait for their turn: one for each turn of the loop.

    Whoever handles messages asks `turn` first, and looks at the clock now and then. Whoever has
    taken longer than the budget within one turn awaits `give_way`.

    Attributes:
        number: of the present turn of the event loop, as far as somebody has asked for it.
    """

    __slots__ = ("_called", "_loop", "_waiting", "number")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.number = 0
        self._called = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    def turn(self) -> int:
        """The number of the present turn: no later one has it."""
        if not self._called:
            self._called = True
            self._loop.call_soon(self._next)
        return self.number

    async def give_way(self) -> None:
        """Wait until it is one's turn again, in the order in which they came."""
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        self.turn()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def _next(self) -> None:
        self.number += 1
        self._called = False
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break
        if self._waiting:
            self.turn()


class TimeSlice:
    """How much of the present turn somebody has used up; one for all tasks that do the work.

    Attributes:
        overran: whether the time was up when it was looked at last.
        quick: whether little time had passed between the last two looks of this turn.
    """

    __slots__ = ("_begun", "_looked", "_pace", "_turn", "overran", "quick")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._turn = -1
        self._begun = self._looked = 0.0
        self.overran = False
        self.quick = False

    def begin(self) -> None:
        """Take the time from now on, unless it is taken already in this turn."""
        if self._turn != self._pace.number:
            self._turn = self._pace.turn()
            self._begun = self._looked = monotonic()
            self.quick = False

    def over(self) -> bool:
        """Whether it is time to give way. In another turn than before, the time begins anew."""
        if self._turn != self._pace.number:
            self.begin()
            return False
        now = monotonic()
        self.quick = now - self._looked < SHORT
        self._looked = now
        self.overran = now - self._begun >= BUDGET
        return self.overran

    async def give_way(self) -> None:
        """Let others have their turn, and begin anew."""
        await self._pace.give_way()
        self._turn = -1
        self.begin()
