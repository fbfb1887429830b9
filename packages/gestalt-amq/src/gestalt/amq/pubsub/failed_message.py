"""A message that could not be handled, until it is settled."""

import asyncio
from typing import Any

from gestalt.amq.link.consumer import Receiver, Session
from gestalt.amq.wire import Delivery, Properties

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
        self.method = delivery.method
        self.until = until


class FailedMessage:
    """A message that waits to be moved: unacknowledged, so that it cannot be lost.

    Args:
        session, receiver: by which it came.
        delivery: the message.
        target: where it is to go.
        headers: what tells of the failure.
        delay: after how long it is to be handled again, in seconds; None to park it.

    Attributes:
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
        target: TargetQueue,
        headers: dict[str, Any],
        delay: float | None,
    ) -> None:
        self.session = session
        self.receiver = receiver
        self.delivery = delivery
        self.target = target
        self.headers = headers
        self.delay = delay
        self.since = asyncio.get_running_loop().time()
        self.until = self.since + LONGEST_HOLD
        self.effort = 0
        self.moving: float | None = None
