"""What a bus tells about its connections, and about failures that it cannot move."""

from dataclasses import dataclass

from .errors import AmqError, ConnectError


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
class ConnectFailed:
    """An attempt to connect failed; it is tried again.

    While a broker is away, one connection of the event loop tries for all.

    Attributes:
        connection: which one, as `Connected` has it.
        address: the broker's URL, without the password.
        reason: why; a `CredentialsError` where there were no credentials to try with.
    """

    connection: str
    address: str
    reason: ConnectError


@dataclass(frozen=True, slots=True)
class LoginRefused(ConnectFailed):
    """A broker was reached, and refused the credentials or the virtual host.

    It is tried again all the same, more slowly, since both can be mended there or here; but for a
    start, which fails where every broker refuses.
    """


@dataclass(frozen=True, slots=True)
class SecretUpdateFailed:
    """Credentials that are about to expire were not renewed; it is tried again until they do.

    The connection lives on meanwhile. Where the broker ends it, it is made again with new ones.

    Attributes:
        connection: which one, as `Connected` has it.
        address: the broker's URL, without the password.
        reason: why.
    """

    connection: str
    address: str
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
class ChannelReplaced:
    """The broker answered nothing on a channel, which is replaced; the connection lives on.

    Attributes:
        connection: which one, as `Connected` has it.
        channel: what it is for: "exchange 'orders'", "requests".
        seconds: for how long nothing was answered.
        waiting: how many messages await their answers, which may still come.
    """

    connection: str
    channel: str
    seconds: float
    waiting: int


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
    | ConnectFailed
    | Disconnected
    | PublishingBlocked
    | PublishingUnblocked
    | ChannelReplaced
    | MovingFailed
    | MovingResumed
    | StaleBindings
    | SecretUpdateFailed
)
