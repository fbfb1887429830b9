"""Notices that the broker delivers nothing of a queue, though there is something in it."""

import asyncio
from collections.abc import Callable

from gestalt.amq.errors import AmqError

from .backlog import Backlog
from .session import SubscriptionSession

# After so long without a delivery the queue is looked at, twice before it is acted, in seconds.
STALL = 15.0


class StallDetector:
    """Ends a session to which nothing is delivered, so that it is begun anew.

    Args:
        backlog: what was delivered and not begun.
        held: whether messages are held that failed.
        session: the present one, None while there is none.
    """

    def __init__(
        self,
        backlog: Backlog,
        held: Callable[[], bool],
        session: Callable[[], SubscriptionSession | None],
    ) -> None:
        self._backlog = backlog
        self._held = held
        self._session = session

    async def run(self) -> None:
        """Look at the queue whenever nothing was delivered for a while."""
        backlog = self._backlog
        begun, stalled = -1, False
        while True:
            await asyncio.sleep(STALL)
            session = self._session()
            busy = backlog.begun != begun or backlog.busy or self._held()
            begun = backlog.begun
            if session is None or session.ended.done() or busy or not session.consumer.window:
                stalled = False
                continue
            try:
                waiting = await session.consumer.waiting(session.link)
            except AmqError:  # pragma: no cover - lost while it is asked
                # The connection or the queue has gone: that is told elsewhere.
                waiting = 0
            if waiting and stalled and backlog.begun == begun:
                session.end(
                    AmqError(f"the broker delivers none of the {waiting} messages in the queue")
                )
            stalled = waiting > 0
