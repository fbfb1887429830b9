"""What is declared at the broker: immutable values, declared again on every connection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .arguments import EXCHANGE_ARGUMENTS, QUEUE_ARGUMENTS, check_arguments

EXCHANGE_TYPES = ("topic", "direct", "fanout", "headers")
"""Those that every broker has."""

QueueType = Literal["quorum", "classic", "stream"]


def _check_name(kind: str, name: str) -> None:
    # AMQP 0-9-1 carries names as short strings.
    if len(name.encode()) > 255:
        raise ValueError(f"the name of a {kind} has at most 255 bytes, got {name!r}")


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange: where messages are published.

    Args:
        name: its name; "" is the default exchange, whose routing keys are names of queues.
        type: "topic", "direct", "fanout", "headers", or one that a plugin brings, "x-...".
        durable: it outlives a restart of the broker.
        auto_delete: it vanishes when its last binding does.
        arguments: further arguments of the declaration, such as an alternate-exchange.
        declare: declare it; with False it must exist, whatever its type is.
    """

    name: str
    type: str = "topic"
    durable: bool = True
    auto_delete: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    declare: bool = True

    def __post_init__(self) -> None:
        _check_name("exchange", self.name)
        if self.type not in EXCHANGE_TYPES and not str(self.type).startswith("x-"):
            raise ValueError(
                'the type of an exchange is "topic", "direct", "fanout" or "headers", or that of a '
                f'plugin, which begins with "x-"; got {self.type!r}'
            )
        check_arguments(f"exchange {self.name!r}", self.arguments, EXCHANGE_ARGUMENTS)

    @property
    def predeclared(self) -> bool:
        """Whether every broker has it by itself."""
        return self.name == "" or self.name.startswith("amq.")


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue that subscribers share, by its name.

    Args:
        name: its name.
        type: "quorum" (replicated), "classic" or "stream".
        arguments: further arguments of the declaration: x-max-length, x-message-ttl,
            x-single-active-consumer and so on. An argument of None takes away one that
            Gestalt would give.
        parking: where messages go that cannot be handled: the name of a queue, None for
            "<name>.parked".
        delivery_limit: how often the broker delivers a message of a quorum queue that is never
            settled, such as one that kills its consumer, before it parks it.
        declare: declare it; with False it must exist, whatever its arguments are.
    """

    name: str
    type: QueueType = "quorum"
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    parking: str | None = None
    delivery_limit: int = 20
    declare: bool = True

    def __post_init__(self) -> None:
        _check_name("queue", self.name)
        if not self.name:
            raise ValueError("a shared queue needs a name")
        if self.type not in ("quorum", "classic", "stream"):
            raise ValueError(f"type is quorum, classic or stream, got {self.type!r}")
        if self.delivery_limit < 1:
            raise ValueError(f"delivery_limit must be at least 1, got {self.delivery_limit}")
        check_arguments(f"queue {self.name!r}", self.arguments, QUEUE_ARGUMENTS)

    @property
    def parking_name(self) -> str:
        """The queue of its messages that could not be handled."""
        return self.parking or f"{self.name}.parked"

    def all_arguments(self) -> dict[str, Any]:
        """The arguments of the declaration."""
        arguments: dict[str, Any] = {"x-queue-type": self.type}
        if self.type != "stream":
            arguments |= {
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": self.parking_name,
            }
        if self.type == "quorum":
            arguments |= {
                "x-delivery-limit": self.delivery_limit,
                # Dead letters are moved with confirmation; the strategy insists on this overflow.
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            }
        arguments |= self.arguments
        return {key: value for key, value in arguments.items() if value is not None}


@dataclass(frozen=True, slots=True, init=False)
class Binding:
    """What a queue, or an exchange, takes from an exchange.

    Args:
        exchange: where it takes from: a name, for a durable topic exchange, or an Exchange.
        patterns: binding keys, one or several: words and dots, * for one word, # for any number;
            "" where the exchange is a fanout or goes by headers. Without any, nothing is bound.
        to: who takes it: the name of a durable quorum queue, a Queue or an Exchange; None for the
            private queue of a subscription.
        arguments: of the bindings, such as x-match for an exchange of headers.

    Raises:
        ValueError: the default exchange is bound, which cannot be.
    """

    exchange: Exchange
    patterns: tuple[str, ...]
    to: "Queue | Exchange | None"
    arguments: Mapping[str, Any] = field(hash=False)

    def __init__(
        self,
        exchange: str | Exchange,
        patterns: str | Sequence[str],
        to: "str | Queue | Exchange | None" = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(to, Exchange) and not to.name:
            raise ValueError("the default exchange cannot be bound")
        # Frozen: what is given is put into one form here.
        put = object.__setattr__
        put(self, "exchange", Exchange(exchange) if isinstance(exchange, str) else exchange)
        put(self, "patterns", (patterns,) if isinstance(patterns, str) else tuple(patterns))
        put(self, "to", Queue(to) if isinstance(to, str) else to)
        put(self, "arguments", arguments or {})


def parking_arguments() -> dict[str, Any]:
    """The arguments of a queue of parked messages."""
    # RabbitMQ 4 would otherwise drop what has been looked at twenty times.
    return {"x-queue-type": "quorum", "x-delivery-limit": 2**31 - 1}


def retry_arguments(queue: str, delay_ms: int) -> dict[str, Any]:
    """The arguments of a queue that holds messages for `delay_ms`, then gives them to `queue`."""
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": delay_ms,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def private_retry_arguments(queue: str, delay_ms: int) -> dict[str, Any]:
    """The same for a private queue, which is lost with its subscriber anyway."""
    return {
        "x-message-ttl": delay_ms,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
    }
