"""In what the versions of RabbitMQ differ: one table, by the version that the broker is like.

Each row is proved by tests that run against the embedded broker and a RabbitMQ of that version.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeAlias

from gestalt.amq.wire import AmqpError
from gestalt.core.numbers import choice_of

MIB = 1024 * 1024


class Priorities(Enum):
    """How a quorum queue deals with priorities; what comes back comes first, whatever it has."""

    NONE = "none"
    # Those above 4 are high: two of them pass for one that is not.
    TWO_TO_ONE = "two to one"
    # From 0 to 31, 4 for those that say nothing.
    STRICT = "strict"


class ConsumerTimeout(Enum):
    """What happens to a delivery that is not acknowledged within the queue's x-consumer-timeout."""

    IGNORED = "ignored"
    # The channel is closed.
    CLOSES_CHANNEL = "closes channel"
    # It goes back to its quorum queue, and its consumer is cancelled.
    ENDS_DELIVERY = "ends delivery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Semantics:
    """What depends on the version.

    Attributes:
        version: what the server properties say.
        max_message_size: the size of the largest message body, in bytes.
        anonymous: the mechanism ANONYMOUS is offered.
        unknown_exchange_type: the error for it, which closes the connection or the channel.
        local_random: there are exchanges of the type x-local-random.
        classic_arguments, quorum_arguments, stream_arguments: the optional arguments of each type
            of queue, in the order in which a declaration is compared with what is there.
        classic_consumer_arguments: optional arguments of basic.consume that a stream refuses.
        stream_consumer_arguments: those that only a stream takes.
        queue_versions: the values of x-queue-version.
        checks_queue_mode: x-queue-mode is checked, and else ignored.
        compares_queue_types: a declaration without x-queue-type means classic, also in errors.
        transient_shared_queues: queues that are neither durable nor exclusive are taken.
        global_prefetch: basic.qos can limit the channel; else `global` counts for each consumer.
        queue_master_locator: the argument x-queue-master-locator is taken.
        delivery_limit: that of quorum queues which do not say any.
        negative_limit_is_none: a negative delivery limit means no limit, and not none at all.
        counts_requeues: basic.nack and basic.recover count against the delivery limit.
        counts_acquisitions: the header x-acquired-count tells how often a message was delivered.
        counts_from_zero: the first delivery has the header x-delivery-count as well.
        unlimited_requeue_to_end: without a limit, what is requeued goes to the end of the queue.
        quorum_priorities: how quorum queues deal with priorities.
        own_deaths: the header x-death of a publisher does not count, and there are x-last-death-*.
        reply_addresses_route: a mandatory message to a reply address is never returned.
        consumer_timeout: what x-consumer-timeout does.
        operator_overflow: an operator policy may say what becomes of too many messages.
        quorum_word: how the refusal of basic.get by a single active consumer calls quorum queues.
        stream_words: how refusals of basic.consume call a stream: without a prefetch, with no_ack.
        stream_filter_size: the refusal of another x-stream-filter-size-bytes than 16 to 255, if
            any.
        stream_filters: streams are filtered by x-stream-filter-value.
        stream_rejects: basic.nack and basic.reject acknowledge deliveries of a stream.
        compares_ages: two values of x-max-age that are as long are equal.
        message_containers: what a stream keeps of a message: headers that are tables or arrays if
            they begin with x-, no x-death of a publisher's, and always a delivery mode.
    """

    version: str
    max_message_size: int
    anonymous: bool
    unknown_exchange_type: str
    local_random: bool
    classic_arguments: tuple[str, ...]
    quorum_arguments: tuple[str, ...]
    stream_arguments: tuple[str, ...]
    classic_consumer_arguments: tuple[str, ...]
    stream_consumer_arguments: tuple[str, ...]
    queue_versions: tuple[int, ...]
    checks_queue_mode: bool
    compares_queue_types: bool
    transient_shared_queues: bool
    global_prefetch: bool
    queue_master_locator: bool
    delivery_limit: int | None
    negative_limit_is_none: bool
    counts_requeues: bool
    counts_acquisitions: bool
    counts_from_zero: bool
    unlimited_requeue_to_end: bool
    quorum_priorities: Priorities
    own_deaths: bool
    reply_addresses_route: bool
    consumer_timeout: ConsumerTimeout
    operator_overflow: bool
    quorum_word: str
    stream_words: tuple[str, str]
    stream_filter_size: str | None
    stream_filters: bool
    stream_rejects: bool
    compares_ages: bool
    message_containers: bool

    def arguments(self, kind: str) -> tuple[str, ...]:
        """Return the optional arguments of a type of queue."""
        match kind:
            case "classic":
                return self.classic_arguments
            case "stream":
                return self.stream_arguments
        return self.quorum_arguments

    def foreign_arguments(self, kind: str) -> frozenset[str]:
        """Return the optional arguments of the other types of queue alone."""
        every = {*self.classic_arguments, *self.quorum_arguments, *self.stream_arguments}
        return frozenset(every.difference(self.arguments(kind)))


_CLASSIC = (
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-queue-type",
    "x-queue-master-locator",
)
_QUORUM = (
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-overflow",
    "x-single-active-consumer",
    "x-queue-type",
    "x-quorum-initial-group-size",
    "x-delivery-limit",
    "x-message-ttl",
    "x-queue-leader-locator",
)

_STREAM = (
    "x-max-length-bytes",
    "x-queue-type",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-initial-cluster-size",
    "x-queue-leader-locator",
)
_FILTER_SIZE = "x-stream-filter-size-bytes"

_3_10 = Semantics(
    version="3.10.0",
    max_message_size=128 * MIB,
    anonymous=False,
    unknown_exchange_type="COMMAND_INVALID",
    local_random=False,
    classic_arguments=_CLASSIC,
    quorum_arguments=_QUORUM,
    stream_arguments=_STREAM,
    classic_consumer_arguments=("x-priority", "x-cancel-on-ha-failover"),
    stream_consumer_arguments=("x-stream-offset",),
    queue_versions=(1, 2),
    checks_queue_mode=True,
    compares_queue_types=False,
    transient_shared_queues=True,
    global_prefetch=True,
    queue_master_locator=True,
    delivery_limit=None,
    negative_limit_is_none=False,
    counts_requeues=True,
    counts_acquisitions=False,
    counts_from_zero=True,
    unlimited_requeue_to_end=True,
    quorum_priorities=Priorities.NONE,
    own_deaths=False,
    reply_addresses_route=False,
    consumer_timeout=ConsumerTimeout.IGNORED,
    operator_overflow=False,
    quorum_word="quorum",
    stream_words=("'{}'", "stream queues {}"),
    stream_filter_size=None,
    stream_filters=False,
    stream_rejects=False,
    compares_ages=False,
    message_containers=False,
)
_4_0 = replace(
    _3_10,
    version="4.0.0",
    max_message_size=16 * MIB,
    anonymous=True,
    unknown_exchange_type="PRECONDITION_FAILED",
    local_random=True,
    classic_arguments=(*_CLASSIC, "x-queue-leader-locator"),
    classic_consumer_arguments=("x-priority",),
    stream_consumer_arguments=(
        "x-stream-offset",
        "x-stream-filter",
        "x-stream-match-unfiltered",
    ),
    compares_queue_types=True,
    delivery_limit=20,
    negative_limit_is_none=True,
    counts_from_zero=False,
    quorum_priorities=Priorities.TWO_TO_ONE,
    own_deaths=True,
    operator_overflow=True,
    consumer_timeout=ConsumerTimeout.CLOSES_CHANNEL,
    stream_words=("stream {}", "stream {}"),
    stream_filter_size=f"Invalid value for  {_FILTER_SIZE}",
    stream_filters=True,
    stream_rejects=True,
    message_containers=True,
)
_4_3 = replace(
    _4_0,
    version="4.3.0",
    quorum_arguments=(
        *_QUORUM,
        "x-consumer-disconnected-timeout",
        "x-consumer-timeout",
        "x-delayed-retry-type",
        "x-delayed-retry-min",
        "x-delayed-retry-max",
    ),
    stream_arguments=(*_STREAM[:4], _FILTER_SIZE, *_STREAM[4:]),
    queue_versions=(2,),
    checks_queue_mode=False,
    global_prefetch=False,
    queue_master_locator=False,
    counts_requeues=False,
    counts_acquisitions=True,
    unlimited_requeue_to_end=False,
    quorum_priorities=Priorities.STRICT,
    reply_addresses_route=True,
    consumer_timeout=ConsumerTimeout.ENDS_DELIVERY,
    quorum_word='<<"quorum">>',
    stream_filter_size=f"Invalid value for {_FILTER_SIZE}",
    compares_ages=True,
)

VERSIONS: Mapping[str, Semantics] = {"3.10": _3_10, "4.0": _4_0, "4.3": _4_3}
DEFAULT_VERSION = "4.3"

# What RabbitMQ calls its deprecated features, and the rows that they are here.
DEPRECATED: Mapping[str, str] = {
    "global_qos": "global_prefetch",
    "queue_master_locator": "queue_master_locator",
    "transient_nonexcl_queues": "transient_shared_queues",
}
Permits: TypeAlias = Mapping[str, bool]


def semantics_of(version: str, permit: Permits | None = None) -> Semantics:
    """Return what holds for a version.

    Args:
        version: one of `VERSIONS`.
        permit: deprecated features that are permitted or not, against the version's default, as
            by `deprecated_features.permit.NAME` in RabbitMQ's configuration.

    Raises:
        ValueError: there is no such version or feature.
    """
    semantics = VERSIONS.get(version)
    if semantics is None:
        known = ", ".join(VERSIONS)
        raise ValueError(f"compatible must be one of {known}, got {choice_of(version)}")
    for name in permit or {}:
        if name not in DEPRECATED:
            known = ", ".join(DEPRECATED)
            raise ValueError(
                f"the deprecated features to permit are {known}, got {choice_of(name)}"
            )
    changes: dict[str, Any] = {
        DEPRECATED[name]: bool(allowed) for name, allowed in (permit or {}).items()
    }
    return replace(semantics, **changes)


def not_permitted(feature: str) -> AmqpError:
    """Return the error for the use of a deprecated feature; it closes the connection."""
    text = (
        f"Feature `{feature}` is deprecated.\n"
        "By default, this feature is not permitted anymore.\n"
        "The feature will be removed from a future major RabbitMQ version, regardless of the"
        " configuration; actual version to be determined.\n"
        "To continue using this feature when it is not permitted by default, set the following"
        " parameter in your configuration:\n"
        f'    "deprecated_features.permit.{feature} = true"'
    )
    # As RabbitMQ shortens what is too long for a reply text.
    name = "INTERNAL_ERROR"
    return AmqpError(name, text[: 252 - len(f"{name} - ")] + "...")
