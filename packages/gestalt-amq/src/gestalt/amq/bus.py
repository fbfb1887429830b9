"""The bus: connections to RabbitMQ, and what publishes, consumes and makes requests on them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Unpack

from gestalt.codecs import Codec, Codecs
from gestalt.core import Handler, Readiness, State, StateError
from gestalt.core import vocabulary as words
from gestalt.core.calling import RAISED, call_plain
from gestalt.core.describing import describes
from gestalt.core.details import QueueRow, details
from gestalt.core.identity import IdentityMap
from gestalt.core.metrics import Metric, measures

from . import tracing
from .applying import Topology
from .channel_pool import ChannelPool
from .connections import Connections, Settings
from .consumers import Consumers
from .declarations import Declarations
from .declared import Declaring
from .events import Event, PublishingUnblocked
from .link.client_library import AbstractChannel
from .link.consumer import Timing
from .link.lent_channel import LentChannel, LentChannelOptions
from .link.supervisor import Supervisor
from .plan import Plan, merge
from .pubsub.declaration import SubscribeOptions, SubscriptionDeclaration
from .pubsub.parking import Parking
from .pubsub.publisher import Publisher, PublisherOptions
from .pubsub.subscribing import AnySubscription, SubscriptionMaker
from .requests.declaration import ResponderDeclaration, RespondOptions
from .requests.requester import Requester, RequesterOptions
from .requests.responder import Responder
from .requests.serving import ResponderMaker
from .running import run_within
from .topology import Binding, Exchange, Queue

logger = logging.getLogger("gestalt.amq")

# How long a stop waits for brokers to take leave, in seconds: while there is time, and after it.
PATIENCE = 2.0
HASTE = 0.3


class Bus(Declaring, Readiness):
    """Publishes, consumes and makes requests; made by `connect`.

        async with connect("amqp://localhost") as bus:
            await bus.subscribe("telemetry", "vehicle.*.position", track, queue="tracker")
            await bus.publisher("telemetry").publish({"lat": -34.9}, "vehicle.42.position")
            position = await bus.requester("tracker").request({"vehicle": 42})

    A bus that has stopped or failed may be started again, in another event loop as well. Its
    publishers and requesters live as long as the bus: they refuse to send while it is stopped,
    and work again when it is started. What is declared before a start, by `subscriber` and
    `responder` or by `subscription` and `service`, starts and stops with the bus; what `subscribe`
    and `respond` begin ends with the stop.

    Attributes:
        declares: it declares what it uses, which otherwise must exist.
    """

    def __init__(
        self,
        settings: Settings,
        codec: Codec | Codecs,
        *,
        stop_timeout: float,
        on_event: Callable[[Event], None] | None,
        declare: bool,
    ) -> None:
        super().__init__(name=settings.name, stop_timeout=stop_timeout)
        self.declares = declare
        self._codec = codec
        self._backoff = settings.backoff
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
            open_connection=self._connections.open,
            stopping=lambda: self.state is State.STOPPING,
            backoff=settings.backoff,
            declare=declare,
        )
        self._declarations = Declarations(
            self._connections.publishing,
            declare=declare,
            backoff=settings.backoff,
            refusals=self._channels.refusals,
            named=self._plan,
            tell=self._event,
            report=lambda error, text: self._report_error(error, f"{self!r}: {text}"),
        )
        # What was made before a start to send, as long as it lives.
        self._senders: IdentityMap[Publisher[Any] | Requester[Any, Any], None] = IdentityMap()
        self._consumers = Consumers(self._inside, self._connections.open)
        timing = Timing(settings.backoff, settings.start_timeout, stop_timeout)
        self._subscriptions = SubscriptionMaker(
            settings.name,
            self._connections.publishing,
            self._connections.consuming,
            one_more=lambda: self._connections.one_more("declare"),
            codec=codec,
            timing=timing,
            tracing=self._tracing,
            declare=declare,
            tell=self._event,
        )
        self._responders = ResponderMaker(
            self._connections.requesting,
            codec=codec,
            timing=timing,
            tracing=self._tracing,
            declare=declare,
        )

    # What an application uses

    @property
    def ready(self) -> bool:
        """Whether everything works now: connected, not blocked, answered, consuming.

        `trouble` says why it is not.
        """
        return self.trouble is None

    @property
    def trouble(self) -> str | None:
        """What keeps it from its work now, such as credentials that are refused; None if nothing.

        Of several troubles it is the first, by connections, then what is published and requested,
        then subscriptions and responders.
        """
        if self.state is not State.RUNNING:
            return f"it is {self.state.name.lower()}"
        return (
            self._connections.trouble
            or self._declarations.trouble
            or self._channels.trouble
            or self._consumers.trouble
        )

    def publisher(
        self,
        exchange: str | Exchange,
        *,
        codec: Codec | Codecs | None = None,
        **options: Unpack[PublisherOptions],
    ) -> Publisher[Any]:
        """A publisher to an exchange, which is declared on every connection.

        Those of one exchange share a channel: one may be made wherever it is needed.

        Args:
            exchange: a name, for a durable topic exchange, or an Exchange.
            codec: in place of the bus's own.
            options: mandatory, persistent, timeout, max_unconfirmed: see PublisherOptions.
        """
        if isinstance(exchange, str):
            exchange = Exchange(exchange)
        publisher: Publisher[Any] = Publisher(
            self._channels.exchange(exchange),
            codec or self._codec,
            delays=self._channels.delays,
            tracing=self._tracing,
            **options,
        )
        self._note(publisher)
        return publisher

    def requester(
        self,
        service: str,
        *,
        codec: Codec | Codecs | None = None,
        **options: Unpack[RequesterOptions],
    ) -> Requester[Any, Any]:
        """Make requests to a service.

        All of a bus share a channel: one may be made wherever it is needed.

        Args:
            service: its name.
            codec: in place of the bus's own.
            options: timeout, max_pending: see RequesterOptions.
        """
        requester: Requester[Any, Any] = Requester(
            self._channels.requests(),
            service,
            codec or self._codec,
            backoff=self._backoff,
            tracing=self._tracing,
            **options,
        )
        self._note(requester)
        return requester

    async def subscribe(
        self,
        exchange: str | Exchange,
        patterns: str | Sequence[str],
        handler: Handler,
        **options: Unpack[SubscribeOptions],
    ) -> AnySubscription:
        """Have a handler called with each message of a queue; returns when that has begun.

        Args:
            exchange: a name, for a durable topic exchange, or an Exchange.
            patterns: binding keys: words and dots, * for one word, # for any number.
            handler: a function, plain or async, or Handlers. The message is acknowledged when
                it returns.
            options: queue, concurrency, retry and so on: see SubscribeOptions.

        Raises:
            TopologyError: the broker refuses a declaration, also one of the queues for retries
                and parked messages; other subscriptions go on.
            ConnectError: there was no connection within the start's time.
            StateError: the bus is not running.
        """
        self._check_running("subscribing", "subscription() and @subscriber()")
        declaration = SubscriptionDeclaration.of(exchange, patterns, handler, options)
        subscription = self._subscriptions.make(declaration)
        await self._declarations.check(subscription.plan)
        await self._consumers.begin(subscription, self._subscriptions.connection)
        await self._declarations.record(self._plan(), subscription.plan.recorded())
        return subscription

    async def respond(
        self, service: str, handler: Handler, **options: Unpack[RespondOptions]
    ) -> Responder:
        """Have a handler called with each request to a service; returns when that has begun.

        What the handler returns is the reply. Instances of a service share its requests.

        Args:
            service: its name; its requests wait in the queue "<service>.requests".
            handler: a function, plain or async, an async generator, or Handlers.
            options: concurrency, timeout, version and so on: see RespondOptions.

        Raises:
            TopologyError: the broker refuses a declaration.
            ConnectError: there was no connection within the start's time.
            StateError: the bus is not running.
        """
        self._check_running("responding", "service() and @responder()")
        declaration = ResponderDeclaration.of(service, handler, options)
        responder = self._responders.make(declaration)
        await self._declarations.check(responder.plan)
        await self._consumers.begin(responder, self._responders.connection)
        return responder

    def channel(
        self, **options: Unpack[LentChannelOptions]
    ) -> AbstractAsyncContextManager[AbstractChannel]:
        """Lend a channel of aio-pika, for what Gestalt does not cover.

            async with bus.channel() as channel:
                await (await channel.get_queue("tracker")).purge()

        It is closed where the block ends. LinkLost interrupts the block when the connection is
        lost, which is one for all channels that are lent, and for nothing else; what goes wrong
        otherwise is raised as aio-pika has it. Entering the block raises StateError where the bus
        does not run, ConnectError after the timeout, and ChannelsExhausted.
        """
        lending = self._connections.lending
        return LentChannel(lending, partial(self._connections.open, lending), **options)

    def declare(self, *items: Exchange | Queue | Binding, exact: bool = False) -> Awaitable[None]:
        """Have exchanges, queues and bindings declared, without using them.

            await bus.declare(Binding("telemetry", "vehicle.#", to="audit"))

        What a binding names is declared with it, and a queue with its parking: now, if the bus
        runs and this is awaited, at each start, and on each new connection.

        Args:
            items: what is declared.
            exact: unbind the queues among them from what nothing on this bus names any more.

        Raises:
            TopologyError: the broker refuses; everything that it refuses is named.
            TypeError, ValueError: at once, where something cannot be declared.
        """
        running = self.state is State.RUNNING
        return self._declarations.add(items, exact=exact, running=running)

    @property
    def topology(self) -> Topology:
        """What the application needs at the broker: to show, to compare, and to declare."""
        return Topology(self._plan, lambda: self._connections.one_more("topology"))

    def parked(self, queue: str | Queue, *, codec: Codec | Codecs | None = None) -> Parking:
        """The parked messages of a queue: to list, to replay and to delete, while the bus runs.

        Args:
            queue: a name, or a Queue.
            codec: shows bodies, in place of the bus's own.
        """
        queue = Queue(queue) if isinstance(queue, str) else queue
        connect = self._connect_to_parking
        return Parking(connect, codec or self._codec, queue.name, queue.parking_name)

    # Its life

    @details
    def _channel_queues(self) -> Iterable[QueueRow]:
        return self._channels.queues()

    async def _open(self) -> None:
        await self._connections.start()
        self._channels.admit()
        self._patience = HASTE
        await self._connections.open(self._connections.publishing)
        self._channels.start()
        await self._declarations.start(self._plan())
        self._spawn(self._declarations.run(), name="declarations")
        await self._consumers.start()
        await self._declarations.record(self._plan())

    async def _drain(self) -> None:
        until = asyncio.get_running_loop().time() + self.stop_timeout
        await self._consumers.drain()
        await self._channels.drain()
        left = until - asyncio.get_running_loop().time()
        self._patience = max(HASTE, min(PATIENCE, left))

    async def _close(self) -> None:
        self._channels.stop()
        try:
            await self._consumers.stop()
        finally:
            await self._connections.close(self._patience)

    @measures
    def _bus_metrics(self) -> Iterable[Metric]:
        yield words.READY("bus", int(self.ready))
        yield from self._channels.metrics()

    @describes
    def _bus_messages(self) -> Iterable[Any]:
        from .contracts import BusContract, operations_of

        contract = BusContract(self.name, self._connections.addresses, self._codec)
        return operations_of(contract, self.declarations, self._senders.present())

    def _note(self, sender: Publisher[Any] | Requester[Any, Any]) -> None:
        # One that is made for each message costs nothing more.
        if self.state is not State.RUNNING:
            self._senders.set(sender, None)

    def _plan(self) -> Plan:
        return merge([self._declarations.plan, self._channels.plan(), *self._consumers.plans()])

    async def _inside(self, call: Callable[[], Awaitable[None]]) -> None:
        await run_within(self, self._spawn, call)

    def _connect_to_parking(self) -> Supervisor:
        if self.state is not State.RUNNING:
            raise StateError(f"{self!r} is not running: start it before using what is parked")
        return self._connections.one_more("parked")

    def _check_running(self, what: str, before: str) -> None:
        if self.state is not State.RUNNING:
            raise StateError(
                f"{self!r} is not running: start it before {what}, or declare by {before}"
            )

    def _event(self, event: Event) -> None:
        if isinstance(event, PublishingUnblocked):
            self._channels.note_change()
        if self._on_event is not None:
            try:
                call_plain("on_event", self._on_event, event)
            except RAISED as error:
                self._report_error(error, f"{self!r}: on_event failed on {event!r}")
