"""How often, and how long after one another, a message is tried, and where it goes then."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gestalt.core.numbers import kind_of

# For so long, in seconds, a message may wait for all of its retries where these wait in this
# process: brokers end a channel by which a message was not acknowledged for half an hour.
LONGEST_WAIT_HERE = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Bounded attempts with growing delays: immutable, shared by any subscriptions.

        Retry(unless=(ValidationError,), by_error={ConnectionError: Retry(attempts=20)})

    Of the classes in `unless` and `by_error` the one that is nearest to an exception's own counts.

    Args:
        attempts: how often a message is handled in all before it is parked.
        delay: the wait before the second attempt, in seconds.
        factor: by how much the wait grows with each attempt.
        maximum: the longest wait, in seconds.
        unless: classes of exceptions after which a message is parked at once.
        by_error: for classes of exceptions, what is done in place of this. Attempts are counted
            whatever they ended by.

    Raises:
        ValueError: an argument is out of its range; or what is in `by_error` has classes of its
            own, or one that is in `unless` as well.
        TypeError: something else than a class of exceptions is given, or than a Retry for it.
    """

    attempts: int = 5
    delay: float = 1.0
    factor: float = 4.0
    maximum: float = 300.0
    unless: tuple[type[BaseException], ...] = ()
    by_error: Mapping[type[BaseException], "Retry"] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, got {self.attempts}")
        if not 0.001 <= self.delay <= self.maximum < float("inf"):
            raise ValueError(
                f"0.001 <= delay <= maximum is needed, got {self.delay} and {self.maximum}"
            )
        if not 1 <= self.factor < float("inf"):
            raise ValueError(f"factor must be at least 1 and finite, got {self.factor}")
        if not isinstance(self.unless, tuple):
            raise TypeError(
                f"unless is a tuple of classes of exceptions, got {kind_of(self.unless)}"
            )
        for name, classes in (("unless", self.unless), ("by_error", self.by_error)):
            for each in classes:
                if not _is_error_class(each):
                    raise TypeError(f"{name} has classes of exceptions, got {kind_of(each)}")
        for error, retry in self.by_error.items():
            if type(retry) is not Retry:
                raise TypeError(f"by_error has a Retry for each class, got {kind_of(retry)}")
            if retry.unless or retry.by_error:
                raise ValueError(f"the Retry for {error.__qualname__} has classes of its own")
            if error in self.unless:
                raise ValueError(f"{error.__qualname__} is in both unless and by_error")

    def after(self, error: BaseException) -> "Retry | None":
        """What is done after an exception; None to park at once."""
        if self.unless or self.by_error:
            for each in type(error).__mro__:
                if each in self.unless:
                    return None
                if each in self.by_error:
                    return self.by_error[each]
        return self

    def delays(self) -> Iterator[float]:
        """The waits that there are, each once, the first of them first."""
        seen: set[float] = set()
        for retry in (self, *self.by_error.values()):
            latest = 0.0
            for attempt in range(1, retry.attempts):
                delay = retry.delay_after(attempt)
                if delay == latest:
                    break  # the longest, from here on; or always the same
                latest = delay
                if delay not in seen:
                    seen.add(delay)
                    yield delay

    def delay_after(self, attempt: int) -> float:
        """The wait after attempt number `attempt` (1 for the first), in seconds."""
        try:
            return float(min(self.maximum, self.delay * float(self.factor) ** (attempt - 1)))
        except OverflowError:
            return self.maximum

    def longest(self, limit: float) -> float:
        """How long all waits of a message take together at most, in seconds.

        Args:
            limit: what is beyond it needs no exact answer.
        """
        longest = 0.0
        for retry in (self, *self.by_error.values()):
            total = 0.0
            for attempt in range(1, retry.attempts):
                if total > limit:
                    break
                total += retry.delay_after(attempt)
            longest = max(longest, total)
        return longest


def _is_error_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


class FailurePolicy(NamedTuple):
    """What is to become of failures.

    Args:
        retry: how often a message is tried; None for once.
        parking: the queue of parked messages; None if there is none.
        private: the queue vanishes with its subscriber, and so do its retry queues.
        given: queues that exist are used as they are.
        declare: declare shared queues, where they are missing; otherwise they must exist.
        waits_here: what is tried again waits in this process, and keeps its place before others.
    """

    retry: Retry | None
    parking: str | None
    private: bool
    given: bool
    declare: bool = True
    waits_here: bool = False
