"""For how long the handlers of a subscription follow one another before others have the loop."""

import asyncio

# In seconds.
TURN = 0.005


class Turns:
    """The turns of several tasks, which share one in each turn of the event loop.

    Each with a turn of its own, as many as are ready at once would add up.
    """

    def __init__(self) -> None:
        self._begun = False
        self._until = 0.0

    def over(self) -> bool:
        """Whether to begin nothing more before the event loop has turned."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._begun:
            return now > self._until
        self._begun = True
        self._until = now + TURN
        loop.call_soon(self._end)
        return False

    def _end(self) -> None:
        self._begun = False
