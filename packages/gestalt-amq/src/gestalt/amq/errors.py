"""What can go wrong between this process and the broker, told apart.

AmqError (GestaltError)
├── ConnectError (ConnectionError)        no broker could be reached, or none let us in
│   └── AccessRefused (PermissionError)   the broker refused the credentials, or the virtual host
├── LinkLost (ConnectionError)            the connection, or a channel of it, ended
├── TopologyError (ValueError)            the broker refused a declaration, a binding or a consumer
└── PublishError                          a publish did not end with the broker's confirmation
    ├── NotSent (TimeoutError)            nothing was sent by the deadline: safe to publish again
    │   └── Blocked                       ... because the broker blocks publishers (an alarm)
    ├── Unroutable (LookupError)          no queue takes it (mandatory publishes only)
    ├── Rejected                          the broker refused it: a queue is full, or failed
    └── OutcomeUnknown (ConnectionError)  it was sent, and no answer came: it may have arrived

BatchError (AmqError, ExceptionGroup)     the PublishErrors of a batch
"""

from __future__ import annotations

from collections.abc import Sequence

from gestalt.core import GestaltError


class AmqError(GestaltError):
    """The root of the errors of gestalt.amq."""


class ConnectError(AmqError, ConnectionError):
    """No broker could be reached."""


class AccessRefused(ConnectError, PermissionError):  # noqa: N818 - reads as what happened
    """A broker was reached, and refused the credentials or the virtual host."""


class LinkLost(AmqError, ConnectionError):  # noqa: N818 - reads as what happened
    """The connection to the broker, or the channel in question, ended."""


class TopologyError(AmqError, ValueError):
    """The broker refused a declaration, a binding or a consumer.

    Attributes:
        code: the broker's reply code; 406 means that it exists with other arguments.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class PublishError(AmqError):
    """A publish did not end with the broker's confirmation."""


class NotSent(PublishError, TimeoutError):  # noqa: N818 - reads as what happened
    """The deadline passed before anything was sent; publishing again cannot duplicate it."""


class Blocked(NotSent):
    """The deadline passed while the broker was blocking publishers; nothing was sent."""


class Unroutable(PublishError, LookupError):  # noqa: N818 - reads as what happened
    """No queue is bound for the routing key of a mandatory publish."""


class Rejected(PublishError):  # noqa: N818 - reads as what happened
    """The broker did not take the message: a queue is full, or could not store it."""


class OutcomeUnknown(PublishError, ConnectionError):  # noqa: N818 - reads as what happened
    """The message was sent, and no confirmation came: it may have arrived, or not."""


class BatchError(AmqError, ExceptionGroup[PublishError]):
    """Some publishes of a batch failed; all others are confirmed."""

    def derive(self, excs: Sequence[PublishError]) -> BatchError:  # type: ignore[override]
        return BatchError(self.message, excs)
