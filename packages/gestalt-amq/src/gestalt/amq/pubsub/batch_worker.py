"""Has messages gathered, handled together, and acknowledged together."""

import asyncio
import random
from collections import deque
from time import monotonic
from typing import Any, Protocol, TypeAlias

from gestalt.amq.headers import as_integer
from gestalt.amq.message import BusBatch, BusMessage, attempts_before
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import Delivery
from gestalt.core import Batch, Handler, HandlerNotFound, Outcome
from gestalt.core.calling import ENDS, is_awaitable, is_own_cancellation

from .backlog import Backlog
from .deadlines import Deadlines, Limit
from .fate import Fate
from .flow_control import FlowControl
from .handling import Handling
from .session import SubscriptionSession
from .turns import TURN, Turn, Turns

Entry: TypeAlias = tuple[SubscriptionSession, Delivery]
# What was delivered so often, and never settled, comes alone: it may be what ends its consumers.
SUSPICIOUS = 3


class Judge(Protocol):
    """What is asked of whoever decides about failures."""

    def fate(self, delivery: Delivery, error: BaseException, *, permanent: bool = ...) -> Fate:
        """What would become of a message that was handled, and failed by an error."""

    def tell_together(self, count: int, error: BaseException) -> None:
        """Tell that so many messages failed together, and are handled one at a time."""


class BatchWorker:
    """Gathers batches, one at a time, and handles as many of them at once as there are tasks.

    What has failed before comes alone.

    Args:
        handler: takes each batch.
        batch: how they are gathered.
        backlog: what was delivered.
        handling: of what has to be decoded, and is handled or failed.
        judge: decides about failures.
        flow: is told how long batches take.
        turns: those of all tasks together, if there are several.
        deadlines: of async handlers.
        tracing: of the handler's calls.
    """

    def __init__(
        self,
        handler: Handler,
        batch: Batch,
        backlog: Backlog,
        handling: Handling,
        judge: Judge,
        flow: FlowControl,
        turns: Turns | None,
        deadlines: Deadlines,
        *,
        tracing: Tracing | None,
    ) -> None:
        self._handler = handler
        self._batch = batch
        self._backlog = backlog
        self._handling = handling
        self._judge = judge
        self._flow = flow
        self._turns = turns
        self._deadlines = deadlines
        self._tracing = tracing
        self._ending = False
        # What was met while a batch was gathered, and comes alone.
        self._alone: deque[Entry] = deque()
        self._was_alone = False
        # What failed together with others, and is handled alone before anything else.
        self._again: deque[Entry] = deque()
        # Held by whoever gathers.
        self._gathering = asyncio.Lock()

    def end(self) -> None:
        """Begin no further batch but the one that is being gathered, which is complete now."""
        self._ending = True
        # While it stops, what is not handled goes back.
        self._backlog.done(len(self._again))
        self._again.clear()
        if not self._gathering.locked():
            self._backlog.clear()
        self._backlog.wake()

    async def run(self) -> None:
        """Handle batches, one after the other; as many of these run as may at once.

        Returns when a handler has left something in this task that the next one would find.
        """
        turn, limit = Turn(self._flow.measured, self._turns), Limit(self._deadlines)
        while True:
            await turn.begin()
            if self._again:
                entries = [self._again.popleft()]
            else:
                async with self._gathering:
                    entries = await self._gather()
            began = monotonic()
            alone: list[Entry] = []
            try:
                alone = await self._handle(entries, limit)
            finally:
                done = len(entries) - len(alone)
                self._again.extend(alone)
                self._backlog.done(done)
            # As many messages as a batch may have count like as many handlers, one message each.
            self._flow.measured(1, monotonic() - began, begun=done)
            if turn.over() and not await turn.give_way():
                return

    # Gathering

    async def _gather(self) -> list[Entry]:
        """The next batch: complete, or as old as it may get, or the last before a stop."""
        backlog, entries = self._backlog, self._backlog.entries
        loop = asyncio.get_running_loop()
        gathered: list[Entry] = []
        timer: asyncio.TimerHandle | None = None
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            backlog.wake()

        if self._ending:
            entries.clear()
        if self._alone and not (entries and self._was_alone):
            self._was_alone = True
            return [self._next_alone()]
        # They take turns, so that many that have failed do not hold up all others.
        hurry, self._was_alone = bool(self._alone), False
        try:
            while not self._take(gathered):
                if (hurry or expired or self._ending) if gathered else self._alone:
                    break
                if gathered and timer is None:
                    timer = loop.call_later(self._batch.within, expire)
                await backlog.woken()
        except BaseException:
            # Somebody cancels this task, and another one will gather.
            entries.extendleft(reversed(gathered))
            backlog.done(len(gathered))
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if self._ending:
            entries.clear()
        return gathered or [self._next_alone()]

    def _next_alone(self) -> Entry:
        # In any order: one that ends its consumer would otherwise come before the same others each
        # time, until the broker has delivered all of them too often.
        self._alone.rotate(random.randrange(len(self._alone)))
        return self._alone.popleft()

    def _take(self, gathered: list[Entry]) -> bool:
        """Take what is there; True when the batch is complete."""
        backlog, entries = self._backlog, self._backlog.entries
        while entries and len(gathered) < self._batch.size:
            entry = entries[0]
            if entry[0].ended.done():  # pragma: no cover - lost in this turn
                entries.popleft()  # it will be delivered again
                continue
            (self._alone if _comes_alone(entry[1]) else gathered).append(entries.popleft())
            backlog.running += 1
        return len(gathered) >= self._batch.size

    # Handling

    async def _handle(self, entries: list[Entry], limit: Limit) -> list[Entry]:
        """Call the handler with a batch, and settle its messages.

        Returns:
            those that have failed together with others, and are to be handled alone.

        Raises:
            CancelledError: this task was cancelled.
        """
        messages: list[BusMessage[Any]] = []
        decoded: list[Entry] = []
        until = monotonic() + TURN
        for entry in entries:
            if monotonic() > until:
                await asyncio.sleep(0)
                until = monotonic() + TURN
            if entry[0].ended.done():
                continue  # it will be delivered again
            message = self._handling.decode(*entry)
            if message is not None:
                messages.append(message)
                decoded.append(entry)
        if not messages:
            return []
        batch = BusBatch(messages)
        try:
            if self._tracing is None or self._tracing.idle():
                await self._call(batch, limit)
            else:
                with self._tracing.handling_batch(messages, decoded[0][0].receiver.queue):
                    await self._call(batch, limit)
        except ENDS:
            raise
        except BaseException as error:
            if not self._handling.survives(error):
                raise
            alone = self._failed(batch, decoded, error)
            if is_own_cancellation(error):  # pragma: no cover - a handler that ends its own task
                for entry in alone:
                    self._handling.fail(*entry, error)
                raise
        else:
            self._settle(batch, decoded)
            return []
        return [] if self._ending else alone

    async def _call(self, batch: BusBatch[Any], limit: Limit) -> None:
        result = self._handler(batch)
        if is_awaitable(result):
            with limit:
                await result

    def _settle(self, batch: BusBatch[Any], entries: list[Entry]) -> None:
        failures = batch.failures
        if not failures:
            for entry in entries:
                self._handling.succeed(*entry)
            return
        for index, entry in enumerate(entries):
            if (error := failures.get(index)) is None:
                self._handling.succeed(*entry)
            else:
                self._handling.fail(*entry, error)

    def _failed(
        self, batch: BusBatch[Any], entries: list[Entry], error: BaseException
    ) -> list[Entry]:
        """All of a batch have failed; which of them are to be handled alone before they may."""
        failures = batch.failures
        permanent = isinstance(error, HandlerNotFound)
        alone: list[Entry] = []
        for index, entry in enumerate(entries):
            own = failures.get(index)
            if own is not None:
                self._handling.fail(*entry, own)
            elif (
                len(entries) > 1
                and not isinstance(error, Outcome)
                and self._judge.fate(entry[1], error, permanent=permanent).kind == "parked"
            ):
                # One of them is at fault, and the others are not to be put aside for it.
                alone.append(entry)
            else:
                self._handling.fail(*entry, error, permanent=permanent)
        if alone:
            self._judge.tell_together(len(entries), error)
        return alone


def _comes_alone(delivery: Delivery) -> bool:
    """Whether a message has failed before, or may have ended its consumer."""
    headers = delivery.properties.headers
    if not headers:
        return False
    deliveries = as_integer(headers.get("x-delivery-count")) or 0
    return deliveries >= SUSPICIOUS or attempts_before(headers) > 0
