"""A message that could not be handled, until it is settled."""

from __future__ import annotations

import asyncio
from typing import Any

from gestalt.amq.link.consumer import Intake, Session
from gestalt.amq.wire import Delivery, Properties

from .mover import Place

# What could not be moved for so long is given back, in seconds: brokers end a channel by which a
# message was not acknowledged for half an hour.
LONGEST_HOLD = 240.0


class Kept(Delivery):
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
        self.until = until


class Held:
    """A message that waits to be moved: unacknowledged, so that it cannot be lost.

    Attributes:
        place: where it is to go.
        headers: what tells of the failure.
        delay: after how long it is to be handled again; None to park it.
        since: when it failed, by the loop's clock.
        until: when it is given back.
        care: how much is done to get it through: 1 for a channel of its own, 2 for a bare copy.
    """

    __slots__ = (
        "care",
        "delay",
        "delivery",
        "headers",
        "intake",
        "moving",
        "place",
        "session",
        "since",
        "until",
    )

    def __init__(
        self,
        session: Session,
        intake: Intake,
        delivery: Delivery,
        place: Place,
        headers: dict[str, Any],
        delay: float | None,
    ) -> None:
        self.session = session
        self.intake = intake
        self.delivery = delivery
        self.place = place
        self.headers = headers
        self.delay = delay
        self.since = asyncio.get_running_loop().time()
        self.until = self.since + LONGEST_HOLD
        self.care = 0
        self.moving: float | None = None
