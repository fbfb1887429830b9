"""Comparing what is at the broker with what is needed, without declaring anything."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from .declaring import declare_exchange, declare_queue
from .errors import TopologyError
from .link.interface import CHANNEL_CLOSED, Channel, Link, channel_aside
from .plan import Plan


@dataclass(frozen=True, slots=True)
class Drift:
    """Something at the broker that is not as it is needed.

    Attributes:
        kind: what it is.
        name: its name.
        problem: "missing"; "different", where it has other properties; or "unknown", where the
            user may not look.
        reason: the broker's words.
    """

    kind: Literal["exchange", "queue"]
    name: str
    problem: Literal["missing", "different", "unknown"]
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} {_PROBLEMS[self.problem]}: {self.reason}"


_PROBLEMS = {
    "missing": "is missing",
    "different": "has other properties",
    "unknown": "cannot be compared",
}


async def find_drift(link: Link, plan: Plan) -> list[Drift]:
    """What is missing, or has other properties; bindings cannot be asked for by AMQP.

    Only what the broker has just said to exist is compared, by a declaration that changes nothing
    of what exists. What is missing stays so.

    Raises:
        LinkLost: the connection ended.
    """
    found = []
    for exchange in plan.exchanges:
        if not exchange.predeclared:
            look = partial(declare_exchange, exchange=replace(exchange, declare=False))
            compare = partial(declare_exchange, exchange=exchange) if exchange.declare else None
            if (problem := await _problem(link, look, compare)) is not None:
                found.append(Drift("exchange", exchange.name, *problem))
    for queue in plan.queues:
        if not (queue.passing or queue.exclusive):
            look_for = partial(declare_queue, queue=queue, passive=True)
            match = partial(declare_queue, queue=queue) if queue.declares == "always" else None
            if (problem := await _problem(link, look_for, match)) is not None:
                found.append(Drift("queue", queue.name, *problem))
    return found


Problem = tuple[Literal["missing", "different", "unknown"], str]


async def _problem(
    link: Link,
    look: Callable[[Channel], Awaitable[None]],
    compare: Callable[[Channel], Awaitable[None]] | None,
) -> Problem | None:
    async with channel_aside(link) as channel:
        try:
            await look(channel)
        except TopologyError as error:
            return ("missing" if error.code == 404 else "unknown"), _words(error)
        if compare is not None:
            try:
                await compare(channel)
            except TopologyError as error:
                return ("different" if error.code == 406 else "unknown"), _words(error)
    return None


def _words(error: TopologyError) -> str:
    """What the broker itself says."""
    cause = error.__cause__
    return str(cause if isinstance(cause, TopologyError) else error).removeprefix(CHANNEL_CLOSED)
