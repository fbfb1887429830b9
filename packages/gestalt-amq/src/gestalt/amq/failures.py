"""What becomes of a message that could not be handled: tried again later, or parked."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from .errors import AmqError
from .link import Link
from .message import ATTEMPTS_HEADER, EXCHANGE_HEADER, ROUTING_KEY_HEADER, attempts_before
from .properties import PERSISTENT, Delivery, Properties
from .publisher import Publisher
from .retry import Retry
from .supervisor import Supervisor
from .topology import parking_arguments, private_retry_arguments, retry_arguments

QUEUE_HEADER = "x-gestalt-queue"
REASON_HEADER = "x-gestalt-reason"
ERROR_HEADER = "x-gestalt-error"
PARKED_AT_HEADER = "x-gestalt-parked-at"
# Headers are for people to read: a text of megabytes helps nobody.
MAX_REASON = 2000


class Failures:
    """Moves the messages of one queue out of its way, and only then lets them go.

    A message that failed is published to a queue of its own delay, from which the broker moves it
    back when its time has come; or to the queue of parked messages. Each with confirmation, before
    the original is acknowledged: a crash in between gives a duplicate, never a loss.

    Args:
        publisher: publishes to the default exchange.
        supervisor: the connection of the subscription.
        private: the queue vanishes with its subscriber, and so do its retry queues.
        parking: the queue of parked messages; None if there is none.
    """

    def __init__(
        self,
        publisher: Publisher,
        supervisor: Supervisor,
        retry: Retry | None,
        *,
        private: bool,
        parking: str | None,
    ) -> None:
        self._publisher = publisher
        self._supervisor = supervisor
        self._retry = retry
        self._private = private
        self._parking = parking
        # What was declared on the present link.
        self._link: Link | None = None
        self._declared: set[str] = set()

    def delay(self, delivery: Delivery, *, lasting: bool) -> float | None:
        """Seconds until the next attempt, None when there is none."""
        attempt = attempts_before(delivery.properties.headers) + 1
        if lasting or self._retry is None or attempt >= self._retry.attempts:
            return None
        return self._retry.delay_after(attempt)

    async def again(
        self, delivery: Delivery, queue: str, delay: float, error: BaseException
    ) -> None:
        """Have it delivered again after `delay` seconds.

        Raises:
            AmqError: it could not be moved, and is still where it was.
        """
        milliseconds = max(1, round(delay * 1000))
        name = f"{queue}.retry.{milliseconds}"
        arguments = private_retry_arguments if self._private else retry_arguments
        await self._declare(name, arguments(queue, milliseconds))
        await self._move(delivery, name, self._headers(delivery, queue, error))

    async def park(self, delivery: Delivery, queue: str, error: BaseException) -> bool:
        """Move it to the parked messages, with the reason; False when there is no such place.

        Raises:
            AmqError: it could not be moved, and is still where it was.
        """
        if self._parking is None:
            return False
        await self._declare(self._parking, parking_arguments())
        headers = self._headers(delivery, queue, error)
        headers[PARKED_AT_HEADER] = int(time.time())
        await self._move(delivery, self._parking, headers)
        return True

    async def _declare(self, name: str, arguments: dict[str, Any]) -> None:
        link = await self._supervisor.wait_link()
        if link is not self._link:
            self._link = link
            self._declared.clear()
        if name in self._declared:
            return
        # On a channel of its own: a refusal would end the one that delivers.
        channel = await link.open_channel()
        private = self._private and name != self._parking
        await channel.declare_queue(
            name, durable=not private, exclusive=private, arguments=arguments
        )
        await channel.close()
        self._declared.add(name)

    async def _move(self, delivery: Delivery, queue: str, headers: dict[str, Any]) -> None:
        properties: Properties = replace(
            delivery.properties,
            headers=headers,
            delivery_mode=PERSISTENT,
            # Its own time to live would end the wait early, and the parking, too.
            expiration=None,
            # The broker checks it against the connection's user, which is not the sender's.
            user_id=None,
        )
        try:
            await self._publisher.publish_encoded(delivery.body, properties, queue, mandatory=True)
        except AmqError:
            # It may have been deleted meanwhile.
            self._declared.discard(queue)
            raise

    @staticmethod
    def _headers(delivery: Delivery, queue: str, error: BaseException) -> dict[str, Any]:
        headers = dict(delivery.properties.headers or {})
        headers[ATTEMPTS_HEADER] = attempts_before(headers) + 1
        headers.setdefault(EXCHANGE_HEADER, delivery.exchange)
        headers.setdefault(ROUTING_KEY_HEADER, delivery.routing_key)
        headers[QUEUE_HEADER] = queue
        headers[ERROR_HEADER] = type(error).__qualname__
        headers[REASON_HEADER] = str(error)[:MAX_REASON]
        # What the broker itself adds while a message travels is not for the next journey.
        for name in (
            "x-death",
            "x-first-death-exchange",
            "x-first-death-queue",
            "x-first-death-reason",
            "x-delivery-count",
            "x-gestalt-publish",
        ):
            headers.pop(name, None)
        return headers
