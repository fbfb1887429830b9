"""Whom the broker meant: it ends a channel for one message, and does not say for which.

A broker takes the messages of a channel in order, and none behind the one that it refuses. So
those that it would still refuse are asked for, each by itself: what was sent behind the last of
them it has certainly not taken, and where there is one, that was it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from typing import Any, TypeAlias

from gestalt.amq.errors import AmqError, LinkLost, OutcomeUnknown, Refused

from .interface import CHANNEL_CLOSED, Confirm
from .spawn import Spawn

Ask: TypeAlias = Callable[[Collection[Any]], Awaitable[Mapping[Any, Refused]]]
"""Asks the broker about messages, and returns the refusals."""


class Suspected(LinkLost):
    """The broker ended the channel for a message, which may have been this one.

    Attributes:
        case: the same for all suspects.
        number: which one of the channel's messages it is.
    """

    def __init__(self, message: str, case: "Case", number: int) -> None:
        super().__init__(message)
        self.case = case
        self.number = number


class Case:
    """Finds out which one it was, once for all of a channel.

    Args:
        count: how many suspects there are.

    Attributes:
        code: the broker's reply code.
    """

    def __init__(self, code: int, count: int) -> None:
        self.code = code
        self._count = count
        self._questions: dict[int, Hashable] = {}
        self._asking: asyncio.Task[None] | None = None
        self._asked: set[Hashable] = set()
        self._refused: Mapping[Any, Refused] = {}
        # The last one that the broker refuses, where everybody was asked.
        self._last: int | None = None

    async def judge(self, number: int, question: Hashable, ask: Ask, spawn: Spawn) -> bool:
        """Whether the broker has certainly not taken a message, and takes it now.

        Args:
            number: which one of the channel's messages it is.
            question: what the broker may refuse it for.
            ask: asks the broker.
            spawn: runs the task that does it for all.

        Raises:
            Refused: the broker would refuse it now.
        """
        self._questions[number] = question
        if self._asking is None:
            self._asking = spawn(self._ask(ask), name="whom the broker meant")
        await asyncio.wait({self._asking})
        refused = self._refused
        if question not in self._asked:  # pragma: no cover - it depends on the order of tasks
            # It came late: whether it is refused can be known, and no more.
            refused = await _ask(ask, [question])
        refusal = refused.get(question)
        if refusal is None:
            return self._last is not None and number > self._last
        if number == self._last:
            raise Refused(str(refusal), refusal.code)
        raise Refused(
            f"{refusal}; it was sent before with others, and whether the broker took it then is "
            "not known",
            refusal.code,
            may_have_arrived=True,
        )

    async def _ask(self, ask: Ask) -> None:
        # All learn of it in one turn of the event loop, and come here in the next ones.
        for _ in range(3):
            await asyncio.sleep(0)
        asked = dict(self._questions)
        self._asked = set(asked.values())
        self._refused = await _ask(ask, self._asked)
        if len(asked) == self._count:  # pragma: no branch - somebody gave up meanwhile
            self._last = max(
                (number for number, question in asked.items() if question in self._refused),
                default=None,
            )


def blame(unconfirmed: Mapping[int, Confirm], code: int, text: str) -> None:
    """Settle the publish that the broker has ended a channel for, or all that it may have been.

    Args:
        unconfirmed: those without a confirmation, by their numbers on the channel, in order.
        code: the broker's reply code.
        text: its reply text.
    """
    suspects: list[tuple[int, Confirm]] = []
    for number, confirm in unconfirmed.items():
        if _answered(confirm):
            # Those before it were dealt with, whatever became of them.
            suspects.clear()
        else:
            suspects.append((number, confirm))
    case = Case(code, len(suspects))
    for number, confirm in suspects:
        if confirm.done():
            continue
        if len(suspects) == 1:
            confirm.set_exception(Refused(f"the broker refused it: {text} ({code})", code))
        else:
            confirm.set_exception(Suspected(CHANNEL_CLOSED + text, case, number))


def _answered(confirm: Confirm) -> bool:
    """Whether the broker has dealt with a publish; a caller that gave up has settled it, too."""
    return (
        confirm.done()
        and not confirm.cancelled()
        and not isinstance(confirm.exception(), OutcomeUnknown)
    )


async def _ask(ask: Ask, questions: Collection[Hashable]) -> Mapping[Any, Refused]:
    try:
        return await ask(questions)
    except AmqError:  # pragma: no cover - lost while it is asked
        # Nothing is known, and nobody is blamed.
        return {}
