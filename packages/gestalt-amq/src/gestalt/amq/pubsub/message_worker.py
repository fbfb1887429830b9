"""Has messages handled one after the other, by each of as many tasks as may run at once."""

from gestalt.amq.encoding import decode

from .backlog import Backlog
from .deadlines import Deadlines, Limit
from .flow_control import FlowControl
from .handling import Handling
from .turns import Turn, Turns


class MessageWorker:
    """Takes messages in the order in which they came.

    Args:
        backlog: what was delivered.
        handling: of each message.
        flow: is told how long they take.
        turns: those of all tasks together, if there are several.
        deadlines: of async handlers.
    """

    def __init__(
        self,
        backlog: Backlog,
        handling: Handling,
        flow: FlowControl,
        turns: Turns | None,
        deadlines: Deadlines,
    ) -> None:
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
        backlog, entries = self._backlog, self._backlog.entries
        codec, handle, fail = self._handling.codec, self._handling.handle, self._handling.fail
        turn, limit = Turn(self._flow.measured, self._turns), Limit(self._deadlines)
        await turn.begin()
        while True:
            while not entries:
                turn.end()
                await backlog.wait()
                await turn.begin()
            session, delivery = entries.popleft()
            turn.count += 1
            if session.ended.done():
                continue  # it will be delivered again
            backlog.running += 1
            try:
                # Not by `Handling.decode`: one call less.
                try:
                    message = decode(codec, delivery)
                except Exception as error:
                    fail(session, delivery, error, permanent=True)
                else:
                    await handle(session, delivery, message, limit)
            finally:
                backlog.done()
            if turn.over() and not await turn.give_way():
                return
