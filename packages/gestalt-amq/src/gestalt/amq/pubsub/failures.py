"""What becomes of a message that could not be handled: tried again later, or parked."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Protocol

from gestalt.amq.errors import AmqError, TopologyError
from gestalt.amq.link.consumer import Intake, Session
from gestalt.amq.link.interface import Link
from gestalt.amq.message import ATTEMPTS_HEADER, attempts_before, described
from gestalt.amq.topology import parking_arguments, private_retry_arguments, retry_arguments
from gestalt.amq.wire import Delivery, Properties

from .copies import PARKED_AT_HEADER, copy_properties, failure_headers, name_of, text_of
from .held import Held, Kept
from .mover import FIRST_PAUSE, CopyRefused, Mover, Place
from .retry import Failing

# So many retry queues are declared with their queue; further ones when they are needed.
DECLARED_AHEAD = 16
DECLARED_AT_ONCE = 4
# How much may wait to be moved, in messages and in bytes, before no more is taken.
MOST_HELD = 10_000
MOST_HELD_BYTES = 64 * 1024 * 1024
# A queue that does not answer for so long is in trouble, in seconds.
PATIENCE = 5.0


class Spawn(Protocol):
    """Runs a coroutine in a task that the subscription owns."""

    def __call__(
        self, coro: Coroutine[Any, Any, None], *, name: str | None = None
    ) -> asyncio.Task[None]: ...


class Report(Protocol):
    """Tells of an error that the subscription survives."""

    def __call__(self, error: BaseException, message: str, *, level: int = ...) -> None: ...


@dataclass(slots=True)
class SubscriptionStats:
    """What became of a subscription's messages.

    Attributes:
        handled: their handler succeeded.
        retried: their handler failed, and they will be handled again.
        parked: they were moved to the parked messages.
        dropped: they failed in a private queue, which has no parking.
        returned: they were given back to the queue: not begun for too long, or not to be moved.
    """

    handled: int = 0
    retried: int = 0
    parked: int = 0
    dropped: int = 0
    returned: int = 0


class Failures:
    """Moves the messages of one queue out of its way, and only then lets them go.

    A message that failed is published to a queue of its own delay, from which the broker moves it
    back when its time has come; or to the queue of parked messages. Each with confirmation, before
    the original is acknowledged: a crash in between gives a duplicate, never a loss.

    What cannot be moved stays here, unacknowledged, and holds up nobody: its move is tried again
    with growing pauses, and when its delay is over, it is handled again as if it had been moved.

    Args:
        name: of the subscription, for the log.
        failing: what is to become of failures.
        mover: publishes the copies.
        stats: counts what becomes of messages.
        spawn: runs a move.
        report: tells of errors.
        resume: has a message handled again that could not be moved in time.
    """

    def __init__(
        self,
        name: str,
        failing: Failing,
        mover: Mover,
        stats: SubscriptionStats,
        *,
        spawn: Spawn,
        report: Report,
        resume: Callable[[Any, Delivery], None],
    ) -> None:
        self._name = name
        self._failing = failing
        self._mover = mover
        self._stats = stats
        self._spawn = spawn
        self._report = report
        self._resume = resume
        self._queue = ""
        self._places: dict[str, Place] = {}
        # In the order in which they failed; the tasks that move them.
        self._held: dict[Held, asyncio.Task[None]] = {}
        self._bytes = 0
        self._stopping = False
        # The places in trouble that are looked after.
        self._probing: set[Place] = set()

    @property
    def trouble(self) -> str | None:
        """Why messages cannot be moved, None while they can."""
        for place in self._places.values():
            if place.trouble is not None:
                return f"no message can be moved to queue {place.name!r}: {place.trouble}"
        now = asyncio.get_running_loop().time()
        # Those that are under way are the first, or close to the first.
        for held in islice(self._held, 100):
            if held.moving is not None and now - held.moving > PATIENCE:
                return f"queue {held.place.name!r} does not answer"
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
        """How many messages failed since, by the loop's clock, and wait; when the first did."""
        count, first = 0, float("inf")
        for held in reversed(self._held):
            if held.since < since:
                break
            count += 1
            first = held.since
        return count, first

    async def prepare(self, link: Link, queue: str, *, strict: bool) -> list[str]:
        """Declare where the messages of a queue are moved to.

        Args:
            strict: fail if the broker refuses; otherwise report it, and try again when needed.

        Returns:
            the names of those queues that are this link's own.

        Raises:
            TopologyError: the broker refuses.
            LinkLost: the connection ended.
        """
        if queue != self._queue:
            self._queue = queue
            for place in self._places.values():
                place.forget()
            self._places.clear()
        self._stopping = False
        places = []
        private = []
        if self._failing.parking is not None:
            places.append(self._parking(self._failing.parking))
        if self._failing.retry is not None:
            for delay in islice(self._failing.retry.delays(), DECLARED_AHEAD):
                places.append(self._retrying(delay))
                if self._failing.private:
                    private.append(places[-1].name)
        # A few at a time: each takes a channel of the connection for as long.
        for start in range(0, len(places), DECLARED_AT_ONCE):
            some = places[start : start + DECLARED_AT_ONCE]
            outcomes = await asyncio.gather(
                *(place.declare(link) for place in some), return_exceptions=True
            )
            for place, outcome in zip(some, outcomes, strict=True):
                if isinstance(outcome, TopologyError) and not strict:
                    self._failed_to(place, outcome)
                elif isinstance(outcome, BaseException):
                    raise outcome
        return private

    def take(
        self,
        session: Session,
        intake: Intake,
        delivery: Delivery,
        error: BaseException,
        *,
        lasting: bool,
    ) -> None:
        """Take charge of a message that could not be handled; it is settled here.

        Args:
            lasting: it will never be handled, so that it is not tried again.
        """
        retry, parking = self._failing.retry, self._failing.parking
        attempt = attempts_before(delivery.properties.headers) + 1
        headers = failure_headers(delivery, self._queue, error, attempt)
        if retry is not None and not lasting and attempt < retry.attempts:
            delay = retry.delay_after(attempt)
            held = Held(session, intake, delivery, self._retrying(delay), headers, delay)
            fate = f"tried again in {delay:.3g} s"
            level = logging.WARNING
        elif parking is not None:
            held = Held(session, intake, delivery, self._parking(parking), headers, None)
            fate = f"parked in {parking!r}"
            level = logging.ERROR
        else:
            self._stats.dropped += 1
            intake.acks.ack(delivery.tag)
            self._tell(delivery, error, "dropped, there is no parking for it", logging.ERROR)
            return
        if isinstance(delivery, Kept):
            held.until = delivery.until
        self._tell(delivery, error, fate, level)
        self._bytes += len(delivery.body)
        task = self._held[held] = self._spawn(self._keep(held), name="move")
        task.add_done_callback(partial(self._released, held))

    async def settle(self) -> None:
        """Wait for the confirmations of what is under way; what is not goes back to the queue."""
        self._stopping = True
        for held, task in self._held.items():
            if held.place.opening is not None and held.moving is None:
                task.cancel()
        while self._held:
            await asyncio.wait(self._held.values())

    async def close(self) -> None:
        """Let go of everything."""
        for place in self._places.values():
            place.forget()
        await self._mover.close()

    # Where to

    def _retrying(self, delay: float) -> Place:
        milliseconds = max(1, round(delay * 1000))
        private = self._failing.private
        arguments = private_retry_arguments if private else retry_arguments
        # The broker makes up names of private queues that nobody else may give.
        stem = self._queue.removeprefix("amq.")
        return self._place(
            f"{stem}.retry.{milliseconds}", arguments(self._queue, milliseconds), private
        )

    def _parking(self, name: str) -> Place:
        return self._place(name, parking_arguments(), exclusive=False)

    def _place(self, name: str, arguments: Mapping[str, Any], exclusive: bool) -> Place:
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = Place(
                name, arguments, exclusive=exclusive, given=self._failing.given
            )
        return place

    # A message on its way

    async def _keep(self, held: Held) -> None:
        loop = asyncio.get_running_loop()
        place = held.place
        while not held.session.ended.done():
            if place.opening is not None:
                if self._stopping:
                    held.intake.acks.nack(held.delivery.tag)
                    return
                await self._wait(held, place.opening)
                if held.session.ended.done():
                    return  # it will be delivered again
                now = loop.time()
                if now >= held.until:
                    self._give_back(held)
                    return
                if held.delay is not None and now >= held.since + held.delay:
                    self._handle_again(held)
                    return
                if place.opening is not None:
                    continue
            if await self._move(held):
                return

    async def _wait(self, held: Held, opening: asyncio.Future[None]) -> None:
        until = held.until if held.delay is None else min(held.until, held.since + held.delay)
        patience = max(0.0, until - asyncio.get_running_loop().time())
        await asyncio.wait(
            (opening, held.session.ended), timeout=patience, return_when=asyncio.FIRST_COMPLETED
        )

    async def _move(self, held: Held) -> bool:
        """Try to move it; True when it is settled."""
        held.moving = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(held.until) as limit:
                await self._mover.move(
                    held.place,
                    held.delivery.body,
                    partial(self._copy, held),
                    alone=held.care > 0,
                )
        except Exception as error:
            if limit.expired():
                self._give_back(held)
                return True
            if held.care < 2 and isinstance(
                error, CopyRefused | ValueError | TypeError | OverflowError
            ):
                held.care += 1
            else:
                known = error if isinstance(error, AmqError) else AmqError(text_of(error))
                self._failed_to(held.place, known)
            return False
        finally:
            held.moving = None
        held.place.succeed()
        held.intake.acks.ack(held.delivery.tag)
        if held.delay is None:
            self._stats.parked += 1
        else:
            self._stats.retried += 1
        return True

    def _copy(self, held: Held, frame_limit: int) -> Properties:
        headers = held.headers
        if held.delay is None:
            headers = headers | {PARKED_AT_HEADER: int(time.time())}
        return copy_properties(held.delivery, headers, frame_limit, bare=held.care > 1)

    def _handle_again(self, held: Held) -> None:
        """Its time has come before it could be moved away and back: as if it had been."""
        delivery = held.delivery
        headers = dict(delivery.properties.headers or {})
        headers[ATTEMPTS_HEADER] = held.headers[ATTEMPTS_HEADER]
        self._stats.retried += 1
        properties = replace(delivery.properties, headers=headers)
        self._resume(held.session, Kept(delivery, properties, held.until))

    def _give_back(self, held: Held) -> None:
        self._stats.returned += 1
        held.intake.acks.nack(held.delivery.tag)
        self._report(
            held.place.trouble or AmqError("it does not answer"),
            f"{self._name}: {described(held.delivery)} given back to its queue: it could not be "
            f"moved to queue {held.place.name!r} in time",
        )

    def _released(self, held: Held, task: asyncio.Task[None]) -> None:
        del self._held[held]
        self._bytes -= len(held.delivery.body)
        if task.cancelled() and not held.session.ended.done():
            # By the end of the subscription, or by anybody else: nobody would settle it.
            held.intake.acks.nack(held.delivery.tag)

    def _failed_to(self, place: Place, error: AmqError) -> None:
        if place.fail(error):
            self._report(
                error,
                f"{self._name}: no message can be moved to queue {place.name!r}; those that are "
                f"to be moved wait, and it is tried again: {error}",
            )
            if place not in self._probing:
                self._probing.add(place)
                self._spawn(self._probe(place), name=f"probe {place.name}")

    async def _probe(self, place: Place) -> None:
        """See when a place is out of trouble, also when nothing is to be moved there."""
        try:
            while place.trouble is not None:
                if place.opening is not None:
                    await asyncio.wait((place.opening,))
                elif any(held.place is place for held in self._held):
                    await asyncio.sleep(FIRST_PAUSE)
                else:
                    try:
                        await self._mover.declare(place)
                    except AmqError as error:
                        self._failed_to(place, error)
                    else:
                        place.succeed()
        finally:
            self._probing.discard(place)

    def _tell(self, delivery: Delivery, error: BaseException, fate: str, level: int) -> None:
        reason = text_of(error)
        if len(reason) > _LINE:
            # A traceback has the whole text, which may be megabytes; or none can be had.
            error = RuntimeError(f"{name_of(error)}: {reason[:_LINE]}...").with_traceback(
                error.__traceback__
            )
        self._report(
            error,
            f"{self._name}: {described(delivery)} {fate}: {name_of(error)}: {reason[:_LINE]}",
            level=level,
        )


_LINE = 500
