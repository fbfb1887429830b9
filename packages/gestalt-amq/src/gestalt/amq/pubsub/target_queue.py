"""A queue that failed messages are moved to, which may be in trouble for a while."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from gestalt.amq.declaring import declare_aside
from gestalt.amq.errors import AmqError
from gestalt.amq.link.interface import Link
from gestalt.amq.plan import PlannedQueue

# How many copies may await their confirmation by one queue: a silent one holds back its own.
IN_FLIGHT = 100
# The first pause after a failure, and the longest, in seconds.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# A queue that was out of trouble for so long begins with the first pause again, in seconds.
FORGIVEN = 600.0


class Route(NamedTuple):
    """How a copy gets where it is to go.

    Args:
        exchange: it is published to.
        routing_key: by which key.
        headers: what leads it on from there.
    """

    exchange: str
    routing_key: str
    headers: Mapping[str, Any]


class TargetQueue:
    """Where copies go, as far as it is known whether they get there.

    Args:
        planned: the queue, as it is declared.

    Attributes:
        trouble: why nothing can be moved there, None while it can.
        pause: done when it is worth another try, None while nothing is against it.
        delay: how long the latest pause was, in seconds; 0 where there was none.
        in_flight: bounds how many copies await their confirmation.
        declaring: held by whoever declares it.
        declared: on which link it was declared last.
    """

    def __init__(self, planned: PlannedQueue) -> None:
        self.planned = planned
        self.name = planned.name
        self.trouble: AmqError | None = None
        self.pause: asyncio.Future[None] | None = None
        self.in_flight = asyncio.Semaphore(IN_FLIGHT)
        self.declaring = asyncio.Lock()
        self.declared: Link | None = None
        self._declared_at = 0.0
        self._failed_at = -1.0
        self.delay = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def declare(self, link: Link) -> None:
        """Declare it, or see that it exists; errors as those of `declare_aside`."""
        await self._declare(link)
        self.declared = link
        self._declared_at = asyncio.get_running_loop().time()

    def route(self, delay: float) -> Route:  # noqa: ARG002 - for those that can
        """How a copy gets there.

        Args:
            delay: how long it is to wait, where that is not the queue's own; in seconds.
        """
        return Route("", self.name, {})

    def miss(self, since: float) -> None:
        """It was not there when something was to be moved, since when nobody has declared it."""
        if self._declared_at <= since:  # pragma: no branch - declared meanwhile
            self.declared = None

    def fail(self, error: AmqError) -> bool:
        """Nothing could be moved there: pause, longer each time; False when it pauses already."""
        loop = asyncio.get_running_loop()
        if self.trouble is None and loop.time() - self._failed_at > FORGIVEN:
            self.delay = 0.0
        self._failed_at = loop.time()
        if self.pause is not None:
            return False
        self.trouble = error
        self.pause = loop.create_future()
        self.delay = min(self.delay * 2 or FIRST_PAUSE, LONGEST_PAUSE)
        self._timer = loop.call_later(self.delay, self._end_pause)
        return True

    def succeed(self) -> None:
        """Something was moved there."""
        if self.trouble is not None:
            self.trouble = None
            self.delay = 0.0
            self._end_pause()

    def recover(self) -> None:
        """It seems to be out of trouble: the next pause is a longer one, until something was moved.

        What was seen is not that it takes a message: a full queue can be declared as well.
        """
        self.trouble = None
        self._end_pause()

    def check(self, since: float) -> None:
        """Raise the error of a try that was made since, by the loop's clock."""
        if self.trouble is not None and self._failed_at >= since:
            raise AmqError(str(self.trouble))

    def forget(self) -> None:
        """Nothing is to be moved there any more: let nobody wait, or look after it."""
        self.trouble = None
        self._end_pause()

    async def _declare(self, link: Link) -> None:
        await declare_aside(link, self.planned)

    def _end_pause(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.pause is not None:
            self.pause.set_result(None)
            self.pause = None
