"""How often, and how long after one another, a message is tried, and where it goes then."""

from collections.abc import Iterator
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

    def delays(self) -> Iterator[float]:
        """The waits that there are, each once, the first of them first."""
        latest = 0.0
        for attempt in range(1, self.attempts):
            delay = self.delay_after(attempt)
            if delay == latest:
                return  # the longest, from here on; or always the same
            latest = delay
            yield delay

    def delay_after(self, attempt: int) -> float:
        """The wait after attempt number `attempt` (1 for the first), in seconds."""
        try:
            return float(min(self.maximum, self.delay * float(self.factor) ** (attempt - 1)))
        except OverflowError:
            return self.maximum


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """What is to become of failures.

    Args:
        retry: how often a message is tried; None for once.
        parking: the queue of parked messages; None if there is none.
        private: the queue vanishes with its subscriber, and so do its retry queues.
        given: queues that exist are used as they are.
        declare: declare shared queues, where they are missing; otherwise they must exist.
    """

    retry: Retry | None
    parking: str | None
    private: bool
    given: bool
    declare: bool = True
