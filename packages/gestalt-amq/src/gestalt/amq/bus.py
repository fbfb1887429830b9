"""The bus: connections to RabbitMQ, and the publishers and subscriptions on them."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from gestalt.codecs import Codec
from gestalt.core import Backoff, Component, Handler, State, StateError

from . import tracing
from .events import Event, PublishingUnblocked
from .failures import Failures
from .link import Link
from .parking import Parking
from .publisher import Publisher
from .retry import Retry
from .subscription import Binding, Consuming, Subscription
from .supervisor import Supervisor
from .topology import Exchange, Queue

DEFAULT_RETRY = Retry()


def connect(
    urls: str | Sequence[str],
    *,
    codec: Codec | None = None,
    name: str = "gestalt",
    ssl: ssl_module.SSLContext | None = None,
    heartbeat: int = 5,
    connect_timeout: float = 5.0,
    start_timeout: float = 30.0,
    stop_timeout: float = 10.0,
    backoff: Backoff | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Bus:
    """A bus on one RabbitMQ, or on the first of several that can be reached.

        async with connect("amqp://localhost") as bus: ...

    Args:
        urls: amqp:// or amqps://user:password@host:port/vhost, one or several. With
            ?auth=external the certificate of `ssl` stands for user and password.
        codec: for all bodies, unless a publisher or subscription has its own; JSON by default.
        name: how the broker's tools show the connections.
        ssl: for amqps://; the system's certificates by default.
        heartbeat: a broker that is silent for twice these seconds is taken for lost; 0 for never.
        connect_timeout: for one attempt at one broker, in seconds.
        start_timeout: how long a start tries to reach a broker, in seconds.
        stop_timeout: how long a stop waits for running handlers and confirmations, in seconds.
        backoff: the waits between attempts to connect.
        on_event: is called with Connected, Disconnected, PublishingBlocked, PublishingUnblocked.

    Raises:
        ValueError: a URL is not one of AMQP, or there is none.
    """
    return Bus(
        [urls] if isinstance(urls, str) else urls,
        codec=codec or Codec(),
        name=name,
        ssl=ssl,
        heartbeat=heartbeat,
        connect_timeout=connect_timeout,
        start_timeout=start_timeout,
        stop_timeout=stop_timeout,
        backoff=backoff or Backoff(),
        on_event=on_event,
    )


class Bus(Component):
    """Made by `connect`. Publishing and consuming have a connection each.

    A broker that blocks publishers, or a consumer that lags, thereby holds up only its own kind.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        codec: Codec,
        name: str,
        ssl: ssl_module.SSLContext | None,
        heartbeat: int,
        connect_timeout: float,
        start_timeout: float,
        stop_timeout: float,
        backoff: Backoff,
        on_event: Callable[[Event], None] | None,
    ) -> None:
        super().__init__(name=name, stop_timeout=stop_timeout)
        for url in urls:
            if urlsplit(url).scheme not in ("amqp", "amqps"):
                raise ValueError(f"a broker's URL begins with amqp:// or amqps://, got {url!r}")
        if not urls:
            raise ValueError("at least one broker's URL is needed")
        if heartbeat < 0:
            raise ValueError(f"heartbeat must not be negative, got {heartbeat}")
        self._codec = codec
        self._ssl = ssl
        self._heartbeat = heartbeat
        self._connect_timeout = connect_timeout
        self._start_timeout = start_timeout
        self._backoff = backoff
        self._on_event = on_event
        self._tracing = tracing.load()
        self._publishing = self._supervisor(list(urls), "publish")
        self._consuming = self._supervisor(list(urls), "consume")
        self._consuming_lock = asyncio.Lock()
        self._publishers: list[Publisher] = []
        self._subscriptions: list[Subscription] = []
        self._mover: Publisher | None = None

    def _supervisor(self, urls: list[str], purpose: str) -> Supervisor:
        return Supervisor(
            urls,
            lambda url: self._connect(url, purpose),
            name=purpose,
            backoff=self._backoff,
            start_timeout=self._start_timeout,
            on_event=self._event,
        )

    async def _connect(self, url: str, purpose: str) -> Link:
        # The client library takes a while to import, and not every process connects.
        from .aiormq_link import connect as connect_link

        return await connect_link(
            url,
            name=f"{self.name} {purpose}",
            heartbeat=self._heartbeat,
            timeout=self._connect_timeout,
            context=self._ssl,
        )

    # What an application uses

    @property
    def ready(self) -> bool:
        """Whether everything works now: connected, not blocked, all subscriptions consuming."""
        link = self._publishing.link
        return (
            self.state is State.RUNNING
            and link is not None
            and not link.blocked
            and all(
                each.consuming
                for each in self._subscriptions
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

        It lives as long as the bus, with a channel of its own: make one and keep it.

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
        publisher = Publisher(
            self._publishing,
            exchange,
            codec or self._codec,
            mandatory=mandatory,
            persistent=persistent,
            timeout=timeout,
            max_unconfirmed=max_unconfirmed,
            backoff=self._backoff,
            tracing=self._tracing,
        )
        self._publishers.append(publisher)
        if self.state is State.RUNNING:
            self._run(publisher)
        return publisher

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
            prefetch: how many messages the broker sends ahead.
            concurrency: how many async handlers run at once; with 1 messages are handled in order.
            retry: what follows a handler's exception; None to park at once.
            timeout: for an async handler, in seconds. RabbitMQ itself gives up after 1800.
            exclusive: be the queue's only consumer, or fail.
            bind_arguments: of the bindings, for an exchange of headers.
            consumer_arguments: of the consumer, such as x-priority or x-stream-offset.
            stop_timeout: how long a stop waits for running handlers; that of the bus by default.

        Raises:
            TopologyError: the broker refuses a declaration; other subscriptions go on.
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
        if self._mover is None:
            self._mover = self.publisher(Exchange(""), mandatory=True)
        async with self._consuming_lock:
            if self._consuming.state is not State.RUNNING:
                await self._consuming.start()
                self._watch(self._consuming)
        streams = queue is not None and queue.type == "stream"
        subscription = Subscription(
            self._consuming,
            Binding(
                exchange,
                [patterns] if isinstance(patterns, str) else list(patterns),
                bind_arguments or {},
            ),
            queue,
            handler,
            codec or self._codec,
            Consuming(
                # More handlers than messages would only wait.
                max(prefetch, concurrency),
                concurrency,
                timeout,
                exclusive,
                consumer_arguments or {},
            ),
            Failures(
                self._mover,
                self._consuming,
                # A stream keeps its messages: another copy in it would reach everybody again.
                None if streams else retry,
                private=queue is None,
                parking=queue.parking_name if queue is not None else None,
            ),
            backoff=self._backoff,
            start_timeout=self._start_timeout,
            stop_timeout=self.stop_timeout if stop_timeout is None else stop_timeout,
            tracing=self._tracing,
        )
        await subscription.start()
        self._subscriptions = [
            each for each in self._subscriptions if each.state is not State.STOPPED
        ]
        self._subscriptions.append(subscription)
        return subscription

    def parked(self, queue: str | Queue) -> Parking:
        """The parked messages of a queue: to list, and to replay."""
        if isinstance(queue, str):
            queue = Queue(queue)
        return Parking(self._publishing, queue.name, queue.parking_name)

    # Its life

    async def _open(self) -> None:
        await self._publishing.start()
        self._watch(self._publishing)
        for publisher in self._publishers:
            self._run(publisher)

    async def _drain(self) -> None:
        await asyncio.gather(*(each.stop() for each in self._subscriptions))
        await asyncio.gather(*(each.drain() for each in self._publishers))

    async def _close(self) -> None:
        for publisher in self._publishers:
            publisher.stop()
        subscriptions, self._subscriptions = self._subscriptions, []
        await asyncio.gather(*(each.stop() for each in subscriptions))
        await asyncio.gather(self._consuming.stop(), self._publishing.stop())

    def _watch(self, supervisor: Supervisor) -> None:
        # A supervisor does not fail by what a broker does; if it does, so does the bus.
        self._spawn(supervisor.wait_stopped(), name=f"watch {supervisor.name}")

    def _run(self, publisher: Publisher) -> None:
        publisher.start()
        self._spawn(publisher.run(), name=f"publisher {publisher.exchange.name}")

    def _event(self, event: Event) -> None:
        if isinstance(event, PublishingUnblocked):
            for publisher in self._publishers:
                publisher.note_change()
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception as error:
                self._report(error, f"{self!r}: on_event failed")
