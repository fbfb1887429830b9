"""What a subscription is to be, as plain data: known before there is a connection."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Self, TypedDict

from gestalt.amq.topology import Exchange, Queue
from gestalt.codecs import Codec
from gestalt.core import Handler
from gestalt.core.options import check_options

from .retry import Retry

DEFAULT_RETRY = Retry()


class SubscribeOptions(TypedDict, total=False):
    """What a subscription may be told by name; SubscriptionDeclaration has the defaults.

    Attributes:
        queue: None for a private queue, which vanishes with the subscription; a name for a
            durable quorum queue, whose messages its subscribers share; or a Queue.
        codec: in place of the bus's own.
        prefetch: how many messages the broker sends ahead at most (100); while handlers are slow,
            a subscription asks for about a second of their work.
        concurrency: how many async handlers run at once; with 1, the default, messages are
            handled in order.
        retry: what follows a handler's exception: by default, as `Retry()` says; None to park at
            once.
        timeout: for an async handler, in seconds (1500). RabbitMQ itself gives up after 1800.
        exclusive: be the queue's only consumer, or fail.
        bind_arguments: of the bindings, for an exchange of headers.
        consumer_arguments: of the consumer, such as x-priority or x-stream-offset.
        stop_timeout: how long a stop waits for running handlers, in seconds; that of the bus by
            default.
    """

    queue: str | Queue | None
    codec: Codec | None
    prefetch: int
    concurrency: int
    retry: Retry | None
    timeout: float | None
    exclusive: bool
    bind_arguments: Mapping[str, Any] | None
    consumer_arguments: Mapping[str, Any] | None
    stop_timeout: float | None


@dataclass(frozen=True, slots=True)
class SubscriptionDeclaration:
    """Which messages go to which handler, and how.

    Args:
        exchange: that the queue is bound to.
        patterns: the keys of its bindings.
        handler: takes each message.

    The others are those of SubscribeOptions, which says what they mean.

    Raises:
        ValueError: a number is out of its range.
        TypeError: the handler cannot be called.
    """

    exchange: Exchange
    patterns: Sequence[str]
    handler: Handler
    _: KW_ONLY
    queue: Queue | None = None
    codec: Codec | None = None
    prefetch: int = 100
    concurrency: int = 1
    retry: Retry | None = DEFAULT_RETRY
    timeout: float | None = 1500.0
    exclusive: bool = False
    bind_arguments: Mapping[str, Any] = field(default_factory=dict)
    consumer_arguments: Mapping[str, Any] = field(default_factory=dict)
    stop_timeout: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.handler):
            raise TypeError(f"a handler is a function or Handlers, got {self.handler!r}")
        if self.prefetch < 1 or self.concurrency < 1:
            raise ValueError(
                "prefetch and concurrency must be at least 1, "
                f"got {self.prefetch} and {self.concurrency}"
            )

    @classmethod
    def of(
        cls,
        exchange: str | Exchange,
        patterns: str | Sequence[str],
        handler: Handler,
        options: SubscribeOptions,
    ) -> Self:
        """Read what an application gives, where names stand for exchanges and queues.

        Raises:
            TypeError: there is no such option.
            ValueError, TypeError: as the class has them.
        """
        check_options("a subscription", options, SubscribeOptions)
        given: dict[str, Any] = dict(options)
        if isinstance(given.get("queue"), str):
            given["queue"] = Queue(given["queue"])
        for name in ("bind_arguments", "consumer_arguments"):
            given[name] = dict(given.get(name) or {})
        return cls(
            Exchange(exchange) if isinstance(exchange, str) else exchange,
            (patterns,) if isinstance(patterns, str) else tuple(patterns),
            handler,
            **given,
        )
