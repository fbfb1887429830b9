"""Giving way: nobody's messages hold the event loop for long."""

import asyncio
from time import monotonic

from .waiters import Waiters

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
    taken longer than the budget within one turn awaits `give_way`. Who does so for the first time
    has spent the turn: those that come after it await `unspent`, since many peers that have just
    connected could hold the loop for one message each.

    Attributes:
        number: of the present turn of the event loop, as far as somebody has asked for it.
        spent: whether the present turn is to be left to what is not messages.
    """

    __slots__ = ("_awaited", "_called", "_loop", "_newcomers", "_waiting", "number", "spent")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.number = 0
        self.spent = False
        self._called = False
        # Whether anybody may wait: nobody does in most turns, and that is to cost next to nothing.
        self._awaited = False
        self._newcomers = Waiters(loop)
        self._waiting = Waiters(loop)

    def turn(self) -> int:
        """The number of the present turn: no later one has it."""
        if not self._called:
            self._called = True
            self._loop.call_soon(self._next)
        return self.number

    def spend(self) -> None:
        """Note that the budget of this turn is used up."""
        self.spent = True
        self.turn()

    async def give_way(self) -> None:
        """Wait until it is one's turn again, in the order in which they came."""
        self._awaited = True
        self.turn()
        await self._waiting.wait()

    async def unspent(self) -> None:
        """Wait for a turn that is not spent, in the order in which they came."""
        while self.spent:
            self._awaited = True
            self.turn()
            await self._newcomers.wait()

    def _next(self) -> None:
        self.number += 1
        self.spent = self._called = False
        if self._awaited:
            # All of them: most take a short time, and who finds the turn spent waits again.
            self._newcomers.wake_all()
            self._waiting.wake_one()
            self._awaited = bool(self._waiting)
            if self._awaited:
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
        overran = now - self._begun >= BUDGET
        if overran and not self.overran:
            self._pace.spend()
        self.overran = overran
        return overran

    async def give_way(self) -> None:
        """Let others have their turn, and begin anew."""
        await self._pace.give_way()
        self._turn = -1
        self.begin()
