"""What becomes of a message that could not be handled: tried again later, or parked."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from gestalt.amq.errors import AmqError, TopologyError
from gestalt.amq.events import Event
from gestalt.amq.headers import ATTEMPTS_HEADER, PARKED_AT_HEADER, error_text
from gestalt.amq.link.consumer import Receiver, Session
from gestalt.amq.link.interface import Link
from gestalt.amq.link.spawn import Spawn
from gestalt.amq.message import attempts_before
from gestalt.amq.wire import Delivery, Properties

from . import failed_message
from .copies import copy_properties, failure_headers
from .delays import former_journey
from .failed_message import FailedMessage, LocalRetry
from .failure_log import FailureLog, Report
from .failure_queues import FailureQueues
from .fate import Fate, decide
from .republisher import CopyRefused, Republisher
from .retry import LONGEST_WAIT_HERE, FailurePolicy
from .stats import SubscriptionStats
from .target_queue import Route, TargetQueue
from .unmoved import Unmoved, counted

# How much may wait to be moved, in messages and in bytes, before no more is taken.
MOST_HELD = 10_000
MOST_HELD_BYTES = 64 * 1024 * 1024
# A queue that does not answer for so long is in trouble, in seconds.
PATIENCE = 5.0


class Failures:
    """Moves the messages of one queue out of its way, and only then lets them go.

    A message that failed is published to a queue of its own delay, from which the broker moves it
    back when its time has come; or to the queue of parked messages. Each with confirmation, before
    the original is acknowledged: a crash in between gives a duplicate, never a loss.

    What cannot be moved stays here, unacknowledged, and holds up nobody: its move is tried again
    with growing pauses, and when its delay is over, it is handled again as if it had been moved.
    With `policy.waits_here` nothing is moved that is to be handled again: all of it waits so.

    Args:
        name: of the subscription, for the log.
        policy: what is to become of failures.
        republisher: publishes the copies.
        stats: counts what becomes of messages.
        spawn: runs a move.
        report: tells of errors.
        resume: has a message handled again that waited here.
        tell: is told when messages cannot be moved, and when they can again.
        gone: is told of a message that was to be handled again here, and is not: it was given
            back, or its connection was lost.
    """

    def __init__(
        self,
        name: str,
        policy: FailurePolicy,
        republisher: Republisher,
        stats: SubscriptionStats,
        *,
        spawn: Spawn,
        report: Report,
        resume: Callable[[Any, Delivery], None],
        tell: Callable[[Event], None],
        gone: Callable[[Any, Delivery], None],
    ) -> None:
        self._policy = policy
        self._republisher = republisher
        self._stats = stats
        self._spawn = spawn
        self._log = FailureLog(name, report)
        self._resume = resume
        self._gone = gone
        self._queues = FailureQueues(
            name,
            policy,
            probe=republisher.probe,
            needed=self._needed,
            spawn=spawn,
            report=report,
            tell=tell,
        )
        self._unmoved = Unmoved()
        # In the order in which they failed; the tasks that move them.
        self._held: dict[FailedMessage, asyncio.Task[None]] = {}
        self._bytes = 0
        self._stopping = False

    @property
    def trouble(self) -> str | None:
        """Why messages cannot be moved, None while they can."""
        if (trouble := self._queues.trouble) is not None:
            return trouble
        now = asyncio.get_running_loop().time()
        # Those that are under way are the first, or close to the first.
        for message in islice(self._held, 100):
            moving, target = message.moving, message.target
            if target is not None and moving is not None and now - moving > PATIENCE:
                return f"queue {target.name!r} does not answer"  # pragma: no cover - it hangs
        return None

    @property
    def full(self) -> bool:
        """Whether so much waits to be moved that nothing more should be taken."""
        return len(self._held) >= MOST_HELD or self._bytes >= MOST_HELD_BYTES

    @property
    def busy(self) -> bool:
        """Whether anything waits to be moved."""
        return bool(self._held)

    def waiting(self, since: float) -> tuple[int, float]:
        """How many messages failed since, by the loop's clock, and wait to be moved; when the
        first did."""
        count, first = 0, float("inf")
        for message in reversed(self._held):
            if message.since < since:
                break
            if message.target is None:
                continue
            count += 1
            first = message.since
        return count, first

    async def prepare(
        self, link: Link, queue: str, refused: list[TopologyError] | None
    ) -> list[str]:
        """Declare where the messages of a queue are moved to, as `FailureQueues.prepare` does."""
        self._stopping = False
        return await self._queues.prepare(link, queue, refused)

    def fate(self, delivery: Delivery, error: BaseException, *, permanent: bool = False) -> Fate:
        """What would become of a message that was handled, and failed by an error."""
        attempt = attempts_before(delivery.properties.headers) + 1
        return decide(self._policy.retry, error, attempt, permanent=permanent)

    def tell_together(self, count: int, error: BaseException) -> None:
        """Tell that so many messages failed together, and are handled one at a time."""
        self._log.failed_together(count, error)

    def take(
        self,
        session: Session,
        receiver: Receiver,
        delivery: Delivery,
        error: BaseException,
        *,
        permanent: bool,
    ) -> bool:
        """Take charge of a message that could not be handled; it is settled here.

        Args:
            session, receiver: by which it came.
            delivery: the message.
            error: why it could not be handled.
            permanent: it will never be handled, so that it is not tried again.

        Returns:
            whether it waits here to be handled again, by `policy.waits_here`.
        """
        attempt = attempts_before(delivery.properties.headers) + 1
        fate = decide(self._policy.retry, error, attempt, permanent=permanent)
        if fate.kind == "discarded":
            self._stats.discarded += 1
            receiver.acks.ack(delivery.tag)
            self._log.discarded(delivery, error)
            return False
        headers = failure_headers(delivery, self._queues.origin, error, attempt)
        message = FailedMessage(session, receiver, delivery, headers)
        if fate.kind == "again":
            message.delay = fate.delay
            if not self._policy.waits_here:
                message.target = self._queues.retrying(fate.delay, exact=fate.exact)
            elif not message.waits_here():
                fate = Fate("parked", decided=fate.decided)
                message.delay = None
        if isinstance(delivery, LocalRetry) and not self._policy.waits_here:
            message.until = delivery.until
        if fate.kind == "again":
            told = f"tried again in {fate.delay:.3g} s"
            level = logging.INFO if fate.decided else logging.WARNING
        elif (parking := self._queues.parking()) is not None:
            message.target = parking
            told = f"parked in {parking.name!r}"
            level = logging.ERROR
        else:
            self._stats.dropped += 1
            receiver.acks.ack(delivery.tag)
            self._log.failed(delivery, error, "dropped, there is no parking for it", logging.ERROR)
            return False
        self._log.failed(delivery, error, told, level)
        self._keep(message)
        return message.target is None

    def recall(self, session: Session, receiver: Receiver, delivery: Delivery) -> Delivery | None:
        """What is delivered again, with its attempts counted on if it could not be moved before.

        Returns:
            what is to be handled; None where all that is left is to park it, which is seen to.
        """
        failure = self._unmoved.recall(delivery)
        if failure is None:
            return delivery
        parking = self._queues.parking() if failure.final else None
        # Without an id it may be another message that looks the same.
        if parking is None or delivery.properties.message_id is None:
            hold = LONGEST_WAIT_HERE if self._policy.waits_here else failed_message.LONGEST_HOLD
            return counted(delivery, failure, hold)
        message = FailedMessage(session, receiver, delivery, failure.headers)
        message.target = parking
        self._keep(message)
        return None

    def _keep(self, message: FailedMessage) -> None:
        """Hold a message until it is settled."""
        self._bytes += len(message.delivery.body)
        target = message.target
        hold = self._wait_here(message) if target is None else self._hold(message, target)
        task = self._held[message] = self._spawn(hold, name="move")
        task.add_done_callback(partial(self._released, message))

    async def settle(self) -> None:
        """Wait for the confirmations of what is under way; what is not goes back to the queue."""
        self._stopping = True
        for message, task in self._held.items():
            target = message.target
            waits = target is None or (target.pause is not None and message.moving is None)
            if waits:  # pragma: no branch - it is being moved just then
                task.cancel()
        while self._held:
            await asyncio.wait(self._held.values())

    async def close(self) -> None:
        """Let go of everything."""
        self._queues.forget()
        await self._republisher.close()

    def _needed(self, queue: TargetQueue) -> bool:
        return any(message.target is queue for message in self._held)

    async def _wait_here(self, message: FailedMessage) -> None:
        """Have a message handled again when its delay is over."""
        await asyncio.wait((message.session.ended,), timeout=message.delay)
        if not message.session.ended.done():
            self._handle_again(message)

    async def _hold(self, message: FailedMessage, target: TargetQueue) -> None:
        """Try to move a message, until it is settled."""
        loop = asyncio.get_running_loop()
        while not message.session.ended.done():
            if target.pause is not None:
                if self._stopping:  # pragma: no cover - it pauses in the turn of the stop
                    self._let_go(message)
                    return
                await self._wait(message, target.pause)
                if message.session.ended.done():
                    break
                now = loop.time()
                if now >= message.until:
                    self._give_back(message, target)
                    return
                if message.delay is not None and now >= message.since + message.delay:
                    self._handle_again(message)
                    return
                if target.pause is not None:
                    continue
            if await self._move(message, target):
                return
        # It will be delivered again.
        self._unmoved.note(message)

    async def _wait(self, message: FailedMessage, pause: asyncio.Future[None]) -> None:
        until = message.until
        if message.delay is not None:
            until = min(until, message.since + message.delay)
        patience = max(0.0, until - asyncio.get_running_loop().time())
        await asyncio.wait(
            (pause, message.session.ended), timeout=patience, return_when=asyncio.FIRST_COMPLETED
        )

    async def _move(self, message: FailedMessage, target: TargetQueue) -> bool:
        """Try to move it; True when it is settled."""
        now = message.moving = asyncio.get_running_loop().time()
        route = target.route(message.since + (message.delay or 0.0) - now)
        try:
            async with asyncio.timeout_at(message.until) as limit:
                await self._republisher.move(
                    target,
                    route,
                    message.delivery.body,
                    partial(self._copy, message, route),
                    alone=message.effort > 0,
                )
        except Exception as error:
            if limit.expired():
                self._give_back(message, target)
                return True
            if message.effort < 2 and isinstance(
                error, CopyRefused | ValueError | TypeError | OverflowError
            ):
                message.effort += 1
            else:
                known = error if isinstance(error, AmqError) else AmqError(error_text(error))
                self._stats.unmoved += 1
                self._queues.fail(target, known)
            return False
        finally:
            message.moving = None
        self._queues.succeed(target)
        self._unmoved.forget(message.delivery)
        message.receiver.acks.ack(message.delivery.tag)
        if message.delay is None:
            self._stats.parked += 1
        else:
            self._stats.retried += 1
        return True

    def _copy(self, message: FailedMessage, route: Route, frame_limit: int) -> Properties:
        headers = {**route.headers, **message.headers}
        if message.delay is None:
            headers = headers | {PARKED_AT_HEADER: int(time.time())}
        copy = copy_properties(
            message.delivery,
            headers,
            frame_limit,
            without=former_journey(message.delivery.properties.headers),
            bare=message.effort > 1,
        )
        # By it messages would pass one another, and those behind would wait for too long.
        return replace(copy, priority=None) if route.headers else copy

    def _handle_again(self, message: FailedMessage) -> None:
        """Its time has come before it could be moved away and back: as if it had been."""
        delivery = message.delivery
        headers = dict(delivery.properties.headers or {})
        headers[ATTEMPTS_HEADER] = message.headers[ATTEMPTS_HEADER]
        self._stats.retried += 1
        message.resumed = True
        properties = replace(delivery.properties, headers=headers)
        self._resume(message.session, LocalRetry(delivery, properties, message.until))

    def _give_back(self, message: FailedMessage, target: TargetQueue) -> None:
        self._stats.returned += 1
        self._unmoved.note(message)
        message.receiver.acks.nack(message.delivery.tag)
        trouble = target.trouble or AmqError("it does not answer")
        self._log.given_back(message.delivery, target.name, trouble)

    def _let_go(self, message: FailedMessage) -> None:
        if not self._policy.waits_here:
            message.receiver.acks.nack(message.delivery.tag)
        elif not self._stopping:  # pragma: no cover - somebody else cancels its task
            # By itself it would come again behind others of its key: all go back together.
            message.session.end(AmqError("what waited to be handled again was cancelled"))

    def _released(self, message: FailedMessage, task: asyncio.Task[None]) -> None:
        del self._held[message]
        self._bytes -= len(message.delivery.body)
        if task.cancelled() and not message.session.ended.done():
            # By the end of the subscription, or by anybody else: nobody would settle it.
            self._let_go(message)
        if message.target is None and not message.resumed:
            self._unmoved.note(message)
            self._gone(message.session, message.delivery)
