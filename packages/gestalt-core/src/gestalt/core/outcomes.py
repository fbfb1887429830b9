"""What a handler raises to decide itself what becomes of its message."""

from .errors import GestaltError
from .numbers import check_seconds


class Outcome(GestaltError):
    """The decision of a handler about its message, in place of the endpoint's policy.

    What an endpoint cannot do is an error of the handler there: a socket has nowhere to park a
    message, and nobody who would send it again.

    Args:
        reason: why, for people: it goes where the message goes, and into the log.

    Attributes:
        reason: the same.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Park(Outcome):
    """Put the message aside for people to look at; do not try it again."""


class RetryLater(Outcome):
    """Handle the message again after a while. That counts as an attempt.

    Args:
        seconds: how long it waits at least.
        reason: why.

    Raises:
        TypeError: `seconds` is neither an int nor a float.
        ValueError: it is negative or not finite.
    """

    def __init__(self, seconds: float, reason: str = "") -> None:
        self.seconds: float = check_seconds("seconds", seconds, finite=True)
        super().__init__(reason or f"again in {self.seconds:g} s")


class Discard(Outcome):
    """Drop the message: it is settled, counted as discarded, and not reported as an error."""
