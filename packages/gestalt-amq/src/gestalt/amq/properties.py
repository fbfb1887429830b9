"""The properties of an AMQP message, and a message as the broker delivers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TRANSIENT = 1
PERSISTENT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """The basic properties of AMQP 0-9-1 (section 1.8.3.1 of its reference).

    Args:
        headers: application headers: str, int, float, bool, bytes, None, datetime, lists, dicts.
        delivery_mode: 2 for persistent, 1 for transient.
        expiration: the time to live, in milliseconds, as a decimal string.
        timestamp: seconds since the epoch.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Mapping[str, Any] | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: int | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None


class Delivery:
    """A message as the broker handed it over.

    Attributes:
        tag: its number on its channel, None when the broker expects no acknowledgement.
        redelivered: it was delivered before, and not acknowledged.
        header: its properties as they came, encoded.
        unreadable: why its headers cannot be read, None if they can.
    """

    __slots__ = (
        "body",
        "exchange",
        "header",
        "properties",
        "redelivered",
        "routing_key",
        "tag",
        "unreadable",
    )

    def __init__(
        self,
        tag: int,
        redelivered: bool,
        exchange: str,
        routing_key: str,
        properties: Properties,
        body: bytes,
    ) -> None:
        self.tag = tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.routing_key = routing_key
        self.properties = properties
        self.body = body
        self.header = b""
        self.unreadable: str | None = None


class Got(Delivery):
    """A message that was asked for.

    Attributes:
        left: how many were left in the queue.
    """

    __slots__ = ("left",)

    left: int
