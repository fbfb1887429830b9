"""How long to wait before the next attempt."""

import math
import random as _random
import time
from collections.abc import Callable
from dataclasses import dataclass

from .numbers import check_number, check_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential backoff with full jitter and a cap: immutable, shared by whatever retries.

    The n-th delay in a row is uniformly distributed between 0 and `initial * factor ** n`, at most
    `maximum`. Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        initial: upper bound of the first delay, in seconds.
        maximum: upper bound of every delay, in seconds.
        factor: by how much the upper bound grows with each attempt, at least 1.
        stable_after: how long a link must stay up, in seconds, before the next failure counts as
            the first again; infinity for never. Without it a server that accepts and closes at once
            is stormed.

    Raises:
        ValueError: an argument is out of its range.
        TypeError: an argument is neither an int nor a float.
    """

    initial: float = 0.1
    maximum: float = 30.0
    factor: float = 2.0
    stable_after: float = 5.0

    def __post_init__(self) -> None:
        initial = check_seconds("initial", self.initial, finite=True)
        maximum = check_seconds("maximum", self.maximum, finite=True)
        if not 0 < initial <= maximum:
            raise ValueError(f"0 < initial <= maximum is needed, got {initial:g} and {maximum:g}")
        # Written so that NaN is refused, too.
        if not 1 <= (factor := check_number("factor", self.factor)) < math.inf:
            raise ValueError(f"factor must be at least 1 and finite, got {factor:g}")
        check_seconds("stable_after", self.stable_after)

    def delays(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = _random.random,
    ) -> "Delays":
        """The delays of one link.

        Args:
            clock: gives the time in seconds; it never goes back.
            random: gives a number in [0, 1).
        """
        return Delays(self, clock, random)


class Delays:
    """The state of one backoff: made by `Backoff.delays`.

    Attributes:
        attempts: how many delays were given in a row without a stable period.
    """

    def __init__(
        self, backoff: Backoff, clock: Callable[[], float], random: Callable[[], float]
    ) -> None:
        self.attempts: int = 0
        self._backoff = backoff
        self._clock = clock
        self._random = random
        self._bound = backoff.initial
        self._connected_at: float | None = None

    def connected(self) -> None:
        """Note that the link came up now."""
        self._connected_at = self._clock()

    def next(self) -> float:
        """How long to wait now, in seconds: the link went down, or an attempt failed."""
        backoff = self._backoff
        if self._connected_at is not None:
            if self._clock() - self._connected_at >= backoff.stable_after:
                self.attempts = 0
                self._bound = backoff.initial
            self._connected_at = None
        delay = self._random() * self._bound
        self.attempts += 1
        self._bound = min(backoff.maximum, self._bound * backoff.factor)
        return delay
