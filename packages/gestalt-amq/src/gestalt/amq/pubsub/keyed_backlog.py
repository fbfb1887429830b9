"""What was delivered to a subscription whose messages are handled in the order of their keys."""

import asyncio
from collections.abc import Hashable
from typing import Any

from gestalt.amq.message import BusMessage
from gestalt.amq.wire import Delivery
from gestalt.core.keyed import KeyedQueue, Lane

from .backlog import Backlog
from .failed_message import LocalRetry
from .session import SubscriptionSession


class Sorted:
    """A message that waits for those of its key that came before it.

    Attributes:
        message: decoded; None where that is to be done again.
        since: when it came, by the loop's clock.
    """

    __slots__ = ("delivery", "message", "session", "since")

    def __init__(
        self,
        session: SubscriptionSession,
        delivery: Delivery,
        message: BusMessage[Any] | None,
        since: float,
    ) -> None:
        self.session = session
        self.delivery = delivery
        self.message = message
        self.since = since


class KeyedBacklog(Backlog):
    """Deliveries as they came, and behind one another what is sorted by key.

    What was taken holds back its key until it is settled: also while it waits to be handled again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._queue: KeyedQueue[Sorted] = KeyedQueue()
        self._sorted = 0
        # What was taken, by its session and delivery tag; and what of that is to be handled again.
        self._taken: dict[tuple[SubscriptionSession, int], Lane[Sorted]] = {}
        self._held: set[tuple[SubscriptionSession, int]] = set()
        self._session: SubscriptionSession | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self.entries) + len(self._queue)

    def put(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """Add what came, and wake one of those that wait for it."""
        if session is not self._session:
            self._session = session
            # What came by another is delivered again.
            self._queue.remove(lambda item: item.session is not session)
        super().put(session, delivery)

    def sort(
        self, key: Hashable, session: SubscriptionSession, delivery: Delivery, message: Any
    ) -> None:
        """Put a message behind those of its key.

        Raises:
            TypeError: the key cannot be hashed.
        """
        since = asyncio.get_running_loop().time()
        self._queue.put(key, Sorted(session, delivery, message, since))
        self._sorted += 1

    def take(self) -> Sorted | None:
        """The next message that may be handled, if there is one; its end is told by `settle`."""
        while self._queue.ready:
            lane, item = self._queue.take()
            if item.session.ended.done():
                self._queue.done(lane)  # it will be delivered again
                continue
            self._taken[item.session, item.delivery.tag] = lane
            return item
        return None

    def settle(self, item: Sorted) -> None:
        """The handler is done with what was taken: unless that is held, its key goes on."""
        where = item.session, item.delivery.tag
        if where not in self._held:
            self._release(where)

    def hold(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """Note that what was taken waits to be handled again, and holds back its key."""
        self._held.add((session, delivery.tag))

    def put_back(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """What was held is to be handled again, before all others of its key."""
        where = session, delivery.tag
        self._held.discard(where)
        lane = self._taken.pop(where)
        item = Sorted(session, delivery, None, asyncio.get_running_loop().time())
        self._queue.put_back(lane, item)
        self.wake()

    def drop(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """What was held is not to be handled again here, until it is delivered again."""
        where = session, delivery.tag
        self._held.discard(where)
        self._release(where)

    async def wait(self) -> None:
        """Wait until there is something that may be handled, or be sorted."""
        while not (self.entries or self._queue.ready):
            await self.woken()

    def clear(self) -> None:
        """Forget what was not begun."""
        super().clear()
        self._queue.remove(lambda _: True)

    def restart(self) -> None:
        """Begin anew, with nothing."""
        super().restart()
        self._queue = KeyedQueue()
        self._taken.clear()
        self._held.clear()

    def waited(self, now: float) -> float:
        """For how long the first of those that wait has waited at least, in seconds."""
        unsorted = self._waiting_time.look(now, self._sorted, len(self.entries))
        return max(unsorted, max((now - item.since for item in self._queue.firsts()), default=0.0))

    def give_back(self, session: SubscriptionSession) -> int:
        """Return to the queue what came by a session and was not begun; how many that are."""
        removed = self._queue.remove(
            lambda item: item.session is session and not isinstance(item.delivery, LocalRetry)
        )
        tags = [item.delivery.tag for item in removed]
        tags += [delivery.tag for each, delivery in self.entries if each is session]
        self._sorted += len(self.entries)
        self.entries.clear()
        # The first first: so they come again in their order.
        for tag in sorted(tags):
            session.receiver.acks.nack(tag)
        self.begun += len(tags)
        return len(tags)

    def _release(self, where: tuple[SubscriptionSession, int]) -> None:
        lane = self._taken.pop(where, None)
        if lane is not None:  # pragma: no branch - of a connection that was lost
            self._queue.done(lane)
            self.wake()
