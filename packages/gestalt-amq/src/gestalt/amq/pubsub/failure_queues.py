"""The queues that failed messages of one queue are moved to: for retries, and for parking."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import Any

from gestalt.amq.errors import AmqError, TopologyError
from gestalt.amq.link.channel_keeper import Spawn
from gestalt.amq.link.interface import Link
from gestalt.amq.topology import parking_arguments, private_retry_arguments, retry_arguments

from .retry import FailurePolicy
from .target_queue import FIRST_PAUSE, TargetQueue

# So many retry queues are declared with their queue; further ones when they are needed.
DECLARED_AHEAD = 16
DECLARED_AT_ONCE = 4


class FailureQueues:
    """Names, declares and watches them: a queue for each delay, and one for parking.

    A queue in trouble is looked after, with growing pauses, until it takes messages again.

    Args:
        name: of the subscription, for the log.
        policy: what is to become of failures.
        declare: declares a queue on the present connection.
        needed: whether messages wait for a queue, whose moves show when it is out of trouble.
        spawn: runs what looks after a queue.
        report: tells of a queue's trouble.
    """

    def __init__(
        self,
        name: str,
        policy: FailurePolicy,
        *,
        declare: Callable[[TargetQueue], Awaitable[None]],
        needed: Callable[[TargetQueue], bool],
        spawn: Spawn,
        report: Callable[[BaseException, str], None],
    ) -> None:
        self._name = name
        self._policy = policy
        self._declare = declare
        self._needed = needed
        self._spawn = spawn
        self._report = report
        self._origin = ""
        self._queues: dict[str, TargetQueue] = {}
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

    async def prepare(self, link: Link, origin: str, *, strict: bool) -> list[str]:
        """Declare where the messages of a queue are moved to.

        Args:
            link: on which they are declared.
            origin: the name of the queue whose messages fail.
            strict: fail if the broker refuses; otherwise report it, and try again when needed.

        Returns:
            the names of those queues that are this link's own.

        Raises:
            TopologyError: the broker refuses.
            LinkLost: the connection ended.
        """
        if origin != self._origin:
            self.forget()
            self._queues.clear()
            self._origin = origin
        queues = []
        private = []
        if (parking := self.parking()) is not None:
            queues.append(parking)
        if self._policy.retry is not None and not self._policy.waits_here:
            for delay in islice(self._policy.retry.delays(), DECLARED_AHEAD):
                queues.append(self.retrying(delay))
                if self._policy.private:
                    private.append(queues[-1].name)
        # A few at a time: each takes a channel of the connection for as long.
        for start in range(0, len(queues), DECLARED_AT_ONCE):
            some = queues[start : start + DECLARED_AT_ONCE]
            outcomes = await asyncio.gather(
                *(queue.declare(link) for queue in some), return_exceptions=True
            )
            for queue, outcome in zip(some, outcomes, strict=True):
                if isinstance(outcome, TopologyError) and not strict:
                    self.fail(queue, outcome)
                elif isinstance(outcome, BaseException):
                    raise outcome
        return private

    def retrying(self, delay: float, *, exact: bool = False) -> TargetQueue:
        """The queue of those that are handled again after a delay, in seconds.

        Args:
            exact: the delay is none of the policy's.
        """
        if exact:
            delay = _rounded(delay)
        milliseconds = max(1, round(delay * 1000))
        private = self._policy.private
        arguments = private_retry_arguments if private else retry_arguments
        # The broker makes up names of private queues that nobody else may give.
        stem = self._origin.removeprefix("amq.")
        return self._queue(
            f"{stem}.retry.{milliseconds}", arguments(self._origin, milliseconds), private
        )

    def parking(self) -> TargetQueue | None:
        """The queue of those that are not handled any more, if there is one."""
        name = self._policy.parking
        return None if name is None else self._queue(name, parking_arguments(), exclusive=False)

    def fail(self, queue: TargetQueue, error: AmqError) -> None:
        """Nothing could be moved to a queue: tell, and look after it."""
        if not queue.fail(error):
            return
        self._report(
            error,
            f"{self._name}: no message can be moved to queue {queue.name!r}; those that are "
            f"to be moved wait, and it is tried again: {error}",
        )
        if queue not in self._probing:
            self._probing.add(queue)
            self._spawn(self._probe(queue), name=f"probe {queue.name}")

    def forget(self) -> None:
        """Nothing is to be moved there any more."""
        for queue in self._queues.values():
            queue.forget()

    def _queue(self, name: str, arguments: Mapping[str, Any], exclusive: bool) -> TargetQueue:
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = TargetQueue(
                name, arguments, exclusive=exclusive, given=self._policy.given
            )
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
                        await self._declare(queue)
                    except AmqError as error:
                        self.fail(queue, error)
                    else:
                        queue.succeed()
        finally:
            self._probing.discard(queue)


def _rounded(delay: float) -> float:
    """A delay, a little longer, of two digits: so that there are not too many queues."""
    digit = 10.0 ** (math.floor(math.log10(delay)) - 1)
    return max(0.001, round(math.ceil(round(delay / digit, 6)) * digit, 3))
