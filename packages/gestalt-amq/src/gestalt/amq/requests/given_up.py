"""Requests that their callers gave up before they came: the news of that uses another queue."""

import asyncio

from gestalt.amq.wire import Delivery

# So many are remembered, each for so long, in seconds.
MOST = 1000
LONGEST = 60.0


class GivenUp:
    """Remembers who gave up what, until it comes.

    Attributes:
        since: when that was told, by the loop's clock, of each caller's address and request.
    """

    def __init__(self) -> None:
        self.since: dict[tuple[str, str], float] = {}

    def note(self, told: Delivery) -> None:
        """Remember a request that is to be cancelled, if it is said whose it is."""
        properties = told.properties
        if properties.reply_to is None or properties.correlation_id is None:
            return
        if len(self.since) >= MOST:
            del self.since[next(iter(self.since))]
        now = asyncio.get_running_loop().time()
        self.since[properties.reply_to, properties.correlation_id] = now

    def take(self, request: Delivery) -> bool:
        """Whether a request that comes now was given up before."""
        properties = request.properties
        key = properties.reply_to or "", properties.correlation_id or ""
        known = self.since.pop(key, None) is not None
        oldest = asyncio.get_running_loop().time() - LONGEST
        while self.since and next(iter(self.since.values())) < oldest:
            del self.since[next(iter(self.since))]
        return known
