"""What publishers and requesters share: a bound on what is in flight, and deadlines."""

import asyncio
from typing import Any

from gestalt.amq.errors import Blocked, NotSent
from gestalt.core.numbers import kind_of

from .channel_keeper import ChannelKeeper
from .counts import SendCounts
from .interface import Channel
from .preflight import Question
from .window import Window


class Sender:
    """Sends by a channel that it shares; bounds how much is in flight, and for how long.

    Args:
        keeper: keeps the channel.
        timeout: for a message and its answer, in seconds.
        max_pending: how many may await their answer at once; further ones wait to be sent.
        to: the exchange or the service, for which is counted what is sent.
    """

    def __init__(self, keeper: ChannelKeeper, *, timeout: float, max_pending: int, to: str) -> None:
        if not isinstance(timeout, int | float):
            raise TypeError(f"timeout is a number of seconds, got {kind_of(timeout)}")
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0, got {timeout}")
        self._keeper = keeper
        keeper.users.add(self)
        self._timeout = timeout
        self._max_pending = max_pending
        self._window = Window(max_pending)
        self._counts = keeper.counts.setdefault(to, SendCounts())

    def renew(self) -> None:
        """Begin anew: what was under way is of an earlier start."""
        self._window = Window(self._max_pending)
        self._counts.renew()

    def _deadline(self, now: float, timeout: float | None) -> float:
        """When a message that is sent now is given up, by the loop's clock.

        Raises:
            NotSent: there is no time at all.
        """
        if timeout is None:
            return now + self._timeout
        if not isinstance(timeout, int | float):
            raise TypeError(f"timeout is a number of seconds, got {kind_of(timeout)}")
        if timeout > 0:
            return now + timeout
        raise NotSent(f"a timeout of {timeout} s leaves no time; nothing was sent")

    async def _ready(self, deadline: float, question: Question) -> Channel:
        """A channel that takes a message now, and a place in the window.

        Each place is given up by `_done`, or by `_window.release()` where nothing was sent.

        Raises:
            NotSent: there was none until the deadline; `Blocked` where that was the reason.
            Refused: the broker would refuse the message.
            TopologyError: the broker refuses what is declared.
            StateError: the bus is not running.
        """
        keeper = self._keeper
        ticket = keeper.queue(question)
        acquired = False
        try:
            async with asyncio.timeout_at(deadline):
                await self._window.acquire()
                acquired = True
                return await keeper.ready(ticket)
        except BaseException as error:
            if acquired:
                self._window.release()
            if isinstance(error, TimeoutError) and not isinstance(error, NotSent):
                raise self._not_sent(acquired) from keeper.supervisor.failure or error
            raise
        finally:
            keeper.leave(ticket)

    def _ready_now(self, route: str, size: int, now: float) -> Channel | None:
        """As `_ready`, or None where that would have to wait."""
        channel = self._keeper.ready_now(route, size, now)
        return channel if channel is not None and self._window.take() else None

    def _done(self, pending: asyncio.Future[Any]) -> None:
        """What was sent is answered, or given up."""
        if self._keeper.settle(pending):  # pragma: no branch - of an earlier start
            self._window.release()
            self._counts.end(pending)

    def _not_sent(self, acquired: bool) -> NotSent:
        keeper = self._keeper
        trouble = keeper.supervisor.trouble
        if keeper.blocked:
            return Blocked(f"{trouble}; nothing was sent")
        if keeper.supervisor.link is None:
            return NotSent(f"{trouble}; nothing was sent")
        if not keeper.connected:  # pragma: no cover - it comes back in this turn
            return NotSent("there is no channel to the broker; nothing was sent")
        if not acquired:
            return NotSent("too many messages awaited their answers before it; nothing was sent")
        return NotSent("the connection took no more data; nothing was sent")
