"""Consuming from a queue: decode, handle, acknowledge; retry or park what fails."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gestalt.amq.declare import declare_exchange, declare_shared
from gestalt.amq.errors import AmqError, LinkLost
from gestalt.amq.incoming import decode
from gestalt.amq.link.consumer import Consumer
from gestalt.amq.link.interface import Link
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.topology import Exchange, Queue
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import Delivery
from gestalt.codecs import Codec
from gestalt.core import Backoff, Handler, HandlerNotFound, State

from .failures import Failures, SubscriptionStats
from .feed import Consumption, Feed
from .held import Kept
from .mover import Mover
from .pace import PATIENCE, Pace, Waiting
from .retry import Failing

# How long handlers may follow one another without giving way to the event loop, in seconds.
TURN = 0.005
# How often a subscription that has something to do looks after what it is sent, in seconds.
LOOK = 0.1
# After so long without a delivery the queue is looked at, twice before it is acted, in seconds.
STALL = 15.0
# Where the broker's consumer cannot be changed, what was not begun for so long is given back.
LONGEST_WAIT = 600.0


@dataclass(frozen=True, slots=True)
class Binding:
    """What a queue takes from an exchange."""

    exchange: Exchange
    patterns: Sequence[str]
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Consuming:
    """How a subscription consumes; the parameters of `Bus.subscribe`."""

    prefetch: int
    concurrency: int
    timeout: float | None
    exclusive: bool
    arguments: Mapping[str, Any]


class Subscription(Consumer[Consumption]):
    """A handler on a queue; made, started and stopped by `Bus.subscribe`.

    Attributes:
        stats: what became of its messages.
    """

    def __init__(
        self,
        bus: str,
        supervisor: Supervisor,
        binding: Binding,
        queue: Queue | None,
        handler: Handler,
        codec: Codec,
        consuming: Consuming,
        failing: Failing,
        mover: Mover,
        *,
        backoff: Backoff,
        start_timeout: float,
        stop_timeout: float,
        tracing: Tracing | None,
    ) -> None:
        super().__init__(
            f"subscription {queue.name if queue else binding.exchange.name}",
            supervisor,
            backoff=backoff,
            start_timeout=start_timeout,
            stop_timeout=stop_timeout,
        )
        self.stats = SubscriptionStats()
        self.binding = binding
        self._queue = queue
        self._handler = handler
        self._codec = codec
        self._consuming = consuming
        self._tracing = tracing
        where = f"queue {queue.name!r}" if queue else f"private queue of {binding.exchange.name!r}"
        self._failures = Failures(
            f"bus {bus!r}, {where}",
            failing,
            mover,
            self.stats,
            spawn=self._spawn,
            report=self._report_error,
            resume=self._take,
        )
        # What was delivered and not begun, each with the session that it came by.
        self._backlog: deque[tuple[Consumption, Delivery]] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        # Without those that are handled now.
        self._begun = 0
        self._running = 0
        self._quiet = asyncio.Event()
        self._offset: int | None = None
        self._pace = Pace(
            consuming.prefetch,
            consuming.concurrency,
            # While one that comes first took little, the next one would be served.
            cautious="x-priority" not in consuming.arguments,
        )
        self._waiting = Waiting()
        # Whether the next look is due in a moment, and who changes what is sent.
        self._looking = False
        self._look = asyncio.Event()
        self._changing = asyncio.Lock()

    @property
    def queue_name(self) -> str | None:
        """The queue's name; that of a private queue changes with each connection."""
        if self._queue is not None:
            return self._queue.name
        return self._session.intake.queue if self._session is not None else None

    @property
    def trouble(self) -> str | None:
        """What keeps it from its work, though others of the bus may work; None if nothing does."""
        if not self.consuming:
            return "the broker delivers nothing to it"
        return self._failures.trouble

    # Its life

    async def _open(self) -> None:
        self._backlog.clear()
        self._running = 0
        self._waiting = Waiting()
        self._looking = False
        await super()._open()
        for number in range(self._consuming.concurrency):
            self._sustain(self._work, name=f"worker {number}")
        self._sustain(self._look_after, name="look")
        if self._alone:
            self._sustain(self._watch, name="watch")

    async def _drain(self) -> None:
        async with self._changing:
            session = self._session
            if session is not None:
                # The connection is gone, and everything that is not acknowledged goes back.
                with contextlib.suppress(AmqError):
                    await session.feed.pause()
        self._backlog.clear()
        while self._running:
            self._quiet.clear()
            await self._quiet.wait()
        await self._failures.settle()

    async def _close(self) -> None:
        self._backlog.clear()
        await super()._close()
        await self._failures.close()

    async def _consume(self, link: Link) -> Consumption:
        session = Consumption(link)
        try:
            await self._consume_in(session)
        except BaseException:
            await session.close()
            raise
        return session

    async def _consume_in(self, session: Consumption) -> None:
        intake = session.intake = await session.open(
            lambda _, delivery: self._take(session, delivery)
        )
        channel = intake.channel
        await declare_exchange(channel, self.binding.exchange)
        if self._queue is None:
            # Not one that vanishes with its last consumer: consumers come and go here.
            intake.queue = await channel.declare_queue("", durable=False, exclusive=True)
            session.private.append(intake.queue)
        else:
            intake.queue = await declare_shared(channel, self._queue)
        if self.binding.exchange.name:
            for pattern in self.binding.patterns:
                await channel.bind(
                    intake.queue, self.binding.exchange.name, pattern, self.binding.arguments
                )
        session.private += await self._failures.prepare(
            session.link, intake.queue, strict=self.state is State.STARTING
        )
        arguments = dict(self._consuming.arguments)
        if self._offset is not None:
            arguments["x-stream-offset"] = self._offset + 1
        session.feed = Feed(
            intake,
            exclusive=self._consuming.exclusive,
            single=not self._adapts,
            arguments=arguments,
        )
        await session.feed.begin(self._pace.window if self._adapts else self._consuming.prefetch)

    # Deliveries

    def _take(self, session: Consumption, delivery: Delivery) -> None:
        self._backlog.append((session, delivery))
        if not self._looking:
            self._look_soon()
        while self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    async def _work(self) -> None:
        """Handle deliveries, one after the other; as many of these run as may at once."""
        loop = asyncio.get_running_loop()
        backlog = self._backlog
        turn, count = loop.time(), 0
        while True:
            if not backlog:
                if count:
                    self._measured(count, loop.time() - turn)
                while not backlog:
                    waiter = loop.create_future()
                    self._idle.append(waiter)
                    await waiter
                turn, count = loop.time(), 0
            session, delivery = backlog.popleft()
            count += 1
            if session.ended.done():
                continue  # it will be delivered again
            self._running += 1
            try:
                await self._handle(session, delivery)
            finally:
                self._running -= 1
                if not self._running:
                    self._quiet.set()
            now = loop.time()
            if now - turn > TURN:
                self._measured(count, now - turn)
                await asyncio.sleep(0)
                turn, count = loop.time(), 0

    async def _handle(self, session: Consumption, delivery: Delivery) -> None:
        try:
            message = decode(self._codec, delivery)
        except Exception as error:
            # Whatever is wrong with it, it will be wrong the next time.
            self._failed(session, delivery, error, lasting=True)
            return
        try:
            if self._tracing is None or self._tracing.unconcerned(message):
                result = self._handler(message)
                if inspect.isawaitable(result):
                    async with asyncio.timeout(self._consuming.timeout):
                        await result
            else:
                with self._tracing.handling(message, session.intake.queue):
                    result = self._handler(message)
                    if inspect.isawaitable(result):
                        async with asyncio.timeout(self._consuming.timeout):
                            await result
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                self._failed(session, delivery, error, lasting=False)
                return
            if self.state is State.RUNNING:
                # Not by the end of the subscription: by the handler itself, or by anybody else.
                self._failed(session, delivery, error, lasting=False)
            # Otherwise, unacknowledged, it goes back.
            raise
        except HandlerNotFound as error:
            self._failed(session, delivery, error, lasting=True)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            self._failed(session, delivery, error, lasting=False)
        else:
            self.stats.handled += 1
            session.intake.acks.ack(delivery.tag)
            if self._queue is not None and self._queue.type == "stream":
                self._offset = (delivery.properties.headers or {}).get("x-stream-offset")

    def _failed(
        self, session: Consumption, delivery: Delivery, error: BaseException, *, lasting: bool
    ) -> None:
        self._failures.take(session, session.intake, delivery, error, lasting=lasting)

    # What the broker sends ahead

    @property
    def _adapts(self) -> bool:
        """Whether its consumer at the broker can be changed without harm."""
        queue = self._queue
        return not self._consuming.exclusive and (
            queue is None
            or (queue.type != "stream" and not queue.arguments.get("x-single-active-consumer"))
        )

    @property
    def _alone(self) -> bool:
        """Whether nothing but a fault keeps messages of its queue from it while it is idle."""
        return (
            self._adapts
            and (self._queue is None or self._queue.declare)
            and "x-priority" not in self._consuming.arguments
        )

    def _measured(self, count: int, elapsed: float) -> None:
        self._begun += count
        self._pace.note(count, elapsed)
        session = self._session
        if session is not None and self._grows(session):
            self._look.set()

    def _grows(self, session: Consumption) -> bool:
        return self._adapts and 0 < session.feed.window <= self._pace.window // 2

    def _look_soon(self) -> None:
        self._looking = True
        asyncio.get_running_loop().call_later(LOOK, self._look.set)

    async def _look_after(self) -> None:
        """See to it that messages are not sent before, and not kept after, they can be handled."""
        now = asyncio.get_running_loop().time
        while True:
            await self._look.wait()
            self._look.clear()
            session = self._session
            if session is not None and not session.ended.done():
                async with self._changing:
                    if self.state is State.RUNNING:
                        try:
                            await self._change(session, now())
                        except AmqError as error:
                            # Whoever keeps the subscription consuming has it from there.
                            session.end(error)
                        except asyncio.CancelledError:
                            session.end(LinkLost("a change of its consumer was cancelled"))
                            raise
            busy = self._backlog or self._running or self._failures.busy
            if busy or (session is not None and not session.feed.window):
                self._look_soon()
            else:
                self._looking = False

    async def _watch(self) -> None:
        """Consume anew where the broker delivers nothing, though there is something."""
        begun, stalled = -1, False
        while True:
            await asyncio.sleep(STALL)
            session = self._session
            busy = self._begun != begun or self._backlog or self._running or self._failures.busy
            begun = self._begun
            if session is None or session.ended.done() or busy or not session.feed.window:
                stalled = False
                continue
            try:
                waiting = await session.feed.waiting(session.link)
            except AmqError:
                # The connection or the queue has gone: that is told elsewhere.
                waiting = 0
            if waiting and stalled and self._begun == begun:
                session.end(
                    AmqError(f"the broker delivers none of the {waiting} messages in the queue")
                )
            stalled = waiting > 0

    async def _change(self, session: Consumption, now: float) -> None:
        feed = session.feed
        waited = self._waiting.look(now, self._begun + self._running, len(self._backlog))
        stream = self._queue is not None and self._queue.type == "stream"
        if not self._adapts:
            if waited > LONGEST_WAIT and not stream:
                self._give_back(session)
        elif not feed.window:
            if self._running < self._consuming.concurrency and not self._backlog:
                await feed.begin(self._pace.window)
        elif waited > PATIENCE:
            await feed.pause()
            self._give_back(session)
        elif self._grows(session):
            await feed.begin(self._pace.window)
        if feed.window and not stream and not self._failures.full:
            await self._pass_by(session, now)

    async def _pass_by(self, session: Consumption, now: float) -> None:
        """Have further messages sent past those that wait to be moved."""
        feed = session.feed
        waiting, first = self._failures.waiting(feed.begun_at)
        if waiting * 2 < feed.window or now - first < LOOK:
            return
        if self._adapts or not (self._running or self._backlog):
            await feed.begin(self._pace.window if self._adapts else feed.window)

    def _give_back(self, session: Consumption) -> None:
        """Return what was not begun, before the broker's patience ends."""
        kept: list[tuple[Consumption, Delivery]] = []
        for entry in self._backlog:
            if entry[0] is session and not isinstance(entry[1], Kept):
                session.intake.acks.nack(entry[1].tag)
                self.stats.returned += 1
                self._begun += 1
            else:
                kept.append(entry)
        self._backlog.clear()
        self._backlog.extend(kept)
