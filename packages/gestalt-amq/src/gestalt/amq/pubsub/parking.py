"""Messages that could not be handled: looking at them, and sending them back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gestalt.amq.errors import (
    AmqError,
    BatchError,
    LinkLost,
    OutcomeUnknown,
    PublishError,
    Rejected,
    TopologyError,
    Unroutable,
)
from gestalt.amq.headers import (
    ATTEMPTS_HEADER,
    ERROR_HEADER,
    EXCHANGE_HEADER,
    LEFT_OUT_HEADER,
    PARKED_AT_HEADER,
    QUEUE_HEADER,
    REASON_HEADER,
    ROUTING_KEY_HEADER,
    as_integer,
    as_text,
    error_text,
)
from gestalt.amq.link.interface import Channel, Link
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.message import attempts_before, describe_message
from gestalt.amq.wire import Delivery

from .copies import copy_properties, readable_headers

# For the confirmation of what is sent back, in seconds.
CONFIRM_TIMEOUT = 30.0
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
        headers: without those that cannot be read.
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

    @property
    def explanation(self) -> str:
        """The reason, in more words where the broker has only one."""
        meant = _REASONS.get(self.reason.removeprefix(_BY_BROKER))
        return f"{self.reason} ({meant})" if meant and self.error is None else self.reason


class Parking:
    """The parked messages of one queue; made by `Bus.parked`.

    Each of its calls has a connection of its own, so that whatever the messages hold, nothing
    else is hurt.

    Args:
        connection: makes a connection.
        queue: where messages are sent back to.
        parking: the queue of those that are parked.
    """

    def __init__(self, connection: Callable[[], Supervisor], queue: str, parking: str) -> None:
        self._connection = connection
        self._queue = queue
        self._parking = parking

    async def list(self, limit: int = 100) -> list[ParkedMessage]:
        """Look at the first `limit` messages, which stay where they are.

        Raises:
            TopologyError: the queue has no parking.
            ConnectError: there was no connection within the start's time.
            LinkLost: the connection was lost.
        """
        async with self._link() as link, _channel(link) as channel:
            found: list[ParkedMessage] = []
            # What is taken and not acknowledged goes back.
            while len(found) < limit and (delivery := await channel.get(self._parking)):
                found.append(_parked(delivery))
            return found

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
            BatchError: some could not be sent back, and stay parked; all others were.
            ConnectError: there was no connection within the start's time.
            LinkLost: the connection was lost; what was sent back by then is counted nowhere.
        """
        count = 0
        stayed: list[PublishError] = []
        left: int | None = None
        async with self._link() as link, _channel(link) as channel:
            # Those that are parked again meanwhile are not sent back again and again.
            while left != 0 and (limit is None or count + len(stayed) < limit):
                delivery = await channel.get(self._parking)
                if delivery is None:
                    break
                left = delivery.left if left is None else left - 1
                if where is not None and not where(_parked(delivery)):
                    continue
                try:
                    await self._send_back(link, delivery)
                except (Unroutable, LinkLost):
                    raise
                except (AmqError, ValueError, TypeError) as error:
                    rejected = Rejected(f"{describe_message(delivery)}: {error_text(error)}")
                    rejected.__cause__ = error
                    stayed.append(rejected)
                else:
                    channel.ack(delivery.tag)
                    count += 1
        if stayed:
            raise BatchError(
                f"{len(stayed)} messages could not be sent back to {self._queue!r} and stay "
                f"parked; {count} were sent back",
                stayed,
            )
        return count

    async def _send_back(self, link: Link, delivery: Delivery) -> None:
        # By a channel for it alone: a refusal that ends it is this message's own.
        async with _channel(link) as channel:
            properties = replace(
                copy_properties(delivery, {}, channel.frame_limit, without=_OF_PARKING),
                delivery_mode=delivery.properties.delivery_mode,
                expiration=delivery.properties.expiration,
            )
            try:
                async with asyncio.timeout(CONFIRM_TIMEOUT):
                    await channel.publish(
                        "", self._queue, properties, delivery.body, mandatory=True
                    )
            except TimeoutError as error:
                raise OutcomeUnknown(
                    f"it was sent, and not confirmed within {CONFIRM_TIMEOUT:.0f} s"
                ) from error
            except LinkLost as error:
                if channel.closed.done() and isinstance(channel.closed.result(), TopologyError):
                    raise Rejected(str(channel.closed.result())) from error
                raise

    @contextlib.asynccontextmanager
    async def _link(self) -> AsyncIterator[Link]:
        async with self._connection() as supervisor:
            yield await supervisor.wait_link()


# What a parked message carries, and one that is sent back does not.
_OF_PARKING = (
    ATTEMPTS_HEADER,
    ERROR_HEADER,
    REASON_HEADER,
    PARKED_AT_HEADER,
    QUEUE_HEADER,
    LEFT_OUT_HEADER,
)


@contextlib.asynccontextmanager
async def _channel(link: Link) -> AsyncIterator[Channel]:
    channel = await link.open_channel(confirms=True)
    try:
        yield channel
    finally:
        # It has ended by itself, which gives everything back just as well.
        with contextlib.suppress(AmqError):
            await channel.close()


def _parked(delivery: Delivery) -> ParkedMessage:
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
        headers=headers,
        body=delivery.body,
    )


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the broker says of how it moved the message last, if anything."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return deaths[0]
    return {}
