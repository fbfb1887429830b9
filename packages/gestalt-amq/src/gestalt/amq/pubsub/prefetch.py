"""How many messages a subscription has sent ahead: what its handlers take in about a second.

A broker counts the time until a message is acknowledged from its delivery, not from when its
handler began. Messages that wait here behind slow ones would run out of that time unhandled.
"""

# So much work may be sent ahead, in seconds.
AHEAD = 1.0
# Messages that were not begun for so long are given back, in seconds.
PATIENCE = 3.0


class Prefetch:
    """Follows the speed of handlers.

    Args:
        most: how many messages may be sent ahead at most.
        concurrency: how many handlers run at once.
        cautious: begin with one message for each handler, until it is known how long they take.
        least: how many are sent ahead however slow handlers are; by default one for each.

    Attributes:
        window: how many should be sent ahead.
    """

    __slots__ = ("_concurrency", "_each", "_least", "_most", "window")

    def __init__(
        self, most: int, concurrency: int, *, cautious: bool = True, least: int | None = None
    ) -> None:
        self._most = most
        self._concurrency = concurrency
        self._least = concurrency if least is None else least
        self._each: float | None = None
        self.window = self._least if cautious else most

    def note(self, count: int, elapsed: float) -> None:
        """So many messages took one handler after the other so long, in seconds."""
        each = elapsed / count
        if self._each is not None:
            # Slowness is believed sooner than speed.
            weight = 0.5 if each > self._each else 0.125
            each = self._each + (each - self._each) * weight
        self._each = each
        fitting = self._most
        if each * self._most > AHEAD * self._concurrency:
            fitting = int(AHEAD * self._concurrency / each)
        self.window = max(self._least, min(fitting, self._most))


class WaitingTime:
    """Knows since when the first of the messages that wait has waited, from a look now and then.

    A look costs the same however many wait, and nothing is noted of each.
    """

    __slots__ = ("_arrived", "_since")

    def __init__(self) -> None:
        self._since = 0.0
        # Of all messages ever, the number of the last that had arrived then.
        self._arrived = 0

    def look(self, now: float, begun: int, waiting: int) -> float:
        """For how long the first of those that wait has waited at least, in seconds.

        Args:
            begun: how many messages have ever been begun.
            waiting: how many wait.
        """
        if not waiting or begun >= self._arrived:
            self._since = now
            self._arrived = begun + waiting
        return now - self._since
