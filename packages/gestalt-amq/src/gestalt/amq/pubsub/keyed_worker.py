"""Has messages of one key handled one after the other, and meanwhile those of others."""

import asyncio

from gestalt.amq.wire import Delivery
from gestalt.core.calling import RAISED

from .declaration import Key
from .flow_control import FlowControl
from .handling import Handling
from .keyed_backlog import KeyedBacklog
from .session import SubscriptionSession
from .turns import TURN, Turns


class KeyedWorker:
    """Takes the next message of whichever key has none under way.

    Args:
        key: gives the key of a message.
        backlog: what was delivered.
        handling: of each message.
        flow: is told how long they take.
        turns: those of all tasks together, if there are several.
    """

    def __init__(
        self,
        key: Key,
        backlog: KeyedBacklog,
        handling: Handling,
        flow: FlowControl,
        turns: Turns | None,
    ) -> None:
        self._key = key
        self._backlog = backlog
        self._handling = handling
        self._flow = flow
        self._turns = turns

    def end(self) -> None:
        """Begin no further message; what was delivered and not begun goes back."""
        self._backlog.clear()

    async def run(self) -> None:
        """Handle messages, one after the other; as many of these run as may at once."""
        time = asyncio.get_running_loop().time
        backlog, handling = self._backlog, self._handling
        turns = self._turns
        turn, count = time(), 0
        while True:
            if turns is not None and turns.over():
                if count:
                    self._flow.measured(count, time() - turn)
                await asyncio.sleep(0)
                turn, count = time(), 0
                continue
            item = backlog.take()
            if item is not None:
                count += 1
                backlog.running += 1
                try:
                    # One that comes back from its wait is decoded again: its attempts are counted.
                    message = item.message or handling.decode(item.session, item.delivery)
                    if message is not None:
                        await handling.handle(item.session, item.delivery, message)
                finally:
                    backlog.running -= 1
                    if not backlog.running:
                        backlog.idle.set()
                    backlog.settle(item)
            elif backlog.entries:
                self._sort(*backlog.entries.popleft())
            else:
                if count:
                    self._flow.measured(count, time() - turn)
                await backlog.wait()
                turn, count = time(), 0
            now = time()
            if now - turn > TURN:
                if count:
                    self._flow.measured(count, now - turn)
                await asyncio.sleep(0)
                turn, count = time(), 0

    def _sort(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """Find out the key of a message, and put it behind those of the same."""
        if session.ended.done():
            return  # it will be delivered again
        message = self._handling.decode(session, delivery)
        if message is None:
            return
        try:
            self._backlog.sort(self._key(message), session, delivery, message)
        except RAISED as error:
            error.add_note("raised by the key function of the subscription, or for what it gave")
            self._handling.fail(session, delivery, error, permanent=True)
