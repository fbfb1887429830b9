"""How often, and how long after one another, a message is tried."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Bounded attempts with growing delays: immutable, shared by any subscriptions.

    Args:
        attempts: how often a message is handled in all before it is parked.
        delay: the wait before the second attempt, in seconds.
        factor: by how much the wait grows with each attempt.
        maximum: the longest wait, in seconds.

    Raises:
        ValueError: an argument is out of its range.
    """

    attempts: int = 5
    delay: float = 1.0
    factor: float = 4.0
    maximum: float = 300.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, got {self.attempts}")
        if not 0.001 <= self.delay <= self.maximum < float("inf"):
            raise ValueError(
                f"0.001 <= delay <= maximum is needed, got {self.delay} and {self.maximum}"
            )
        if not 1 <= self.factor < float("inf"):
            raise ValueError(f"factor must be at least 1 and finite, got {self.factor}")

    def delay_after(self, attempt: int) -> float:
        """The wait after attempt number `attempt` (1 for the first), in seconds."""
        try:
            return float(min(self.maximum, self.delay * self.factor ** (attempt - 1)))
        except OverflowError:
            return self.maximum
