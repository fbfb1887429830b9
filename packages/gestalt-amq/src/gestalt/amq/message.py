"""A message as a subscription's handler gets it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from gestalt.amq.wire import Delivery, Properties
from gestalt.core import Message, MessageBatch, TransportMessage

from .headers import ATTEMPTS_HEADER, EXCHANGE_HEADER, ROUTING_KEY_HEADER, as_integer, as_text

T_co = TypeVar("T_co", covariant=True)

MAX_ATTEMPTS = 2**31 - 1

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message as the broker delivered it.

    Attributes:
        exchange: by which this delivery came, and `routing_key` with it: of one that was retried,
            those of its way back from the retry queue.
        redelivered: it was delivered before, and not acknowledged.
        delivery_tag: its number on its channel.
        consumer_tag: the consumer that it came to.
        properties: all that AMQP has, the headers among them.
        body: as it was sent, encoded.
        unreadable: why its headers cannot be read, and are left out; None if they can.
    """

    exchange: str
    routing_key: str
    redelivered: bool
    delivery_tag: int
    consumer_tag: str | None
    properties: Properties
    body: bytes
    unreadable: str | None


class BusMessage(Message[T_co], TransportMessage):
    """A message from a queue: its body, decoded, and what came with it.

    Attributes:
        source: the routing key that it was published with.
        exchange: the exchange that it was published to.
        properties: its AMQP properties.
        redelivered: it was delivered before, so that it may have been handled before.
        attempt: how often it is handled by now, this time included; 1 for the first.
    """

    __slots__ = ("_delivery", "attempt", "exchange", "properties", "redelivered")

    def __init__(self, body: T_co, type_id: int | None, delivery: Delivery) -> None:
        properties = delivery.properties
        headers = properties.headers
        self._delivery = delivery
        self.properties: Properties = properties
        self.redelivered: bool = delivery.redelivered
        self.attempt: int = 1
        self.exchange: str = delivery.exchange
        self.body = body
        self.type_id = type_id
        self.source = delivery.routing_key
        if headers:
            if ATTEMPTS_HEADER in headers:
                self.attempt = attempts_before(headers) + 1
            if isinstance(exchange := headers.get(EXCHANGE_HEADER), str):
                self.exchange = exchange
            if isinstance(routing_key := headers.get(ROUTING_KEY_HEADER), str):
                self.source = routing_key

    @property
    def routing_key(self) -> str:
        """The routing key that it was published with."""
        key: str = self.source
        return key

    @property
    def raw(self) -> RawMessage:
        """What the broker delivered, before anything of it was read."""
        delivery = self._delivery
        return RawMessage(
            delivery.exchange,
            delivery.routing_key,
            delivery.redelivered,
            delivery.tag,
            delivery.consumer_tag,
            delivery.properties,
            delivery.body,
            delivery.unreadable,
        )

    @property
    def headers(self) -> Mapping[str, Any]:
        """Its application headers."""
        return self.properties.headers or _NONE


class BusBatch(MessageBatch[T_co]):
    """Messages from a queue, for a handler that takes many at a time."""

    __slots__ = ()

    _messages: Sequence[BusMessage[T_co]]

    def __iter__(self) -> Iterator[BusMessage[T_co]]:
        return iter(self._messages)

    def __getitem__(self, index: int) -> BusMessage[T_co]:
        return self._messages[index]


def describe_message(delivery: Delivery) -> str:
    """A delivery's message, for a line of a log; bounded, as its sender chose the words."""
    properties = delivery.properties
    headers = properties.headers or {}
    key = as_text(headers.get(ROUTING_KEY_HEADER))
    told = [
        f"{name} {value[:100]!r}"
        for name, value in (
            ("message id", properties.message_id),
            ("type", properties.type),
            ("routing key", delivery.routing_key if key is None else key),
        )
        if value is not None
    ]
    return f"message ({', '.join(told)}, attempt {attempts_before(headers) + 1})"


def attempts_before(headers: Mapping[str, Any] | None) -> int:
    """How often a message was handled before this delivery."""
    attempts = as_integer((headers or {}).get(ATTEMPTS_HEADER))
    # More than a header can carry counts as the most.
    return min(max(attempts or 0, 0), MAX_ATTEMPTS - 1)
