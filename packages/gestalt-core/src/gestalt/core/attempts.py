"""A log of attempts to connect: the first that fails, some of those after it, and how it ended."""

import logging
from collections.abc import Callable
from typing import Final

FIRST_PAUSE: Final = 10.0
"""For how long nothing more is said once a line is logged, in seconds; then twice as long."""

LONGEST_PAUSE: Final = 300.0
"""The longest time between two lines, in seconds."""

MOST_REASONS: Final = 8
"""How many different reasons are each told at once."""


class Attempts:
    """Tells of what cannot be connected to, such that services may be started in any order.

    A first failure, and each new reason, is a line at WARNING. What repeats is told after 10 s,
    then after 20, and so on, up to every five minutes. In the end one line at INFO says how long
    it took.

    Args:
        logger: where the lines go.
        clock: tells the time in seconds.
    """

    __slots__ = ("_clock", "_count", "_logger", "_pause", "_reasons", "_silent_until", "_since")

    def __init__(self, logger: logging.Logger, clock: Callable[[], float]) -> None:
        self._logger = logger
        self._clock = clock
        self._reset()

    def _reset(self) -> None:
        self._count = 0
        self._since = 0.0
        self._pause = FIRST_PAUSE
        self._silent_until = 0.0
        self._reasons: set[str] = set()

    def failed(self, what: str, *, again: bool = True) -> None:
        """Note that an attempt has failed.

        Args:
            what: says who failed to connect to whom, and why.
            again: whether there will be another attempt.
        """
        now = self._clock()
        self._count += 1
        if self._count == 1:
            self._since = now
        is_new = what not in self._reasons and len(self._reasons) < MOST_REASONS
        if is_new:
            self._reasons.add(what)
        elif now < self._silent_until:
            return
        else:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._silent_until = now + self._pause
        so_far = "; it is tried again" if again else ""
        if self._count > 1:
            so_far = f" ({self._told(now)} by now)"
        self._logger.warning("%s%s", what, so_far)

    def succeeded(self, what: str, *, always: bool = False) -> None:
        """Note that there is a connection.

        Args:
            what: says who is connected to whom.
            always: whether to say so, too, where the first attempt has succeeded.
        """
        if self._count:
            self._count += 1
            self._logger.info("%s, after %s", what, self._told(self._clock()))
            self._reset()
        elif always:
            self._logger.info("%s", what)

    def _told(self, now: float) -> str:
        return f"{self._count} attempts in {now - self._since:.1f} s"
