"""Has messages of one key handled one after the other, and meanwhile those of others."""

from gestalt.amq.wire import Delivery
from gestalt.core.calling import ENDS

from .deadlines import Deadlines, Limit
from .declaration import Key
from .flow_control import FlowControl
from .handling import Handling
from .keyed_backlog import KeyedBacklog
from .session import SubscriptionSession
from .turns import Turn, Turns


class KeyedWorker:
    """Takes the next message of whichever key has none under way.

    Args:
        key: gives the key of a message.
        backlog: what was delivered.
        handling: of each message.
        flow: is told how long they take.
        turns: those of all tasks together, if there are several.
        deadlines: of async handlers.
    """

    def __init__(
        self,
        key: Key,
        backlog: KeyedBacklog,
        handling: Handling,
        flow: FlowControl,
        turns: Turns | None,
        deadlines: Deadlines,
    ) -> None:
        self._key = key
        self._backlog = backlog
        self._handling = handling
        self._flow = flow
        self._turns = turns
        self._deadlines = deadlines

    def end(self) -> None:
        """Begin no further message; what was delivered and not begun goes back."""
        self._backlog.clear()

    async def run(self) -> None:
        """Handle messages, one after the other; as many of these run as may at once.

        Returns when a handler has left something in this task that the next one would find.
        """
        backlog, handling = self._backlog, self._handling
        turn, limit = Turn(self._flow.measured, self._turns), Limit(self._deadlines)
        await turn.begin()
        while True:
            item = backlog.take()
            if item is not None:
                turn.count += 1
                backlog.running += 1
                try:
                    # One that comes back from its wait is decoded again: its attempts are counted.
                    message = item.message or handling.decode(item.session, item.delivery)
                    if message is not None:  # pragma: no branch - it was decoded before
                        await handling.handle(item.session, item.delivery, message, limit)
                finally:
                    backlog.done()
                    backlog.settle(item)
            elif backlog.entries:
                self._sort(*backlog.entries.popleft())
            else:
                turn.end()
                await backlog.wait()
                await turn.begin()
                continue
            if turn.over() and not await turn.give_way():
                return

    def _sort(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """Find out the key of a message, and put it behind those of the same."""
        if session.ended.done():
            return  # pragma: no cover - it was lost, and is delivered again
        message = self._handling.decode(session, delivery)
        if message is None:
            return
        try:
            self._backlog.sort(self._key(message), session, delivery, message)
        except ENDS:  # pragma: no cover - the program ends
            raise
        except BaseException as error:
            error.add_note("raised by the key function of the subscription, or for what it gave")
            self._handling.fail(session, delivery, error, permanent=True)
