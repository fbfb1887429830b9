"""What a subscription is to be, as plain data: known before there is a connection."""

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Self, TypeAlias, TypedDict

from gestalt.amq.message import BusMessage
from gestalt.amq.topology import Exchange, Queue
from gestalt.codecs import Codec, Codecs
from gestalt.core import Batch, Handler, Handlers
from gestalt.core.numbers import kind_of
from gestalt.core.options import check_options

from .offsets import Offsets, OffsetStore
from .partitions import Partitioned
from .retry import LONGEST_WAIT_HERE, Retry

Key: TypeAlias = Callable[[BusMessage[Any]], Hashable]
"""Tells which messages are to be handled in order: those for which it gives the same."""

DEFAULT_RETRY = Retry()

# AMQP 0-9-1 counts in 16 bits how many messages are sent ahead.
MOST_AHEAD = 65_535
# The longest that a message may wait for others of its batch, in seconds: brokers end a channel by
# which a message was not acknowledged for half an hour.
LONGEST_WITHIN = 300.0


class SubscribeOptions(TypedDict, total=False):
    """What a subscription may be told by name; SubscriptionDeclaration has the defaults.

    Attributes:
        queue: None for a private queue, which vanishes with the subscription; a name for a
            durable quorum queue, whose messages its subscribers share; a Queue; or Partitioned,
            for one whose messages of one key are handled in order, whoever of them does it.
        codec: in place of the bus's own.
        prefetch: how many messages the broker sends ahead at most (100); while handlers are slow,
            a subscription asks for about a second of their work.
        concurrency: how many async handlers run at once; with 1, the default, messages are
            handled in order.
        batch: have the handler called with a MessageBatch; None, the default, for one message at
            a time. At least two batches for each handler are sent ahead.
        key: a plain function that gives what messages have in common that are to be handled one
            after the other; None, the default, where they have no order among them.
        retry: what follows a handler's exception: by default, as `Retry()` says; None to park at
            once.
        timeout: for an async handler, in seconds (1500). RabbitMQ itself gives up after 1800.
        exclusive: be the queue's only consumer, or fail.
        bind_arguments: of the bindings, for an exchange of headers.
        exact: unbind a named queue from what nothing on the bus names any more, such as patterns of
            an earlier version; by default that is told, and stays.
        consumer_arguments: of the consumer, such as x-priority or x-stream-offset.
        offsets: of a stream, where it is kept how far it is handled: a store such as FileOffsets,
            or Offsets, which says how often as well. What is kept there goes before an
            x-stream-offset.
        stop_timeout: how long a stop waits for running handlers, in seconds; that of the bus by
            default.
    """

    queue: str | Queue | Partitioned | None
    codec: Codec | Codecs | None
    prefetch: int
    concurrency: int
    batch: Batch | None
    key: Key | None
    retry: Retry | None
    timeout: float | None
    exclusive: bool
    bind_arguments: Mapping[str, Any] | None
    exact: bool
    consumer_arguments: Mapping[str, Any] | None
    offsets: OffsetStore | Offsets | None
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
    queue: Queue | Partitioned | None = None
    codec: Codec | Codecs | None = None
    prefetch: int = 100
    concurrency: int = 1
    batch: Batch | None = None
    key: Key | None = None
    retry: Retry | None = DEFAULT_RETRY
    timeout: float | None = 1500.0
    exclusive: bool = False
    bind_arguments: Mapping[str, Any] = field(default_factory=dict)
    exact: bool = False
    consumer_arguments: Mapping[str, Any] = field(default_factory=dict)
    offsets: Offsets | None = None
    stop_timeout: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.handler):
            raise TypeError(f"a handler is a function or Handlers, got {kind_of(self.handler)}")
        if self.prefetch < 1 or self.concurrency < 1:
            raise ValueError(
                "prefetch and concurrency must be at least 1, "
                f"got {self.prefetch} and {self.concurrency}"
            )
        if isinstance(self.queue, Partitioned):
            self._check_partitioned(self.queue)
        if self.offsets is not None and getattr(self.queue, "type", None) != "stream":
            raise ValueError('offsets are of streams: give a Queue(..., type="stream")')
        if self.batch is not None:
            self._check_batch(self.batch)
        if self.key is not None:
            self._check_key(self.key)
        if self.most_ahead > MOST_AHEAD:
            raise ValueError(
                f"a broker sends at most {MOST_AHEAD} messages ahead, and here {self.most_ahead} "
                "are asked for: by prefetch, or for two batches for each of the handlers"
            )

    @property
    def most_ahead(self) -> int:
        """How many messages the broker sends ahead at most."""
        # The broker works while handlers do; and more handlers than messages would only wait.
        needed = 1 if self.batch is None else 2 * self.batch.size
        ahead = max(self.prefetch, needed * self.concurrency)
        # What is sent ahead may be handled, and not be saved: it would be handled again.
        return ahead if self.offsets is None else min(ahead, self.offsets.every)

    def _check_partitioned(self, queue: Partitioned) -> None:
        if self.batch is not None:
            raise ValueError("a partitioned queue keeps the order of its keys, and batches do not")
        if self.exclusive or "x-priority" in self.consumer_arguments:
            raise ValueError(
                "a partitioned queue has one consumer for each part anyway, which others wait for: "
                "exclusive and x-priority would be in the way"
            )
        if self.exact:
            raise ValueError(
                "exact=True goes by a record of a queue's bindings, and a partitioned queue has "
                f"none: it is bound by the exchange {queue.exchange.name!r}"
            )

    def _check_batch(self, batch: Batch) -> None:
        if not isinstance(batch, Batch):
            raise TypeError(f"batch is a Batch of gestalt.core, got {kind_of(batch)}")
        if self.key is not None:
            raise ValueError(
                "batch= and key= exclude each other: a batch has messages of many keys"
            )
        if isinstance(self.handler, Handlers):
            raise TypeError(
                "with batch= the handler is one function, which takes a MessageBatch: "
                "Handlers choose by the type of one message"
            )
        if batch.within > LONGEST_WITHIN:
            raise ValueError(
                f"within is at most {LONGEST_WITHIN:g} s here, since brokers end the channel of "
                f"whoever acknowledges late, got {batch.within:g}"
            )

    def _check_key(self, key: Key) -> None:
        if inspect.iscoroutinefunction(key) or not callable(key):
            raise TypeError(f"key is a plain function of a message, got {kind_of(key)}")
        if self.retry is not None:
            longest = self.retry.longest(LONGEST_WAIT_HERE)
            if longest > LONGEST_WAIT_HERE:
                raise ValueError(
                    "with key= a message waits in this process for its retries, for at most "
                    f"{LONGEST_WAIT_HERE:g} s in all, and this retry waits for more: choose "
                    "fewer attempts, or a smaller maximum"
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
        if (store := given.get("offsets")) is not None and not isinstance(store, Offsets):
            given["offsets"] = Offsets(store)
        for name in ("bind_arguments", "consumer_arguments"):
            given[name] = dict(given.get(name) or {})
        return cls(
            Exchange(exchange) if isinstance(exchange, str) else exchange,
            (patterns,) if isinstance(patterns, str) else tuple(patterns),
            handler,
            **given,
        )
