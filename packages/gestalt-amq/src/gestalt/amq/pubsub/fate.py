"""What becomes of a message whose handler raised: as the handler decides, or by the policy."""

from typing import Literal, NamedTuple

from gestalt.core import Discard, Outcome, Park, RetryLater

from .retry import Retry

# The shortest wait that a queue can have messages for, in seconds.
SHORTEST = 0.001


class Fate(NamedTuple):
    """What becomes of a message.

    Attributes:
        kind: it is handled again, put aside, or settled without more.
        delay: after how long it is handled again, in seconds.
        decided: the handler has said so, and it was not left to the policy.
        exact: the delay is the handler's own, not one of the policy's.
    """

    kind: Literal["again", "parked", "discarded"]
    delay: float = 0.0
    decided: bool = False
    exact: bool = False


def decide(retry: Retry | None, error: BaseException, attempt: int, *, permanent: bool) -> Fate:
    """Decide about a message.

    Args:
        retry: the policy; None for one attempt.
        error: what the handler raised, or why it was not called.
        attempt: how often the message was handled by now.
        permanent: it could never be handled, as it is.
    """
    decided = isinstance(error, Outcome)
    if isinstance(error, Discard):
        return Fate("discarded", decided=True)
    if permanent or retry is None or isinstance(error, Park):
        return Fate("parked", decided=decided)
    if isinstance(error, RetryLater):
        # Its own delay; but how often is for the policy to say, or it might go on for ever.
        if attempt < retry.attempts:
            return Fate("again", max(SHORTEST, error.seconds), decided=True, exact=True)
        return Fate("parked", decided=True)
    rule = retry.after(error)
    if rule is not None and attempt < rule.attempts:
        return Fate("again", rule.delay_after(attempt))
    return Fate("parked", decided=decided)
