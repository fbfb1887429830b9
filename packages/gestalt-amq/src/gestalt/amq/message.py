"""A message as a subscription's handler gets it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from gestalt.core import Message

from .properties import Delivery, Properties

T = TypeVar("T")

# What a message carries through its retry queues, and into its parking.
ATTEMPTS_HEADER = "x-gestalt-attempts"
EXCHANGE_HEADER = "x-gestalt-exchange"
ROUTING_KEY_HEADER = "x-gestalt-routing-key"

_NONE: Mapping[str, Any] = MappingProxyType({})


class BusMessage(Message[T]):
    """A message from a queue: its body, decoded, and what came with it.

    Attributes:
        source: the routing key that it was published with.
        exchange: the exchange that it was published to.
        properties: its AMQP properties.
        redelivered: it was delivered before, so that it may have been handled before.
        attempt: how often it is handled by now, this time included; 1 for the first.
    """

    __slots__ = ("attempt", "exchange", "properties", "redelivered")

    def __init__(self, body: T, type_id: int | None, delivery: Delivery) -> None:
        properties = delivery.properties
        headers = properties.headers
        self.properties: Properties = properties
        self.redelivered = delivery.redelivered
        self.attempt = 1
        self.exchange = delivery.exchange
        self.body = body
        self.type_id = type_id
        self.source = delivery.routing_key
        if headers:
            self.attempt = attempts_before(headers) + 1
            self.exchange = headers.get(EXCHANGE_HEADER, self.exchange)
            self.source = headers.get(ROUTING_KEY_HEADER, self.source)

    @property
    def routing_key(self) -> str:
        """The routing key that it was published with."""
        key: str = self.source
        return key

    @property
    def headers(self) -> Mapping[str, Any]:
        """Its application headers."""
        return self.properties.headers or _NONE


def attempts_before(headers: Mapping[str, Any] | None) -> int:
    """How often a message was handled before this delivery."""
    attempts = (headers or {}).get(ATTEMPTS_HEADER, 0)
    # Headers are the sender's to write: nonsense counts as never.
    return attempts if isinstance(attempts, int) and attempts > 0 else 0
