"""Consuming from a queue: decode, handle, acknowledge; retry or park what fails."""

import contextlib
from collections.abc import Callable, Iterable
from functools import partial

from gestalt.amq.declaring import all_refused, declare_all, declare_private
from gestalt.amq.errors import AmqError, TopologyError
from gestalt.amq.events import Event
from gestalt.amq.link.consumer import Consumer, Timing
from gestalt.amq.link.interface import Channel, Link
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.plan import Plan, plan_binding, planned_bindings
from gestalt.amq.topology import Queue
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import Delivery
from gestalt.codecs import Codec, Codecs
from gestalt.core import State
from gestalt.core import vocabulary as words
from gestalt.core.details import QueueRow, details
from gestalt.core.metrics import Metric, measures

from .backlog import Backlog
from .batch_worker import BatchWorker
from .broker_consumer import BrokerConsumer
from .deadlines import Deadlines
from .declaration import SubscriptionDeclaration
from .failures import Failures
from .flow_control import FlowControl
from .handling import Handling
from .keyed_backlog import KeyedBacklog
from .keyed_worker import KeyedWorker
from .message_worker import MessageWorker
from .offset_keeper import OffsetKeeper
from .plans import binding_of, plan_subscription
from .republisher import Republisher
from .retry import FailurePolicy
from .session import SubscriptionSession
from .stalls import StallDetector
from .stats import SubscriptionStats
from .stream_acks import StreamAcks
from .turns import Turns

# The header by which a stream tells the number of a message.
OFFSET = "x-stream-offset"

_NO_PARKING = {"reason": "no_parking"}


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
        queue: Queue | None,
        codec: Codec | Codecs,
        policy: FailurePolicy,
        publishing: Supervisor,
        *,
        timing: Timing,
        tracing: Tracing | None,
        tell: Callable[[Event], None],
    ) -> None:
        exchange = declaration.exchange
        super().__init__(
            f"subscription {queue.name if queue else exchange.name}",
            supervisor,
            timing,
            declaration.stop_timeout,
        )
        self.stats: SubscriptionStats = SubscriptionStats()
        self.binding = binding_of(declaration, queue)
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
            Republisher(publishing, supervisor, self._spawn),
            self.stats,
            spawn=self._spawn,
            report=self._report_error,
            # Nobody has to look what waits: while anything is held here, flow control does.
            resume=self._backlog.put_back,
            tell=tell,
            gone=self._backlog.drop,
        )
        self._stream = queue is not None and queue.type == "stream"
        self._handling = Handling(
            declaration.handler,
            codec,
            tracing=tracing,
            stats=self.stats,
            failures=self._failures,
            held=self._backlog.hold,
            active=lambda: self.state is State.RUNNING,
        )
        # How far a stream is handled.
        self._offset: int | None = None
        self._offsets: OffsetKeeper | None = None
        if queue is not None and (offsets := declaration.offsets) is not None:
            self._offsets = OffsetKeeper(
                offsets,
                offsets.name or queue.name,
                declaration.most_ahead,
                saved=self._saved,
                report=self._report_error,
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
        # None where no start has got so far.
        self._deadlines: Deadlines | None = None
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
    def partitions(self) -> frozenset[int]:
        """None: its queue is not in parts; see `PartitionedSubscription`."""
        return frozenset()

    @property
    def trouble(self) -> str | None:
        """What keeps it from its work, though others of the bus may work; None if nothing does."""
        if not self.consuming:
            return super().trouble
        if self._offsets is not None and self._offsets.trouble is not None:
            return self._offsets.trouble
        return self._failures.trouble

    @details
    def _waiting(self) -> Iterable[QueueRow]:
        yield QueueRow(
            self.queue_name or self.name,
            waiting=self._backlog.waiting,
            active=self._backlog.running,
            bound=self._options.most_ahead,
            note=self.trouble or "",
        )

    def _present(self) -> SubscriptionSession | None:
        return self._session

    @measures
    def _subscription_metrics(self) -> Iterable[Metric]:
        stats, backlog = self.stats, self._backlog
        yield words.RECEIVED("subscription", backlog.received)
        yield words.RECEIVED_BYTES("subscription", backlog.received_bytes)
        yield words.HANDLED("subscription", stats.handled)
        yield words.FAILED("subscription", stats.retried + stats.parked + stats.dropped)
        yield words.RETRIED("subscription", stats.retried)
        yield words.PARKED("subscription", stats.parked)
        yield words.DISCARDED("subscription", stats.discarded)
        yield words.DROPPED("subscription", stats.dropped, _NO_PARKING)
        yield words.GIVEN_BACK("subscription", stats.returned)
        yield words.UNMOVED("subscription", stats.unmoved)
        yield words.BACKLOG("subscription", backlog.waiting)
        yield words.IN_FLIGHT("subscription", backlog.running)
        yield words.DURATION("subscription", self._flow.durations)
        yield words.UP("subscription", int(self.consuming))

    # Its life

    async def _open(self) -> None:
        self._backlog.restart()
        self._flow.start()
        self._deadlines = Deadlines(self._options.timeout)
        self._worker = self._make_worker(self._deadlines)
        if self._offsets is not None:
            self._offset = await self._offsets.load()
        await super()._open()
        if self._offsets is not None:
            self._sustain(self._offsets.run, name="offsets")
        for number in range(self._options.concurrency):
            self._sustain(self._worker.run, name=f"worker {number}")
        self._sustain(self._flow.run, name="flow control")
        if self._notices_stalls:
            detector = StallDetector(self._backlog, lambda: self._failures.busy, self._present)
            self._sustain(detector.run, name="stall detector")

    async def _drain(self) -> None:
        # A single active consumer that was cancelled would be followed by the next one at once,
        # before what is handled here is done: it ends with its channel, and what came is not taken.
        if self._adapts:
            # Where the connection is gone, everything that is not acknowledged goes back.
            with contextlib.suppress(AmqError):
                await self._flow.pause()
        self._worker.end()
        await self._backlog.wait_idle()
        await self._failures.settle()

    async def _close(self) -> None:
        self._backlog.clear()
        if self._deadlines is not None:
            self._deadlines.stop()
        if self._offsets is not None:
            await self._offsets.finish()
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
        take = self._take if self._adapts else self._take_unless_stopping
        if self._stream:
            take = self._take_of_stream
        receiver = session.receiver = await session.open(
            lambda _, delivery: take(session, delivery)
        )
        channel = receiver.channel
        if self._stream:
            receiver.acks = self._stream_acks(session, channel)
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
        if self._offsets is not None:
            # What was handled on former connections, and not saved, must not add up.
            await self._offsets.flush()
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
        if delivery.redelivered:
            again = self._failures.recall(session, session.receiver, delivery)
            if again is None:
                return
            delivery = again
        self._backlog.put(session, delivery)
        if not self._flow.scheduled:
            self._flow.schedule()

    def _take_unless_stopping(self, session: SubscriptionSession, delivery: Delivery) -> None:
        if self.state is not State.STOPPING:
            self._take(session, delivery)

    def _take_of_stream(self, session: SubscriptionSession, delivery: Delivery) -> None:
        acks, offset = session.receiver.acks, (delivery.properties.headers or {}).get(OFFSET)
        if isinstance(acks, StreamAcks) and isinstance(offset, int):
            if self._offset is None:
                # "next" would be behind it, if the connection is lost before it is handled.
                self._offset = offset - 1
            acks.take(delivery, offset)
        else:  # pragma: no cover - a stream gives each an offset
            self._take_unless_stopping(session, delivery)

    def _stream_acks(self, session: SubscriptionSession, channel: Channel) -> StreamAcks:
        def missed(_: int) -> None:  # pragma: no cover - nothing takes what failed
            if self.state is State.RUNNING:
                session.end(AmqError("a message of a stream was not settled, and is read again"))

        return StreamAcks(
            channel,
            advanced=self._advanced,
            missed=missed,
            admit=partial(self._take_unless_stopping, session),
            window=None if self._offsets is None else self._options.most_ahead,
        )

    def _advanced(self, offset: int, count: int) -> None:
        # A handler of a connection that was lost may be done later than those of the present one.
        if self._offset is None or offset > self._offset:
            self._offset = offset
            if self._offsets is not None:
                self._offsets.advance(offset, count)

    def _saved(self, offset: int) -> None:
        acks = None if self._session is None else self._session.receiver.acks
        if isinstance(acks, StreamAcks):
            acks.release(offset)

    def _make_worker(self, deadlines: Deadlines) -> MessageWorker | BatchWorker | KeyedWorker:
        options, backlog = self._options, self._backlog
        turns = Turns() if options.concurrency > 1 else None
        if options.batch is not None:
            return BatchWorker(
                options.handler,
                options.batch,
                backlog,
                self._handling,
                self._failures,
                self._flow,
                turns,
                deadlines,
                tracing=self._tracing,
            )
        if options.key is not None and isinstance(backlog, KeyedBacklog):
            return KeyedWorker(options.key, backlog, self._handling, self._flow, turns, deadlines)
        return MessageWorker(backlog, self._handling, self._flow, turns, deadlines)
