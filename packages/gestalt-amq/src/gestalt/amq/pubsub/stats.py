"""What a subscription counts."""

from dataclasses import dataclass, fields


@dataclass(slots=True)
class SubscriptionStats:
    """What became of a subscription's messages.

    Attributes:
        handled: their handler succeeded.
        retried: their handler failed, and they will be handled again.
        discarded: their handler has dropped them, by a `Discard`.
        parked: they were moved to the parked messages.
        dropped: they failed in a private queue, which has no parking.
        unmoved: how often one could not be moved to a queue of retries, or to the parked messages.
        returned: they were given back to the queue: not begun for too long, or not to be moved.
    """

    handled: int = 0
    retried: int = 0
    discarded: int = 0
    parked: int = 0
    dropped: int = 0
    unmoved: int = 0
    returned: int = 0

    def add(self, other: "SubscriptionStats") -> None:
        """Count what another one has counted."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
