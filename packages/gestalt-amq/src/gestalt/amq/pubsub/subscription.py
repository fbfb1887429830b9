"""Consuming from a queue: decode, handle, acknowledge; retry or park what fails."""

import contextlib
from collections.abc import Callable

from gestalt.amq.declaring import all_refused, declare_all, declare_private
from gestalt.amq.errors import AmqError, TopologyError
from gestalt.amq.events import Event
from gestalt.amq.link.consumer import Consumer
from gestalt.amq.link.interface import Link
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.plan import Plan, plan_binding, planned_bindings
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import Delivery
from gestalt.codecs import Codec
from gestalt.core import Backoff, State

from .backlog import Backlog
from .batch_worker import BatchWorker
from .broker_consumer import BrokerConsumer
from .declaration import SubscriptionDeclaration
from .failures import Failures
from .flow_control import FlowControl
from .handling import Handling
from .keyed_backlog import KeyedBacklog
from .keyed_worker import KeyedWorker
from .message_worker import MessageWorker
from .plans import binding_of, plan_subscription
from .republisher import Republisher
from .retry import FailurePolicy
from .session import SubscriptionSession
from .stalls import StallDetector
from .stats import SubscriptionStats


class Subscription(Consumer[SubscriptionSession]):
    """A handler on a queue; made, started and stopped by `Bus.subscribe`.

    Attributes:
        stats: what became of its messages.
        binding: what its queue takes.
        plan: what it needs at the broker.
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
        tell: Callable[[Event], None],
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
        self.binding = binding_of(declaration)
        self.plan = plan_subscription(self.binding, policy, exact=declaration.exact)
        self._declared = plan_binding(self.binding)
        self._checked = not policy.declare
        self._queue = queue
        self._options = declaration
        self._tracing = tracing
        batch, keyed = declaration.batch, declaration.key is not None
        self._backlog = KeyedBacklog() if keyed else Backlog()
        where = f"queue {queue.name!r}" if queue else f"private queue of {exchange.name!r}"
        self._failures = Failures(
            f"bus {bus!r}, {where}",
            policy,
            republisher,
            self.stats,
            spawn=self._spawn,
            report=self._report_error,
            resume=self._resume,
            tell=tell,
            gone=self._backlog.drop,
        )
        self._stream = queue is not None and queue.type == "stream"
        self._handling = Handling(
            declaration.handler,
            codec,
            timeout=declaration.timeout,
            tracing=tracing,
            stats=self.stats,
            failures=self._failures,
            held=self._backlog.hold,
            active=lambda: self.state is State.RUNNING,
            stream=self._stream,
        )
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
        self._worker: MessageWorker | BatchWorker | KeyedWorker
        self._flow = FlowControl(
            prefetch=declaration.most_ahead,
            # How many messages may be handled at once.
            concurrency=declaration.concurrency * (batch.size if batch is not None else 1),
            adapts=self._adapts,
            keyed=keyed,
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
        self._backlog.restart()
        self._flow.start()
        self._worker = self._make_worker()
        await super()._open()
        for number in range(self._options.concurrency):
            self._sustain(self._worker.run, name=f"worker {number}")
        self._sustain(self._flow.run, name="flow control")
        if self._notices_stalls:
            detector = StallDetector(self._backlog, lambda: self._failures.busy, self._present)
            self._sustain(detector.run, name="stall detector")

    async def _drain(self) -> None:
        # Where the connection is gone, everything that is not acknowledged goes back.
        with contextlib.suppress(AmqError):
            await self._flow.pause()
        self._worker.end()
        while self._backlog.running:
            self._backlog.idle.clear()
            await self._backlog.idle.wait()
        await self._failures.settle()

    async def _close(self) -> None:
        self._backlog.clear()
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
        refused: list[TopologyError] = []
        declared = self._declared.checked() if self._checked else self._declared
        await declare_all(session.link, declared, refused, channel)
        if self._queue is not None:
            receiver.queue = self._queue.name
        elif not refused:
            # Not one that vanishes with its last consumer: consumers come and go here.
            receiver.queue = await declare_private(channel)
            session.private.append(receiver.queue)
            bindings = Plan(bindings=planned_bindings(self.binding, receiver.queue))
            await declare_all(session.link, bindings, refused, channel)
        if receiver.queue:
            session.private += await self._failures.prepare(
                session.link, receiver.queue, refused if self.state is State.STARTING else None
            )
        if refused:
            raise all_refused(refused, self.plan.checked() if self._checked else self.plan)
        arguments = dict(self._options.consumer_arguments)
        if self._handling.offset is not None:
            arguments["x-stream-offset"] = self._handling.offset + 1
        session.consumer = BrokerConsumer(
            receiver,
            exclusive=self._options.exclusive,
            single=not self._adapts,
            arguments=arguments,
        )
        await session.consumer.begin(self._flow.window)

    # Deliveries

    def _take(self, session: SubscriptionSession, delivery: Delivery) -> None:
        if delivery.redelivered:
            again = self._failures.recall(session, session.receiver, delivery)
            if again is None:
                return
            delivery = again
        self._backlog.put(session, delivery)
        if not self._flow.scheduled:
            self._flow.schedule()

    def _resume(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """Handle again what waited here."""
        self._backlog.put_back(session, delivery)
        if not self._flow.scheduled:
            self._flow.schedule()

    def _make_worker(self) -> MessageWorker | BatchWorker | KeyedWorker:
        options, backlog = self._options, self._backlog
        if options.batch is not None:
            return BatchWorker(
                options.handler,
                options.batch,
                backlog,
                self._handling,
                self._failures,
                self._flow,
                timeout=options.timeout,
                tracing=self._tracing,
            )
        if options.key is not None and isinstance(backlog, KeyedBacklog):
            return KeyedWorker(options.key, backlog, self._handling, self._flow)
        return MessageWorker(backlog, self._handling, self._flow)
