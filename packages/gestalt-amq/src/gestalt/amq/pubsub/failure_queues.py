"""The queues that failed messages of one queue are moved to: for retries, and for parking."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from itertools import islice

from gestalt.amq.errors import AmqError, TopologyError
from gestalt.amq.events import Event, MovingFailed, MovingResumed
from gestalt.amq.link.interface import Link
from gestalt.amq.link.spawn import Spawn
from gestalt.amq.plan import PlannedQueue

from .delay_target import DelayTarget
from .plans import plan_failures, plan_parking, plan_retry
from .retry import FailurePolicy
from .target_queue import FIRST_PAUSE, TargetQueue

# So many queues are declared with their queue; further ones when they are needed.
DECLARED_AHEAD = 17
DECLARED_AT_ONCE = 4


class FailureQueues:
    """Names, declares and watches them: a queue for each delay, and one for parking.

    A queue in trouble is looked after, with growing pauses, until it takes messages again.

    Args:
        name: of the subscription, for the log.
        policy: what is to become of failures.
        probe: sees whether a queue might take messages, and declares it.
        needed: whether messages wait for a queue, whose moves show when it is out of trouble.
        spawn: runs what looks after a queue.
        report: tells of a queue's trouble.
        tell: is told when a queue gets into trouble, and out of it.
    """

    def __init__(
        self,
        name: str,
        policy: FailurePolicy,
        *,
        probe: Callable[[TargetQueue], Awaitable[None]],
        needed: Callable[[TargetQueue], bool],
        spawn: Spawn,
        report: Callable[[BaseException, str], None],
        tell: Callable[[Event], None],
    ) -> None:
        self._name = name
        self._policy = policy
        self._try = probe
        self._needed = needed
        self._spawn = spawn
        self._report = report
        self._tell = tell
        self._origin = ""
        self._queues: dict[str, TargetQueue] = {}
        self._ladder: DelayTarget | None = None
        # Those in trouble that are looked after.
        self._probing: set[TargetQueue] = set()

    @property
    def origin(self) -> str:
        """The queue whose messages fail."""
        return self._origin

    @property
    def trouble(self) -> str | None:
        """Why messages cannot be moved, None while they can."""
        for queue in self._queues.values():
            if queue.trouble is not None:
                return f"no message can be moved to queue {queue.name!r}: {queue.trouble}"
        return None

    async def prepare(
        self, link: Link, origin: str, refused: list[TopologyError] | None
    ) -> list[str]:
        """Declare where the messages of a queue are moved to.

        Args:
            link: on which they are declared.
            origin: the name of the queue whose messages fail.
            refused: is given what the broker refuses; without it, that is reported, and tried
                again when needed.

        Returns:
            the names of those queues that are this link's own.

        Raises:
            LinkLost: the connection ended.
        """
        if origin != self._origin:
            self.forget()
            self._queues.clear()
            self._ladder = None
            self._origin = origin
        ahead = islice(plan_failures(origin, self._policy), DECLARED_AHEAD)
        queues = [self._queue(planned) for planned in ahead]
        # A few at a time: each takes a channel of the connection for as long.
        for start in range(0, len(queues), DECLARED_AT_ONCE):
            some = queues[start : start + DECLARED_AT_ONCE]
            outcomes = await asyncio.gather(
                *(queue.declare(link) for queue in some), return_exceptions=True
            )
            for queue, outcome in zip(some, outcomes, strict=True):
                if isinstance(outcome, TopologyError):
                    if refused is None:
                        self.fail(queue, outcome)
                    else:
                        refused.append(outcome)
                elif isinstance(outcome, BaseException):
                    raise outcome
        return [queue.name for queue in queues if queue.planned.exclusive]

    def retrying(self, delay: float, *, exact: bool) -> TargetQueue:
        """The queue of those that are handled again after a delay, in seconds.

        Args:
            exact: the delay is none of the policy's.
        """
        if exact and not self._policy.private:
            if self._ladder is None:
                self._ladder = DelayTarget(self._origin, declare=self._policy.declare)
                self._queues[self._ladder.name] = self._ladder
            return self._ladder
        if exact:
            # A queue that vanishes with its subscriber has no part of what others share.
            delay = _rounded(delay)
        return self._queue(plan_retry(self._origin, self._policy, delay))

    def parking(self) -> TargetQueue | None:
        """The queue of those that are not handled any more, if there is one."""
        planned = plan_parking(self._policy)
        return None if planned is None else self._queue(planned)

    def fail(self, queue: TargetQueue, error: AmqError) -> None:
        """Nothing could be moved to a queue: tell, and look after it."""
        well = queue.trouble is None
        if not queue.fail(error):
            return
        if well:
            self._tell(MovingFailed(self._origin, queue.name, error))
        self._report(
            error,
            f"{self._name}: no message can be moved to queue {queue.name!r}; those that are "
            f"to be moved wait, and it is tried again: {error}",
        )
        if queue not in self._probing:
            self._probing.add(queue)
            self._spawn(self._probe(queue), name=f"probe {queue.name}")

    def succeed(self, queue: TargetQueue, *, moved: bool = True) -> None:
        """Something was moved to a queue; or it seems that it might be."""
        well = queue.trouble is None
        if moved:
            queue.succeed()
        else:
            queue.recover()
        if not well:
            self._tell(MovingResumed(self._origin, queue.name))

    def forget(self) -> None:
        """Nothing is to be moved there any more."""
        for queue in self._queues.values():
            queue.forget()

    def _queue(self, planned: PlannedQueue) -> TargetQueue:
        queue = self._queues.get(planned.name)
        if queue is None:
            queue = self._queues[planned.name] = TargetQueue(planned)
        return queue

    async def _probe(self, queue: TargetQueue) -> None:
        """See when a queue is out of trouble, also when nothing is to be moved there."""
        try:
            while queue.trouble is not None:
                if queue.pause is not None:
                    await asyncio.wait((queue.pause,))
                elif self._needed(queue):
                    await asyncio.sleep(FIRST_PAUSE)
                else:
                    try:
                        await self._try(queue)
                    except AmqError as error:  # pragma: no cover - refused, and none waits for it
                        self.fail(queue, error)
                    else:
                        self.succeed(queue, moved=False)
        finally:
            self._probing.discard(queue)


def _rounded(delay: float) -> float:
    """A delay, a little longer, of two digits: so that there are not too many queues."""
    digit = 10.0 ** (math.floor(math.log10(delay)) - 1)
    return max(0.001, round(math.ceil(round(delay / digit, 6)) * digit, 3))
