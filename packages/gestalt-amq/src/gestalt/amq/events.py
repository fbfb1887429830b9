"""What a bus tells about its connections."""

from dataclasses import dataclass

from .errors import AmqError


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection is up.

    Args:
        connection: which one: "publish", "consume" or "request".
        address: the broker's URL, without the password.
    """

    connection: str
    address: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection was lost; it is being made again."""

    connection: str
    reason: AmqError


@dataclass(frozen=True, slots=True)
class PublishingBlocked:
    """The broker takes no messages for now, as when it is short of memory or disk."""

    connection: str
    reason: str


@dataclass(frozen=True, slots=True)
class PublishingUnblocked:
    """The broker takes messages again."""

    connection: str


Event = Connected | Disconnected | PublishingBlocked | PublishingUnblocked
