"""A message that could not be handled, until it is settled."""

import asyncio
from typing import Any

from gestalt.amq.link.consumer import Receiver, Session
from gestalt.amq.wire import Delivery, Properties

from .retry import LONGEST_WAIT_HERE
from .target_queue import TargetQueue

# What could not be moved for so long is given back, in seconds: brokers end a channel by which a
# message was not acknowledged for half an hour.
LONGEST_HOLD = 240.0


class LocalRetry(Delivery):
    """A message that is handled again without having been moved away and back.

    Attributes:
        until: when it is given back, by the loop's clock.
    """

    __slots__ = ("until",)

    def __init__(self, delivery: Delivery, properties: Properties, until: float) -> None:
        super().__init__(
            delivery.tag,
            delivery.redelivered,
            delivery.exchange,
            delivery.routing_key,
            properties,
            delivery.body,
        )
        self.header = delivery.header
        self.method = getattr(delivery, "method", b"")
        self.until = until


class FailedMessage:
    """A message that waits to be moved: unacknowledged, so that it cannot be lost.

    Args:
        session, receiver: by which it came.
        delivery: the message.
        headers: what tells of the failure.

    Attributes:
        target: where it is to go; None where it stays here.
        delay: after how long it is to be handled again, in seconds; None to park it.
        resumed: it is handled again, from here.
        since: when it failed, by the loop's clock.
        until: when it is given back.
        moving: since when it is being moved, None while it is not.
        effort: how much is done to get it through: 1 for a channel of its own, 2 for a bare copy.
    """

    __slots__ = (
        "delay",
        "delivery",
        "effort",
        "headers",
        "moving",
        "receiver",
        "resumed",
        "session",
        "since",
        "target",
        "until",
    )

    def __init__(
        self,
        session: Session,
        receiver: Receiver,
        delivery: Delivery,
        headers: dict[str, Any],
    ) -> None:
        self.session = session
        self.receiver = receiver
        self.delivery = delivery
        self.headers = headers
        self.target: TargetQueue | None = None
        self.delay: float | None = None
        self.resumed = False
        self.since = asyncio.get_running_loop().time()
        self.until = self.since + LONGEST_HOLD
        self.effort = 0
        self.moving: float | None = None

    def waits_here(self) -> bool:
        """Let it wait for its delay here; False where that would be too long for the broker."""
        until = self.since + LONGEST_WAIT_HERE
        if isinstance(self.delivery, LocalRetry):
            until = self.delivery.until
        if self.since + (self.delay or 0.0) > until:
            return False
        self.until = until
        return True
