"""What is known of messages that failed and could not be moved, for when they come again."""

import asyncio
from dataclasses import replace
from typing import Any, NamedTuple

from gestalt.amq.headers import ATTEMPTS_HEADER
from gestalt.amq.wire import Delivery

from .failed_message import FailedMessage, LocalRetry

# So many are remembered; of more, those that were remembered first count as new.
MOST_REMEMBERED = 10_000
# For so long, in seconds: what comes later is another message that looks the same.
REMEMBERED = 3600.0


class Identity(NamedTuple):
    """What tells a message that is delivered again from others, as far as that can be told."""

    exchange: str
    routing_key: str
    message_id: str | None
    body: int


class Failure(NamedTuple):
    """What is known of a message.

    Attributes:
        headers: what tells of its failure.
        final: it is to be parked, and was not to be handled again.
        since: when it failed, by the loop's clock.
    """

    headers: dict[str, Any]
    final: bool
    since: float


class Unmoved:
    """Counts the attempts of messages on, that go back to their queue and are delivered again.

    A broker gives back what it was sent: what an attempt adds to a message is lost with the
    connection, and when the message is given back. It is remembered in this process only.
    """

    def __init__(self) -> None:
        self._known: dict[Identity, Failure] = {}

    def note(self, message: FailedMessage) -> None:
        """A message could not be moved by now."""
        key = _identity(message.delivery)
        self._known.pop(key, None)
        if len(self._known) >= MOST_REMEMBERED:  # pragma: no cover - ten thousand of them
            del self._known[next(iter(self._known))]
        self._known[key] = Failure(message.headers, message.delay is None, message.since)

    def forget(self, delivery: Delivery) -> None:
        """A message was moved."""
        if self._known:  # pragma: no cover - another one went back before
            self._known.pop(_identity(delivery), None)

    def recall(self, delivery: Delivery) -> Failure | None:
        """What is known of a message that is delivered again, None for nothing; and forget it."""
        if not self._known or isinstance(delivery, LocalRetry):
            return None
        failure = self._known.pop(_identity(delivery), None)
        now = asyncio.get_running_loop().time()
        return None if failure is None or now - failure.since > REMEMBERED else failure


def counted(delivery: Delivery, failure: Failure, hold: float) -> LocalRetry:
    """A message that is delivered again, with the attempts that its failure counted.

    Args:
        hold: for how long it may be held here from now on, in seconds.
    """
    attempts = failure.headers[ATTEMPTS_HEADER]
    own = {**(delivery.properties.headers or {}), ATTEMPTS_HEADER: attempts}
    until = asyncio.get_running_loop().time() + hold
    return LocalRetry(delivery, replace(delivery.properties, headers=own), until)


def _identity(delivery: Delivery) -> Identity:
    return Identity(
        delivery.exchange,
        delivery.routing_key,
        delivery.properties.message_id,
        hash(bytes(delivery.body)),
    )
