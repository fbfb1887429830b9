"""What was delivered to a subscription, until a handler is called with it."""

import asyncio
from collections import deque

from gestalt.amq.wire import Delivery

from .failed_message import LocalRetry
from .session import SubscriptionSession


class Backlog:
    """Deliveries in the order in which they came, and how many of them are being handled.

    Attributes:
        entries: those that wait, each with the session that it came by.
        running: how many are handled now.
        begun: how many were ever begun, without those that are handled now.
    """

    def __init__(self) -> None:
        self.entries: deque[tuple[SubscriptionSession, Delivery]] = deque()
        self.running = 0
        self.begun = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def busy(self) -> bool:
        """Whether anything waits, or is handled."""
        return bool(self.entries) or self.running > 0

    def put(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """Add what came, and wake one of those that wait for it."""
        self.entries.append((session, delivery))
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    async def wait(self) -> None:
        """Wait until there is something."""
        while not self.entries:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def give_back(self, session: SubscriptionSession) -> int:
        """Return to the queue what came by a session and was not begun; how many that are."""
        kept: list[tuple[SubscriptionSession, Delivery]] = []
        count = 0
        for entry in self.entries:
            if entry[0] is session and not isinstance(entry[1], LocalRetry):
                session.receiver.acks.nack(entry[1].tag)
                count += 1
            else:
                kept.append(entry)
        self.begun += count
        self.entries.clear()
        self.entries.extend(kept)
        return count
