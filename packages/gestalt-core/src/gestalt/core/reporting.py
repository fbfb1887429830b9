"""A log of what was survived: with its traceback, bounded in rate, and counted."""

import logging
import time
from collections.abc import Callable, Hashable

BURST = 5
"""How many lines of one cause are logged within an interval."""

INTERVAL = 1.0
"""The interval, in seconds."""

MOST_CAUSES = 64
"""How many causes are told apart; what comes beyond shares one bound."""


class Reports:
    """Logs errors that end nothing, such that whoever provokes them cannot flood the log.

    Of each cause, five lines a second are logged. How many were left out stands in the next line
    of that cause, or is said by `flush`.

    Args:
        logger: where the lines go.
        clock: tells the time in seconds.

    Attributes:
        count: how many errors were given to it, logged or left out.
    """

    __slots__ = ("_causes", "_clock", "_logger", "count")

    def __init__(
        self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.count = 0
        self._logger = logger
        self._clock = clock
        self._causes: dict[Hashable, _Cause] = {}

    def log(
        self,
        message: str,
        error: BaseException | None = None,
        *,
        level: int = logging.ERROR,
        cause: Hashable = None,
    ) -> None:
        """Log a message, and the traceback of `error`, unless there were too many of its kind.

        Args:
            message: says what happened, and to whom.
            error: what was raised.
            level: the level of the line, as `logging` has it.
            cause: what is bounded together; by default, the classes of `error` and its cause.
        """
        self.count += 1
        if cause is None and error is not None:
            cause = type(error), type(error.__cause__)
        known = self._causes.get(cause)
        if known is None:
            if len(self._causes) >= MOST_CAUSES:
                cause = None
            known = self._causes.setdefault(cause, _Cause())
        now = self._clock()
        if now - known.since >= INTERVAL:
            known.since = now
            known.lines = 0
        known.level = level
        if known.lines >= BURST:
            known.left_out += 1
            known.last = message
            return
        known.lines += 1
        if known.left_out:
            message = f"{message} (and {known.left_out} more of the kind since the last line)"
            known.left_out = 0
        self._logger.log(level, "%s", message, exc_info=error)

    def flush(self) -> None:
        """Say what was left out since the last line of each cause, by one line each."""
        for known in self._causes.values():
            if known.left_out:
                message = f"{known.last} (the last of {known.left_out} that were left out)"
                self._logger.log(known.level, "%s", message)
                known.left_out = 0


class _Cause:
    """How far the bound of one cause is used up."""

    __slots__ = ("last", "left_out", "level", "lines", "since")

    def __init__(self) -> None:
        self.since = -INTERVAL
        self.lines = 0
        self.left_out = 0
        self.level = logging.ERROR
        self.last = ""
