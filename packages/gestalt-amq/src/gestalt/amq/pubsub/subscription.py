"""Consuming from a queue: decode, handle, acknowledge; retry or park what fails."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gestalt.amq.encoding import decode
from gestalt.amq.errors import AmqError
from gestalt.amq.link.consumer import Consumer
from gestalt.amq.link.interface import Link
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.message import BusMessage
from gestalt.amq.topology import Exchange, declare_exchange, declare_shared
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import Delivery
from gestalt.codecs import Codec
from gestalt.core import Backoff, HandlerNotFound, State
from gestalt.core.calling import is_awaitable, is_own_cancellation

from .backlog import Backlog
from .broker_consumer import BrokerConsumer
from .declaration import SubscriptionDeclaration
from .failures import Failures
from .flow_control import FlowControl
from .republisher import Republisher
from .retry import FailurePolicy
from .session import SubscriptionSession
from .stalls import StallDetector
from .stats import SubscriptionStats

# How long handlers may follow one another without giving way to the event loop, in seconds.
TURN = 0.005


@dataclass(frozen=True, slots=True)
class Binding:
    """What a queue takes from an exchange."""

    exchange: Exchange
    patterns: Sequence[str]
    arguments: Mapping[str, Any]


class Subscription(Consumer[SubscriptionSession]):
    """A handler on a queue; made, started and stopped by `Bus.subscribe`.

    Attributes:
        stats: what became of its messages.
        binding: what its queue takes.
    """

    def __init__(
        self,
        bus: str,
        supervisor: Supervisor,
        declaration: SubscriptionDeclaration,
        codec: Codec,
        policy: FailurePolicy,
        republisher: Republisher,
        *,
        backoff: Backoff,
        start_timeout: float,
        stop_timeout: float,
        tracing: Tracing | None,
    ) -> None:
        queue, exchange = declaration.queue, declaration.exchange
        super().__init__(
            f"subscription {queue.name if queue else exchange.name}",
            supervisor,
            backoff=backoff,
            start_timeout=start_timeout,
            stop_timeout=stop_timeout,
        )
        self.stats = SubscriptionStats()
        self.binding = Binding(exchange, declaration.patterns, declaration.bind_arguments)
        self._queue = queue
        self._handler = declaration.handler
        self._codec = codec
        self._options = declaration
        self._tracing = tracing
        where = f"queue {queue.name!r}" if queue else f"private queue of {exchange.name!r}"
        self._failures = Failures(
            f"bus {bus!r}, {where}",
            policy,
            republisher,
            self.stats,
            spawn=self._spawn,
            report=self._report_error,
            resume=self._take,
        )
        self._backlog = Backlog()
        self._handled_all = asyncio.Event()
        self._stream = queue is not None and queue.type == "stream"
        self._offset: int | None = None
        # Whether its consumer at the broker can be changed without harm.
        self._adapts = not declaration.exclusive and (
            queue is None or not (self._stream or queue.arguments.get("x-single-active-consumer"))
        )
        # While one that comes first took little, the next one would be served.
        first_served = "x-priority" in declaration.consumer_arguments
        # Nothing but a fault keeps messages of its queue from it while it is idle.
        self._notices_stalls = (
            self._adapts and (queue is None or queue.declare) and not first_served
        )
        self._flow = FlowControl(
            # More handlers than messages would only wait.
            prefetch=max(declaration.prefetch, declaration.concurrency),
            concurrency=declaration.concurrency,
            adapts=self._adapts,
            returns=not self._stream,
            cautious=not first_served,
            backlog=self._backlog,
            held=self._failures,
            stats=self.stats,
            session=self._present,
            active=lambda: self.state is State.RUNNING,
        )

    @property
    def queue_name(self) -> str | None:
        """The queue's name; that of a private queue changes with each connection."""
        if self._queue is not None:
            return self._queue.name
        return self._session.receiver.queue if self._session is not None else None

    @property
    def trouble(self) -> str | None:
        """What keeps it from its work, though others of the bus may work; None if nothing does."""
        if not self.consuming:
            return "the broker delivers nothing to it"
        return self._failures.trouble

    def _present(self) -> SubscriptionSession | None:
        return self._session

    # Its life

    async def _open(self) -> None:
        self._backlog.entries.clear()
        self._backlog.running = 0
        self._flow.start()
        await super()._open()
        for number in range(self._options.concurrency):
            self._sustain(self._work, name=f"worker {number}")
        self._sustain(self._flow.run, name="flow control")
        if self._notices_stalls:
            detector = StallDetector(self._backlog, lambda: self._failures.busy, self._present)
            self._sustain(detector.run, name="stall detector")

    async def _drain(self) -> None:
        # Where the connection is gone, everything that is not acknowledged goes back.
        with contextlib.suppress(AmqError):
            await self._flow.pause()
        self._backlog.entries.clear()
        while self._backlog.running:
            self._handled_all.clear()
            await self._handled_all.wait()
        await self._failures.settle()

    async def _close(self) -> None:
        self._backlog.entries.clear()
        await super()._close()
        await self._failures.close()

    async def _consume(self, link: Link) -> SubscriptionSession:
        session = SubscriptionSession(link)
        try:
            await self._consume_in(session)
        except BaseException:
            await session.close()
            raise
        return session

    async def _consume_in(self, session: SubscriptionSession) -> None:
        receiver = session.receiver = await session.open(
            lambda _, delivery: self._take(session, delivery)
        )
        channel = receiver.channel
        await declare_exchange(channel, self.binding.exchange)
        if self._queue is None:
            # Not one that vanishes with its last consumer: consumers come and go here.
            receiver.queue = await channel.declare_queue("", durable=False, exclusive=True)
            session.private.append(receiver.queue)
        else:
            receiver.queue = await declare_shared(channel, self._queue)
        if self.binding.exchange.name:
            for pattern in self.binding.patterns:
                await channel.bind(
                    receiver.queue, self.binding.exchange.name, pattern, self.binding.arguments
                )
        session.private += await self._failures.prepare(
            session.link, receiver.queue, strict=self.state is State.STARTING
        )
        arguments = dict(self._options.consumer_arguments)
        if self._offset is not None:
            arguments["x-stream-offset"] = self._offset + 1
        session.consumer = BrokerConsumer(
            receiver,
            exclusive=self._options.exclusive,
            single=not self._adapts,
            arguments=arguments,
        )
        await session.consumer.begin(self._flow.window)

    # Deliveries

    def _take(self, session: SubscriptionSession, delivery: Delivery) -> None:
        self._backlog.put(session, delivery)
        if not self._flow.scheduled:
            self._flow.schedule()

    async def _work(self) -> None:
        """Handle deliveries, one after the other; as many of these run as may at once."""
        time = asyncio.get_running_loop().time
        backlog, entries = self._backlog, self._backlog.entries
        turn, count = time(), 0
        while True:
            if not entries:
                if count:
                    self._flow.measured(count, time() - turn)
                await backlog.wait()
                turn, count = time(), 0
            session, delivery = entries.popleft()
            count += 1
            if session.ended.done():
                continue  # it will be delivered again
            backlog.running += 1
            try:
                await self._handle(session, delivery)
            finally:
                backlog.running -= 1
                if not backlog.running:
                    self._handled_all.set()
            now = time()
            if now - turn > TURN:
                self._flow.measured(count, now - turn)
                await asyncio.sleep(0)
                turn, count = time(), 0

    async def _handle(self, session: SubscriptionSession, delivery: Delivery) -> None:
        try:
            message = decode(self._codec, delivery)
        except Exception as error:
            # Whatever is wrong with it, it will be wrong the next time.
            self._fail_message(session, delivery, error, permanent=True)
            return
        try:
            if self._tracing is None or self._tracing.idle_for(message):
                # Not by `_call`: one coroutine less, a thirtieth of what a message costs.
                result = self._handler(message)
                if is_awaitable(result):
                    async with asyncio.timeout(self._options.timeout):
                        await result
            else:
                with self._tracing.handling(message, session.receiver.queue):
                    await self._call(message)
        except HandlerNotFound as error:
            self._fail_message(session, delivery, error, permanent=True)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            cancelled = is_own_cancellation(error)
            # Cancelled by the end of the subscription, it is not settled, and goes back; by the
            # handler itself, or by anybody else, it has failed.
            if not cancelled or self.state is State.RUNNING:
                self._fail_message(session, delivery, error, permanent=False)
            if cancelled:
                raise
        else:
            self.stats.handled += 1
            session.receiver.acks.ack(delivery.tag)
            if self._stream:
                self._offset = (delivery.properties.headers or {}).get("x-stream-offset")

    async def _call(self, message: BusMessage[Any]) -> None:
        result = self._handler(message)
        if is_awaitable(result):
            async with asyncio.timeout(self._options.timeout):
                await result

    def _fail_message(
        self,
        session: SubscriptionSession,
        delivery: Delivery,
        error: BaseException,
        *,
        permanent: bool,
    ) -> None:
        self._failures.take(session, session.receiver, delivery, error, permanent=permanent)
