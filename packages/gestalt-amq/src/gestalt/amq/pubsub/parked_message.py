"""A parked message, as it is looked at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gestalt.amq.encoding import decode_body
from gestalt.amq.headers import (
    ERROR_HEADER,
    EXCHANGE_HEADER,
    PARKED_AT_HEADER,
    REASON_HEADER,
    ROUTING_KEY_HEADER,
    as_integer,
    as_text,
    error_text,
)
from gestalt.amq.message import attempts_before
from gestalt.amq.wire import Delivery
from gestalt.codecs import Codec, Codecs

from .copies import readable_headers

# What the broker means by the reasons that it gives.
_BY_BROKER = "parked by the broker: "
_REASONS = {
    "delivery_limit": "it was delivered as often as the queue's delivery_limit allows, and never "
    "settled: each time its consumer ended, or kept it for longer than the broker's consumer "
    "timeout",
    "expired": "its time to live was over",
    "maxlen": "the queue was full",
    "rejected": "a consumer rejected it",
}


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """A message that could not be handled, and why.

    Attributes:
        exchange, routing_key: where it was published to.
        attempts: how often it was handled.
        error: the class of the last exception, None when the broker parked it, as after too many
            deliveries.
        reason: what the exception said, or the broker's word.
        parked_at: when, in seconds since the epoch; None when the broker parked it.
        message_id: what its publisher called it.
        type: the name of its type.
        headers: without those that cannot be read.
        body: decoded; as it was sent where that cannot be.
        encoded: the body as it was sent.
        undecodable: why the body cannot be decoded, None if it can.
    """

    exchange: str
    routing_key: str
    attempts: int
    error: str | None
    reason: str
    parked_at: int | None
    message_id: str | None
    type: str | None
    content_type: str | None
    content_encoding: str | None
    headers: dict[str, Any]
    body: Any
    encoded: bytes
    undecodable: str | None

    @property
    def explanation(self) -> str:
        """The reason, in more words where the broker has only one."""
        meant = _REASONS.get(self.reason.removeprefix(_BY_BROKER))
        return f"{self.reason} ({meant})" if meant and self.error is None else self.reason


def parked_message(delivery: Delivery, codec: Codec | Codecs) -> ParkedMessage:
    """Read a delivery from a parking; whatever it holds, something can be said of it."""
    undecodable = None
    body: Any
    try:
        body, _ = decode_body(codec, delivery)
    except Exception as error:
        # Most are parked for just that.
        body, undecodable = delivery.body, error_text(error)
    properties = delivery.properties
    headers = readable_headers(delivery)
    death = _death(headers)
    reason = as_text(headers.get(REASON_HEADER))
    if reason is None:
        reason = f"{_BY_BROKER}{as_text(death.get('reason')) or 'unknown'}"
    keys = death.get("routing-keys")
    key = as_text(keys[0]) if isinstance(keys, list) and keys else None
    return ParkedMessage(
        exchange=as_text(headers.get(EXCHANGE_HEADER))
        or as_text(death.get("exchange"))
        or delivery.exchange,
        routing_key=as_text(headers.get(ROUTING_KEY_HEADER)) or key or delivery.routing_key,
        attempts=attempts_before(headers),
        error=as_text(headers.get(ERROR_HEADER)),
        reason=reason,
        parked_at=as_integer(headers.get(PARKED_AT_HEADER)),
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        message_id=properties.message_id,
        type=properties.type,
        headers=headers,
        body=body,
        encoded=delivery.body,
        undecodable=undecodable,
    )


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the broker says of how it moved the message last, if anything."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return deaths[0]
    return {}
