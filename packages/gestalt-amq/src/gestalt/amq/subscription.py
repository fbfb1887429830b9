"""Consuming from a queue: decode, handle, acknowledge; retry or park what fails."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gestalt.codecs import Codec, CodecError
from gestalt.core import Backoff, Handler, HandlerNotFound

from .consumer import Consumer, Intake, Session
from .declare import declare_exchange, declare_shared
from .errors import AmqError
from .failures import Failures
from .incoming import decode
from .link import Link
from .properties import Delivery
from .supervisor import Supervisor
from .topology import Exchange, Queue
from .tracing import Tracing

log = logging.getLogger("gestalt.amq")

# How long handlers may follow one another without giving way to the event loop, in seconds.
TURN = 0.005
# A message that could not be moved is given back; not at once, or it would come back at once.
GIVE_BACK_DELAY = 1.0


@dataclass(slots=True)
class SubscriptionStats:
    """What became of a subscription's messages.

    Attributes:
        handled: their handler succeeded.
        retried: their handler failed, and they will be delivered again.
        parked: they were moved to the parked messages.
        dropped: they failed in a private queue, which has no parking.
    """

    handled: int = 0
    retried: int = 0
    parked: int = 0
    dropped: int = 0


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


class Subscription(Consumer["_Session"]):
    """A handler on a queue; made, started and stopped by `Bus.subscribe`.

    Attributes:
        stats: what became of its messages.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        binding: Binding,
        queue: Queue | None,
        handler: Handler,
        codec: Codec,
        consuming: Consuming,
        failures: Failures,
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
        self._failures = failures
        self._tracing = tracing
        # What was delivered and not begun, each with the session that it came by.
        self._backlog: deque[tuple[_Session, Delivery]] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._running = 0
        self._quiet = asyncio.Event()
        self._offset: int | None = None

    @property
    def queue_name(self) -> str | None:
        """The queue's name; that of a private queue changes with each connection."""
        if self._queue is not None:
            return self._queue.name
        return self._session.intake.queue if self._session is not None else None

    # Its life

    async def _open(self) -> None:
        self._backlog.clear()
        self._running = 0
        await super()._open()
        for number in range(self._consuming.concurrency):
            self._spawn(self._work(), name=f"worker {number}")

    async def _drain(self) -> None:
        session = self._session
        if session is not None:
            # The connection is gone, and everything that is not acknowledged goes back.
            with contextlib.suppress(AmqError):
                await session.intake.channel.cancel(session.intake.consumer)
        self._backlog.clear()
        while self._running:
            self._quiet.clear()
            await self._quiet.wait()

    async def _close(self) -> None:
        self._backlog.clear()
        await super()._close()

    async def _consume(self, link: Link) -> _Session:
        session = _Session(link)
        try:
            await self._consume_in(session)
        except BaseException:
            await session.close()
            raise
        return session

    async def _consume_in(self, session: _Session) -> None:
        intake = session.intake = await session.open(
            lambda _, delivery: self._take(session, delivery)
        )
        channel = intake.channel
        await declare_exchange(channel, self.binding.exchange)
        if self._queue is None:
            intake.queue = await channel.declare_queue(
                "", durable=False, exclusive=True, auto_delete=True
            )
        else:
            intake.queue = await declare_shared(channel, self._queue)
        if self.binding.exchange.name:
            for pattern in self.binding.patterns:
                await channel.bind(
                    intake.queue, self.binding.exchange.name, pattern, self.binding.arguments
                )
        await channel.qos(self._consuming.prefetch)
        arguments = dict(self._consuming.arguments)
        if self._offset is not None:
            arguments["x-stream-offset"] = self._offset + 1
        intake.consumer = await channel.consume(
            intake.queue, exclusive=self._consuming.exclusive, arguments=arguments
        )

    # Deliveries

    def _take(self, session: _Session, delivery: Delivery) -> None:
        self._backlog.append((session, delivery))
        while self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    async def _work(self) -> None:
        """Handle deliveries, one after the other; as many of these run as may at once."""
        loop = asyncio.get_running_loop()
        backlog = self._backlog
        yielded = loop.time()
        while True:
            while not backlog:
                waiter = loop.create_future()
                self._idle.append(waiter)
                await waiter
                yielded = loop.time()
            session, delivery = backlog.popleft()
            if session.ended.done():
                continue  # it will be delivered again
            self._running += 1
            try:
                await self._handle(session, delivery)
            finally:
                self._running -= 1
                if not self._running:
                    self._quiet.set()
            if loop.time() - yielded > TURN:
                await asyncio.sleep(0)
                yielded = loop.time()

    async def _handle(self, session: _Session, delivery: Delivery) -> None:
        try:
            message = decode(self._codec, delivery)
        except CodecError as error:
            await self._failed(session, delivery, error, lasting=True)
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
            if task is not None and task.cancelling():
                # The subscription ends: unacknowledged, it goes back.
                raise
            await self._failed(session, delivery, error, lasting=False)
        except HandlerNotFound as error:
            await self._failed(session, delivery, error, lasting=True)
        except Exception as error:
            await self._failed(session, delivery, error, lasting=False)
        else:
            self.stats.handled += 1
            session.intake.acks.ack(delivery.tag)
            if self._queue is not None and self._queue.type == "stream":
                self._offset = (delivery.properties.headers or {}).get("x-stream-offset")

    async def _failed(
        self, session: _Session, delivery: Delivery, error: BaseException, *, lasting: bool
    ) -> None:
        """Retry, park or drop a message that could not be handled."""
        delay = self._failures.delay(delivery, lasting=lasting)
        try:
            if delay is not None:
                await self._failures.again(delivery, session.intake.queue, delay, error)
                self.stats.retried += 1
                log.warning("%s: tried again in %.3g s", self.name, delay, exc_info=error)
            elif await self._failures.park(delivery, session.intake.queue, error):
                self.stats.parked += 1
                log.error("%s: message parked", self.name, exc_info=error)
            else:
                self.stats.dropped += 1
                self._report(error, f"{self!r}: a message failed, and there is no parking for it")
        except AmqError as moving:
            log.warning("%s: message given back, not moved: %s", self.name, moving)
            await asyncio.sleep(GIVE_BACK_DELAY)
            session.intake.acks.nack(delivery.tag)
        else:
            session.intake.acks.ack(delivery.tag)


class _Session(Session):
    """A session of one consumer."""

    intake: Intake
