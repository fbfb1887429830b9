"""Keeps what the broker sends ahead to what handlers take in about a second."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from gestalt.amq.errors import AmqError, LinkLost
from gestalt.core.metrics import Histogram

from .backlog import Backlog
from .prefetch import PATIENCE, Prefetch
from .session import SubscriptionSession
from .stats import SubscriptionStats

# How often it is looked what waits, while there is anything, in seconds.
INTERVAL = 0.1
# Where the broker's consumer cannot be changed, what was not begun for so long is given back.
LONGEST_WAIT = 600.0


class HeldMessages(Protocol):
    """Messages that failed, and wait unacknowledged to be moved."""

    @property
    def busy(self) -> bool:
        """Whether there are any."""

    @property
    def full(self) -> bool:
        """Whether there are so many that nothing more should be taken."""

    def waiting(self, since: float) -> tuple[int, float]:
        """How many failed since, by the loop's clock, and when the first of these did."""


class FlowControl:
    """Sees to it that messages are not sent before, and not kept after, they can be handled.

    Args:
        prefetch: how many messages are sent ahead at most.
        concurrency: how many handlers run at once.
        adapts: the consumer at the broker can be changed without harm.
        keyed: messages wait for others of their key, however quick the handlers are.
        returns: the queue takes messages back; a stream does not.
        cautious: begin with one message for each handler, until it is known how long they take.
        backlog: what was delivered and not begun.
        held: what failed and waits to be moved.
        stats: counts what is given back.
        session: the present one, None while there is none.
        active: whether anything is to be changed now.

    Attributes:
        scheduled: it is about to look what waits.
        durations: how long messages were handled: of several in a turn, the mean.
    """

    def __init__(
        self,
        *,
        prefetch: int,
        concurrency: int,
        adapts: bool,
        keyed: bool,
        returns: bool,
        cautious: bool,
        backlog: Backlog,
        held: HeldMessages,
        stats: SubscriptionStats,
        session: Callable[[], SubscriptionSession | None],
        active: Callable[[], bool],
    ) -> None:
        self.scheduled = False
        self.durations = Histogram()
        self._most = prefetch
        self._concurrency = concurrency
        self._adapts = adapts
        self._keyed = keyed
        self._returns = returns
        self._backlog = backlog
        self._held = held
        self._stats = stats
        self._session = session
        self._active = active
        self._prefetch = Prefetch(
            prefetch, concurrency, cautious=cautious, least=prefetch if keyed else None
        )
        self._look = asyncio.Event()
        # Held by whoever changes what is sent.
        self._changing = asyncio.Lock()

    @property
    def window(self) -> int:
        """How many messages should be sent ahead."""
        return self._prefetch.window if self._adapts else self._most

    def start(self) -> None:
        """Begin anew."""
        self.scheduled = False

    def schedule(self) -> None:
        """Look soon what waits, where that is not to be done anyway."""
        if not self.scheduled:
            self.scheduled = True
            asyncio.get_running_loop().call_later(INTERVAL, self._begin_look)

    def measured(self, count: int, elapsed: float, *, begun: int | None = None) -> None:
        """So many messages took one handler after the other so long, in seconds.

        Args:
            begun: how many there were, where several of them count as one.
        """
        self._backlog.begun += count if begun is None else begun
        self._prefetch.note(count, elapsed)
        self.durations.record(elapsed / count, count)
        session = self._session()
        if session is not None and self._grows(session):
            self._look.set()

    async def pause(self) -> None:
        """Have no more messages sent; errors as those of `BrokerConsumer.pause`."""
        async with self._changing:
            session = self._session()
            if session is not None:
                await session.consumer.pause()

    async def run(self) -> None:
        """Look what waits, now and then while there is anything, and change what is sent."""
        now = asyncio.get_running_loop().time
        while True:
            await self._look.wait()
            self._look.clear()
            session = self._session()
            if session is not None and not session.ended.done():
                async with self._changing:
                    if self._active():
                        try:
                            await self._change(session, now())
                        except AmqError as error:
                            # Whoever keeps the subscription consuming has it from there.
                            session.end(error)
                        except asyncio.CancelledError:
                            session.end(LinkLost("a change of its consumer was cancelled"))
                            raise
            busy = self._backlog.busy or self._held.busy
            if busy or (session is not None and not session.consumer.window):
                self.schedule()

    def _begin_look(self) -> None:
        self.scheduled = False
        self._look.set()

    def _grows(self, session: SubscriptionSession) -> bool:
        return self._adapts and 0 < session.consumer.window <= self._prefetch.window // 2

    async def _change(self, session: SubscriptionSession, now: float) -> None:
        consumer, backlog = session.consumer, self._backlog
        waited = backlog.waited(now)
        if not self._adapts:
            # Where keys have an order, others must not come in between.
            if waited > LONGEST_WAIT and self._returns and not self._keyed:
                self._give_back(session)  # pragma: no cover - waits of ten minutes
        elif not consumer.window:
            if backlog.running < self._concurrency and not backlog.waiting:
                await consumer.begin(self.window)
        elif waited > (LONGEST_WAIT if self._keyed else PATIENCE):
            await consumer.pause()
            self._give_back(session)
        elif self._grows(session):
            await consumer.begin(self.window)
        if consumer.window and self._returns and not self._held.full:
            await self._pass_by(session, now)

    async def _pass_by(self, session: SubscriptionSession, now: float) -> None:
        """Have further messages sent past those that wait to be moved."""
        waiting, first = self._held.waiting(session.consumer.begun_at)
        if waiting * 2 < session.consumer.window or now - first < INTERVAL:
            return
        # Another consumer would come in between, and get what comes after what is held here.
        if self._adapts or not (self._backlog.busy or self._keyed):  # pragma: no branch - busy
            await session.consumer.begin(self.window)

    def _give_back(self, session: SubscriptionSession) -> None:
        """Return what was not begun, before the broker's patience ends."""
        self._stats.returned += self._backlog.give_back(session)
