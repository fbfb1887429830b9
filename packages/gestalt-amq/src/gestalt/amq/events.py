"""What a bus tells about its connections, and about failures that it cannot move."""

from dataclasses import dataclass

from .errors import AmqError


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection is up.

    Attributes:
        connection: which one: "publish", "consume" or "request".
        address: the broker's URL, without the password.
    """

    connection: str
    address: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection was lost; it is being made again.

    Attributes:
        connection: which one, as `Connected` has it.
        reason: why, as far as is known.
    """

    connection: str
    reason: AmqError


@dataclass(frozen=True, slots=True)
class PublishingBlocked:
    """The broker takes no messages for now, as when it is short of memory or disk.

    Attributes:
        connection: which one, as `Connected` has it.
        reason: the broker's own.
    """

    connection: str
    reason: str


@dataclass(frozen=True, slots=True)
class PublishingUnblocked:
    """The broker takes messages again.

    Attributes:
        connection: which one, as `Connected` has it.
    """

    connection: str


@dataclass(frozen=True, slots=True)
class MovingFailed:
    """No message that failed can be moved to a queue for now; it is tried again.

    Attributes:
        queue: the queue whose messages failed.
        target: the queue of its retries, or of what is parked.
        reason: why not.
    """

    queue: str
    target: str
    reason: AmqError


@dataclass(frozen=True, slots=True)
class MovingResumed:
    """Messages that failed can be moved to a queue again.

    Attributes:
        queue, target: as `MovingFailed` has them.
    """

    queue: str
    target: str


@dataclass(frozen=True, slots=True)
class StaleBindings:
    """A queue is bound by more than the application names, as by an earlier version of it.

    Attributes:
        queue: the queue.
        bindings: each in words.
        unbound: they have been taken away, by `exact=True`.
    """

    queue: str
    bindings: tuple[str, ...]
    unbound: bool


Event = (
    Connected
    | Disconnected
    | PublishingBlocked
    | PublishingUnblocked
    | MovingFailed
    | MovingResumed
    | StaleBindings
)
