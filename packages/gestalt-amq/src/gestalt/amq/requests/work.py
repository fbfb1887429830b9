"""A request that a responder works on."""

import asyncio
from typing import Any

from gestalt.amq.headers import WINDOW_HEADER, as_integer
from gestalt.amq.link.consumer import Receiver
from gestalt.amq.wire import Delivery
from gestalt.codecs import Codec


class Work:
    """A request from its delivery to its last reply.

    Attributes:
        receiver: by which channel it came, and is acknowledged.
        delivery: the request as it was delivered last.
        deadline: when its handler is cancelled, by the loop's clock.
        codec: for the replies: the one that the caller used.
        cancelled: its caller has given up.
        late: its deadline has passed, and its handler is cancelled for it.
        replied: its one reply was sent.
        settled: it has its outcome, and is acknowledged.
        items: how many replies of its stream were sent.
    """

    __slots__ = (
        "_credit",
        "_more",
        "cancelled",
        "codec",
        "deadline",
        "delivery",
        "items",
        "late",
        "receiver",
        "replied",
        "settled",
        "streams",
        "task",
    )

    def __init__(
        self, receiver: Receiver, delivery: Delivery, deadline: float, codec: Codec
    ) -> None:
        self.receiver = receiver
        self.delivery = delivery
        self.deadline = deadline
        self.codec = codec
        self.task: asyncio.Task[Any] | None = None
        self.cancelled = False
        self.late = False
        self.replied = False
        self.settled = False
        self.items = 0
        headers = delivery.properties.headers
        given = headers.get(WINDOW_HEADER) if headers else None
        window = None if given is None else as_integer(given)
        self.streams = window is not None
        self._credit = window or 0
        self._more: asyncio.Event | None = None

    @property
    def correlation_id(self) -> str | None:
        """What tells the request from others of its caller."""
        return self.delivery.properties.correlation_id

    def add_credit(self, credit: int) -> None:
        """The caller takes so many replies more."""
        self._credit += credit
        if self._more is not None:  # pragma: no branch - nobody waits for it yet
            self._more.set()

    async def wait_credit(self) -> None:
        """Wait until the caller takes a reply more."""
        while self._credit < 1:
            self._more = asyncio.Event()
            await self._more.wait()

    def spend_credit(self) -> None:
        """A reply more is sent."""
        self._credit -= 1
