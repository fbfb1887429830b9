"""The ladder of delays as a place that failed messages are moved to, and come back from."""

from gestalt.amq.declaring import declare_plan
from gestalt.amq.errors import AmqError
from gestalt.amq.headers import EXCHANGE_HEADER
from gestalt.amq.link.interface import Link
from gestalt.amq.plan import PlannedQueue, merge
from gestalt.amq.topology import Exchange

from .delays import PREFIX, Destination, entry, ladder, path, travel_headers
from .target_queue import Route, TargetQueue


class DelayTarget(TargetQueue):
    """Takes messages that come back to their queue after any time.

    Args:
        origin: the name of that queue.
        declare: declare the ladder; otherwise it must exist.
    """

    def __init__(self, origin: str, *, declare: bool) -> None:
        self._destination = Destination(Exchange(""), origin)
        plan = merge([ladder(), self._destination.plan])
        self._plan = plan if declare else plan.checked()
        self._origin = origin
        super().__init__(PlannedQueue(f"{PREFIX}{self._destination.name}"))

    def route(self, delay: float) -> Route:
        """How a message gets to its place in the ladder."""
        levels = path(max(0.0, delay))
        headers = travel_headers({}, levels, self._destination)
        # The copy tells it by itself.
        del headers[EXCHANGE_HEADER]
        return Route(entry(levels), self._origin, headers)

    def fail(self, error: AmqError) -> bool:  # pragma: no cover - somebody deletes the ladder
        """As `TargetQueue.fail`; it may be that something of the ladder was deleted."""
        self.declared = None
        return super().fail(error)

    async def _declare(self, link: Link) -> None:
        await declare_plan(link, self._plan)
