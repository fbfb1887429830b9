"""The bus: connections to RabbitMQ, and what publishes, consumes and makes requests on them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from gestalt.codecs import Codec
from gestalt.core import Component, Handler, State, StateError
from gestalt.core.calling import RAISED, call_plain, cancellations, is_own_cancellation

from . import tracing
from .channel_pool import ChannelPool
from .connections import Connections, Settings, gather_all
from .declarations import Declarations
from .errors import ConnectError
from .events import Event, PublishingUnblocked
from .link.channel_keeper import ChannelKeeper
from .plan import Plan, merge
from .pubsub.parking import Parking
from .pubsub.publisher import Publisher
from .pubsub.republisher import Republisher
from .pubsub.retry import FailurePolicy, Retry
from .pubsub.subscription import ConsumeOptions, Subscription
from .requests.requester import Requester
from .requests.responder import Responder, ServeOptions
from .topology import Binding, Exchange, Queue

logger = logging.getLogger("gestalt.amq")

DEFAULT_RETRY = Retry()

# How long a stop waits for brokers to take leave, in seconds: while there is time, and after it.
PATIENCE = 2.0
HASTE = 0.3


class Bus(Component):
    """Publishes, consumes and makes requests; made by `connect`.

    A bus that has stopped or failed may be started again, in another event loop as well. Its
    publishers and requesters live as long as the bus: they refuse to send while it is stopped,
    and work again when it is started. Subscriptions and responders end with each stop, and are
    made anew after a start.
    """

    def __init__(
        self,
        settings: Settings,
        codec: Codec,
        *,
        stop_timeout: float,
        on_event: Callable[[Event], None] | None,
        declare: bool = True,
    ) -> None:
        super().__init__(name=settings.name, stop_timeout=stop_timeout)
        self._declare = declare
        self._codec = codec
        self._backoff = settings.backoff
        self._start_timeout = settings.start_timeout
        self._on_event = on_event
        self._tracing = tracing.load()
        self._patience = 0.0
        self._connections = Connections(
            settings, run=self._inside, spawn=self._spawn, tell=self._event
        )
        self._channels = ChannelPool(
            self._connections.publishing,
            self._connections.requesting,
            spawn=self._spawn,
            begin=self._begin_keeper,
            backoff=settings.backoff,
            declare=declare,
        )
        self._declarations = Declarations(
            self._connections.publishing,
            declare=declare,
            backoff=settings.backoff,
            refusals=self._channels.refusals,
            report=lambda error, text: self._report_error(error, f"{self!r}: {text}"),
        )
        # Subscriptions and responders.
        self._consumers: list[Subscription | Responder] = []

    # What an application uses

    @property
    def ready(self) -> bool:
        """Whether everything works now: connected, not blocked, all that consumes consuming."""
        link = self._connections.publishing.link
        return (
            self.state is State.RUNNING
            and link is not None
            and not link.blocked
            and self._declarations.trouble is None
            and all(
                each.trouble is None
                for each in self._consumers
                if each.state not in (State.STOPPING, State.STOPPED)
            )
        )

    def publisher(
        self,
        exchange: str | Exchange,
        *,
        codec: Codec | None = None,
        mandatory: bool = False,
        persistent: bool = True,
        timeout: float = 30.0,
        max_unconfirmed: int = 1000,
    ) -> Publisher:
        """A publisher to an exchange, which is declared on every connection.

        Those of one exchange share a channel: one may be made wherever it is needed.

        Args:
            exchange: a name, for a durable topic exchange, or an Exchange.
            codec: in place of the bus's own.
            mandatory: a message that no queue takes is an error.
            persistent: messages outlive a restart of the broker.
            timeout: for a publish with its confirmation, in seconds.
            max_unconfirmed: how many may be unconfirmed at once; further ones wait.
        """
        if isinstance(exchange, str):
            exchange = Exchange(exchange)
        return Publisher(
            self._channels.exchange(exchange),
            codec or self._codec,
            mandatory=mandatory,
            persistent=persistent,
            timeout=timeout,
            max_unconfirmed=max_unconfirmed,
            tracing=self._tracing,
        )

    async def subscribe(
        self,
        exchange: str | Exchange,
        patterns: str | Sequence[str],
        handler: Handler,
        *,
        queue: str | Queue | None = None,
        codec: Codec | None = None,
        prefetch: int = 100,
        concurrency: int = 1,
        retry: Retry | None = DEFAULT_RETRY,
        timeout: float | None = 1500.0,
        exclusive: bool = False,
        bind_arguments: Mapping[str, Any] | None = None,
        consumer_arguments: Mapping[str, Any] | None = None,
        stop_timeout: float | None = None,
    ) -> Subscription:
        """Have a handler called with each message of a queue; returns when that has begun.

        Args:
            exchange: a name, for a durable topic exchange, or an Exchange.
            patterns: binding keys: words and dots, * for one word, # for any number.
            handler: a function, plain or async, or Handlers. The message is acknowledged when
                it returns.
            queue: None for a private queue, which vanishes with the subscription; a name for a
                durable quorum queue, whose messages its subscribers share; or a Queue.
            codec: in place of the bus's own.
            prefetch: how many messages the broker sends ahead at most; while handlers are slow,
                a subscription asks for about a second of their work.
            concurrency: how many async handlers run at once; with 1 messages are handled in order.
            retry: what follows a handler's exception; None to park at once.
            timeout: for an async handler, in seconds. RabbitMQ itself gives up after 1800.
            exclusive: be the queue's only consumer, or fail.
            bind_arguments: of the bindings, for an exchange of headers.
            consumer_arguments: of the consumer, such as x-priority or x-stream-offset.
            stop_timeout: how long a stop waits for running handlers; that of the bus by default.

        Raises:
            TopologyError: the broker refuses a declaration, also one of the queues for retries
                and parked messages; other subscriptions go on.
            ConnectError: there was no connection within the start's time.
            StateError: the bus is not running.
        """
        if self.state is not State.RUNNING:
            raise StateError(f"{self!r} is not running: start it before subscribing")
        if prefetch < 1 or concurrency < 1:
            raise ValueError(
                f"prefetch and concurrency must be at least 1, got {prefetch} and {concurrency}"
            )
        if isinstance(exchange, str):
            exchange = Exchange(exchange)
        if isinstance(queue, str):
            queue = Queue(queue)
        await self._connections.open(self._connections.consuming)
        streams = queue is not None and queue.type == "stream"
        subscription = Subscription(
            self.name,
            self._connections.consuming,
            Binding(exchange, patterns, queue, bind_arguments),
            queue,
            handler,
            codec or self._codec,
            ConsumeOptions(
                # More handlers than messages would only wait.
                max(prefetch, concurrency),
                concurrency,
                timeout,
                exclusive,
                consumer_arguments or {},
            ),
            FailurePolicy(
                # A stream keeps its messages: another copy in it would reach everybody again.
                None if streams else retry,
                queue.parking_name if queue is not None else None,
                private=queue is None,
                given=queue is not None and not queue.declare,
                declare=self._declare,
            ),
            Republisher(self._connections.publishing, self._connections.consuming),
            backoff=self._backoff,
            start_timeout=self._start_timeout,
            stop_timeout=self.stop_timeout if stop_timeout is None else stop_timeout,
            tracing=self._tracing,
        )
        await self._begin(subscription)
        return subscription

    async def respond(
        self,
        service: str,
        handler: Handler,
        *,
        codec: Codec | Sequence[Codec] | None = None,
        version: str = "",
        description: str = "",
        concurrency: int = 100,
        timeout: float = 1500.0,
        send_traceback: bool = False,
        stop_timeout: float | None = None,
    ) -> Responder:
        """Have a handler called with each request to a service; returns when that has begun.

        What the handler returns is the reply. Instances of a service share its requests.

        Args:
            service: its name; its requests wait in the queue "<service>.requests".
            handler: a function, plain or async, an async generator, or Handlers.
            codec: in place of the bus's own; several, to serve callers that speak differently,
                each of which is answered in its own.
            version: what the service says of itself when asked.
            description: the same.
            concurrency: how many async handlers run at once; further requests wait.
            timeout: for an async handler, in seconds, where its caller gives no earlier deadline.
            send_traceback: callers are sent the tracebacks of handlers that raise.
            stop_timeout: how long a stop waits for running handlers; that of the bus by default.

        Raises:
            TopologyError: the broker refuses a declaration.
            ConnectError: there was no connection within the start's time.
            StateError: the bus is not running.
        """
        if self.state is not State.RUNNING:
            raise StateError(f"{self!r} is not running: start it before responding")
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, got {concurrency}")
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0, got {timeout}")
        if isinstance(codec, Codec):
            codec = [codec]
        await self._connections.open(self._connections.requesting)
        responder = Responder(
            self._connections.requesting,
            service,
            handler,
            list(codec or [self._codec]),
            ServeOptions(version, description, concurrency, timeout, send_traceback),
            backoff=self._backoff,
            start_timeout=self._start_timeout,
            stop_timeout=self.stop_timeout if stop_timeout is None else stop_timeout,
            tracing=self._tracing,
            lasting=not self._declare,
        )
        await self._begin(responder)
        return responder

    def requester(
        self,
        service: str,
        *,
        codec: Codec | None = None,
        timeout: float = 10.0,
        max_pending: int = 1000,
    ) -> Requester:
        """Make requests to a service.

        All of a bus share a channel: one may be made wherever it is needed.

        Args:
            service: its name.
            codec: in place of the bus's own.
            timeout: for a request with its reply, in seconds.
            max_pending: how many may await their reply at once; further ones wait.
        """
        return Requester(
            self._channels.requests(),
            service,
            codec or self._codec,
            timeout=timeout,
            max_pending=max_pending,
            backoff=self._backoff,
            tracing=self._tracing,
        )

    def declare(self, *items: Exchange | Queue | Binding) -> Awaitable[None]:
        """Have exchanges, queues and bindings declared, without using them.

            await bus.declare(Binding("telemetry", "vehicle.#", to="audit"))

        They are declared now, if the bus runs, and at each start and on each new connection. What
        a binding names is declared with it, and a queue with its parking.

        Returns:
            what is awaited for the declaration; before the start there is nothing to wait for,
            and the start raises what would be raised here.

        Raises:
            TopologyError: the broker refuses; everything that it refuses is named.
            TypeError, ValueError: at once, where something cannot be declared.
        """
        return self._declarations.add(items, running=self.state is State.RUNNING)

    def plan(self) -> Plan:
        """What the application needs at the broker, as far as it has told the bus by now.

        That is what it declared, its publishers, requesters, subscriptions and responders.
        """
        consumers = [each.plan for each in self._consumers]
        return merge([self._declarations.plan, self._channels.plan(), *consumers])

    def parked(self, queue: str | Queue) -> Parking:
        """The parked messages of a queue: to list, and to replay."""
        if isinstance(queue, str):
            queue = Queue(queue)
        return Parking(
            lambda: self._connections.one_more("parked"),
            queue.name,
            queue.parking_name,
        )

    # Its life

    async def _open(self) -> None:
        self._connections.start()
        self._patience = HASTE
        await self._connections.open(self._connections.publishing)
        self._channels.start()
        await self._declarations.start(self.plan())
        self._spawn(self._declarations.run(), name="declarations")

    async def _drain(self) -> None:
        until = asyncio.get_running_loop().time() + self.stop_timeout
        # Handlers may publish and make requests until they are done.
        await gather_all(each.stop() for each in self._consumers)
        await self._channels.drain()
        left = until - asyncio.get_running_loop().time()
        self._patience = max(HASTE, min(PATIENCE, left))

    async def _close(self) -> None:
        self._channels.stop()
        consumers, self._consumers = self._consumers, []
        try:
            await gather_all(each.stop() for each in consumers)
        finally:
            await self._connections.close(self._patience)

    async def _inside(self, call: Callable[[], Awaitable[None]]) -> None:
        """Await a call in a task of the bus, so that what is started by it is within the bus.

        A handler that stops the bus is thereby known to be one of its own, whoever subscribed.

        Raises:
            StateError: the bus was stopped meanwhile.
            Exception: what the call raises.
        """
        if self.state not in (State.STARTING, State.RUNNING):
            raise StateError(f"{self!r} is not running")
        before = cancellations()
        try:
            error = await self._spawn(_error_of(call), name="start")
        except asyncio.CancelledError as cancelled:
            if is_own_cancellation(cancelled, since=before):
                raise
            raise StateError(f"{self!r} was stopped meanwhile") from None
        if error is not None:
            raise error

    async def _begin(self, consumer: Subscription | Responder) -> None:
        async def begin() -> None:
            await consumer.start()
            self._consumers = [each for each in self._consumers if each.state is not State.STOPPED]
            self._consumers.append(consumer)

        await self._inside(begin)

    def _begin_keeper(self, keeper: ChannelKeeper) -> None:
        self._spawn(self._run_keeper(keeper), name=f"channel of {keeper.name}")

    async def _run_keeper(self, keeper: ChannelKeeper) -> None:
        while keeper.supervisor.state is not State.RUNNING:
            try:
                await self._connections.open(keeper.supervisor)
            except ConnectError as error:
                # It has tried for a while; messages wait, up to their deadlines.
                logger.warning("%s: %s", keeper.supervisor.name, error)
            except StateError:
                if self.state is State.STOPPING:
                    return
                raise
        await keeper.run()

    def _event(self, event: Event) -> None:
        if isinstance(event, PublishingUnblocked):
            self._channels.note_change()
        if self._on_event is not None:
            try:
                call_plain("on_event", self._on_event, event)
            except RAISED as error:
                self._report_error(error, f"{self!r}: on_event failed on {event!r}")


async def _error_of(call: Callable[[], Awaitable[None]]) -> Exception | None:
    """What a call raises: that is its caller's, and does not fail the bus whose task it is."""
    try:
        await call()
    except Exception as error:
        return error
    return None
