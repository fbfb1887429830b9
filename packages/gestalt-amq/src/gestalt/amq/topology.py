"""What is declared at the broker: immutable values, declared again on every connection."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import AmqError, TopologyError
from .link.interface import Channel, Link

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


def _named(what: str, error: TopologyError) -> TopologyError:
    hint = ""
    if error.code == 406:
        hint = "; it exists with other properties: use those, or delete it, or declare=False"
    elif error.code == 403:
        hint = "; the user may not configure it: permit that, or let somebody else declare it"
    return TopologyError(f"{what}: {error}{hint}", error.code)


async def declare_exchange(channel: Channel, exchange: Exchange) -> None:
    """Declare an exchange, or make sure that it exists.

    Raises:
        TopologyError: the broker refused; the channel has ended by that.
        LinkLost: the connection ended.
    """
    if exchange.predeclared:
        return
    try:
        await channel.declare_exchange(
            exchange.name,
            exchange.type,
            durable=exchange.durable,
            auto_delete=exchange.auto_delete,
            arguments=exchange.arguments,
            passive=not exchange.declare,
        )
    except TopologyError as error:
        raise _named(f"exchange {exchange.name!r}", error) from error


async def declare_shared(channel: Channel, queue: Queue) -> str:
    """Declare a shared queue and its parking, or make sure that it exists; return its name."""
    try:
        if queue.declare:
            await channel.declare_queue(queue.parking_name, arguments=parking_arguments())
        return await channel.declare_queue(
            queue.name, arguments=queue.all_arguments(), passive=not queue.declare
        )
    except TopologyError as error:
        raise _named(f"queue {queue.name!r}", error) from error


async def declare_aside(
    link: Link, name: str, arguments: Mapping[str, Any], *, exclusive: bool, given: bool
) -> None:
    """Declare a queue on a channel for that alone: a refusal ends it, and no other.

    Args:
        exclusive: it is this connection's, and vanishes with it.
        given: one that exists is used as it is.

    Raises:
        TopologyError: the broker refused.
        LinkLost: the connection ended.
    """
    if len(name.encode("utf-8", "surrogateescape")) > 255:
        raise TopologyError(f"queue {name!r}: AMQP's names have at most 255 bytes")
    if given and await _exists(link, name):
        return
    channel = await link.open_channel()
    try:
        await channel.declare_queue(
            name, durable=not exclusive, exclusive=exclusive, arguments=arguments
        )
    except TopologyError as error:
        raise _named(f"queue {name!r}", error) from error
    finally:
        with contextlib.suppress(AmqError):
            await channel.close()


async def _exists(link: Link, name: str) -> bool:
    channel = await link.open_channel()
    try:
        await channel.declare_queue(name, passive=True)
    except TopologyError as error:
        if error.code != 404:
            raise _named(f"queue {name!r}", error) from error
        return False
    finally:
        with contextlib.suppress(AmqError):
            await channel.close()
    return True
