"""What was delivered to a subscription, until a handler is called with it."""

import asyncio
from collections import deque

from gestalt.amq.wire import Delivery

from .failed_message import LocalRetry
from .prefetch import WaitingTime
from .session import SubscriptionSession


class Backlog:
    """Deliveries in the order in which they came, and how many of them are being handled.

    Attributes:
        entries: those that wait, each with the session that it came by.
        running: how many are handled now.
        begun: how many were ever begun, without those that are handled now.
        received: how many came from the broker, and how many bytes their bodies have.
    """

    def __init__(self) -> None:
        self.entries: deque[tuple[SubscriptionSession, Delivery]] = deque()
        self.running = 0
        self.begun = 0
        self.received = 0
        self.received_bytes = 0
        self._idle: asyncio.Future[None] | None = None
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._waiting_time = WaitingTime()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self.entries)

    @property
    def busy(self) -> bool:
        """Whether anything waits, or is handled."""
        return self.waiting > 0 or self.running > 0

    def put(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """Add what came, and wake one of those that wait for it."""
        self.received += 1
        self.received_bytes += len(delivery.body)
        self.entries.append((session, delivery))
        if self._waiters:
            self.wake()

    def put_back(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """Add what waited here to be handled again."""
        self.entries.append((session, delivery))
        if self._waiters:
            self.wake()

    def hold(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """Note that a message that failed waits, to be put back."""

    def drop(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """Note that what was held is not put back."""

    def done(self, count: int = 1) -> None:
        """Note that so many are handled no more."""
        self.running -= count
        if self._idle is not None and not self.running:
            self._idle.set_result(None)
            self._idle = None

    async def wait_idle(self) -> None:
        """Wait until none is handled."""
        while self.running:
            if self._idle is None:  # pragma: no branch - two wait
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    async def wait(self) -> None:
        """Wait until there is something."""
        while not self.entries:
            await self.woken()

    async def woken(self) -> None:
        """Wait until something comes, or `wake` is called."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def wake(self) -> None:
        """Wake one of those that wait."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    def restart(self) -> None:
        """Begin anew, with nothing."""
        self.clear()
        self.running = 0
        self._idle = None
        self._waiting_time = WaitingTime()

    def clear(self) -> None:
        """Forget what was not begun."""
        self.entries.clear()

    def waited(self, now: float) -> float:
        """For how long the first of those that wait has waited at least, in seconds.

        Args:
            now: by the loop's clock.
        """
        return self._waiting_time.look(now, self.begun + self.running, self.waiting)

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
