"""Messages that could not be handled: looking at them, and sending them back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .errors import LinkLost
from .failures import (
    ERROR_HEADER,
    PARKED_AT_HEADER,
    QUEUE_HEADER,
    REASON_HEADER,
)
from .link import Channel
from .message import ATTEMPTS_HEADER, EXCHANGE_HEADER, ROUTING_KEY_HEADER, attempts_before
from .properties import Delivery
from .supervisor import Supervisor


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
        body: as it was sent, encoded.
    """

    exchange: str
    routing_key: str
    attempts: int
    error: str | None
    reason: str
    parked_at: int | None
    content_type: str | None
    content_encoding: str | None
    headers: dict[str, Any]
    body: bytes


class Parking:
    """The parked messages of one queue; made by `Bus.parked`."""

    def __init__(self, supervisor: Supervisor, queue: str, parking: str) -> None:
        self._supervisor = supervisor
        self._queue = queue
        self._parking = parking

    async def list(self, limit: int = 100) -> list[ParkedMessage]:
        """Look at the first `limit` messages, which stay where they are.

        Raises:
            TopologyError: the queue has no parking.
            LinkLost: the connection was lost.
        """
        channel = await self._channel()
        try:
            found: list[ParkedMessage] = []
            while len(found) < limit and (delivery := await channel.get(self._parking)):
                found.append(_parked(delivery))
            return found
        finally:
            # What was taken and not acknowledged goes back.
            await self._done(channel)

    async def replay(
        self,
        limit: int | None = None,
        *,
        where: Callable[[ParkedMessage], bool] | None = None,
    ) -> int:
        """Send messages back to their queue, as if they had never been handled.

        Each is published with confirmation before it is taken out of the parking.

        Args:
            limit: how many at most; None for all that are there now.
            where: chooses; all by default. The others stay.

        Returns:
            how many were sent back.

        Raises:
            TopologyError: the queue has no parking.
            Unroutable: the queue itself is gone.
            LinkLost: the connection was lost; what was sent back by then is counted nowhere.
        """
        channel = await self._channel()
        count = 0
        try:
            while limit is None or count < limit:
                delivery = await channel.get(self._parking)
                if delivery is None:
                    break
                if where is not None and not where(_parked(delivery)):
                    continue
                headers = dict(delivery.properties.headers or {})
                for name in (
                    ATTEMPTS_HEADER,
                    ERROR_HEADER,
                    REASON_HEADER,
                    PARKED_AT_HEADER,
                    QUEUE_HEADER,
                    "x-death",
                    "x-first-death-exchange",
                    "x-first-death-queue",
                    "x-first-death-reason",
                    "x-delivery-count",
                    "x-gestalt-publish",
                ):
                    headers.pop(name, None)
                await channel.publish(
                    "",
                    self._queue,
                    # The broker checks a user_id against the connection's, not the sender's.
                    replace(delivery.properties, headers=headers, user_id=None),
                    delivery.body,
                    mandatory=True,
                )
                channel.ack(delivery.tag)
                count += 1
        finally:
            await self._done(channel)
        return count

    async def _channel(self) -> Channel:
        link = await self._supervisor.wait_link()
        return await link.open_channel(confirms=True)

    @staticmethod
    async def _done(channel: Channel) -> None:
        # It has ended by itself, which gives everything back just as well.
        with contextlib.suppress(LinkLost):
            await channel.close()


def _parked(delivery: Delivery) -> ParkedMessage:
    properties = delivery.properties
    headers = dict(properties.headers or {})
    exchange, routing_key = delivery.exchange, delivery.routing_key
    reason = headers.get(REASON_HEADER)
    if reason is None:
        deaths = headers.get("x-death") or [{}]
        reason = f"parked by the broker: {deaths[0].get('reason', 'unknown')}"
        exchange = deaths[0].get("exchange", exchange)
        routing_key = (deaths[0].get("routing-keys") or [routing_key])[0]
    return ParkedMessage(
        exchange=headers.get(EXCHANGE_HEADER, exchange),
        routing_key=headers.get(ROUTING_KEY_HEADER, routing_key),
        attempts=attempts_before(headers),
        error=headers.get(ERROR_HEADER),
        reason=str(reason),
        parked_at=headers.get(PARKED_AT_HEADER),
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        headers=headers,
        body=delivery.body,
    )
