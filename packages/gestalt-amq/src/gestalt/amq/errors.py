"""What can go wrong between this process and the broker, told apart.

AmqError (GestaltError)
├── ConnectError (ConnectionError)        no broker could be reached, or none let us in
│   ├── AccessRefused (PermissionError)   the broker refused the credentials, or the virtual host
│   └── CredentialsError                  there are no credentials: what gives them failed
├── LinkLost (ConnectionError)            the connection, or a channel of it, ended
├── TopologyError (ValueError)            the broker refused a declaration, a binding or a consumer
├── OffsetError                            a store of offsets failed, or gave what is no offset
├── Unsendable (ValueError)               the message cannot be written as AMQP has it
│   └── UnsendableType (TypeError)        ... being of a type that it does not know
└── PublishError                          a publish did not end with the broker's confirmation
    ├── NotSent (TimeoutError)            nothing was sent by the deadline: safe to publish again
    │   ├── Blocked                       ... because the broker blocks publishers (an alarm)
    │   └── ChannelsExhausted             ... because the connection has no channel left for it
    ├── Unroutable (LookupError)          no queue takes it (mandatory publishes only)
    ├── Rejected                          the broker did not take it: a queue is full, or failed
    │   └── Refused                       ... and never will as it is: permission, size, user_id
    └── OutcomeUnknown (ConnectionError)  it was sent, and no answer came: it may have arrived

RequestError (AmqError)                   a request did not end with a reply
├── NoResponder (LookupError)             nobody serves: it was not worked on
├── DeadlineExceeded (TimeoutError)       no reply came by the deadline
└── RemoteError                           the handler raised
    └── RequestRefused (ValueError)       the responder cannot decode it, or has no handler for it

BatchError (AmqError, ExceptionGroup)     the PublishErrors of a batch
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gestalt.core import GestaltError


class AmqError(GestaltError):
    """The root of the errors of gestalt.amq."""


class ConnectError(AmqError, ConnectionError):
    """No broker could be reached."""


class AccessRefused(ConnectError, PermissionError):
    """A broker was reached, and refused the credentials or the virtual host."""


class CredentialsError(ConnectError):
    """There are no credentials to connect with: the function that gives them failed."""


class LinkLost(AmqError, ConnectionError):
    """The connection to the broker, or the channel in question, ended."""


class TopologyError(AmqError, ValueError):
    """The broker refused a declaration, a binding or a consumer.

    Attributes:
        code: the broker's reply code; 406 means that it exists with other arguments.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class OffsetError(AmqError):
    """A store of offsets failed, does not answer, or gave what is no offset.

    `Subscription.trouble` tells of it, and the log; the start of the subscription raises it.
    """


class Unsendable(AmqError, ValueError):
    """A message cannot be written as AMQP has it, or the broker would not bear it: not sent."""


class UnsendableType(Unsendable, TypeError):
    """Something of a message is of a type that AMQP does not have there; nothing was sent."""


class PublishError(AmqError):
    """A publish did not end with the broker's confirmation."""


class NotSent(PublishError, TimeoutError):
    """The deadline passed before anything was sent; publishing again cannot duplicate it."""


class Blocked(NotSent):
    """The deadline passed while the broker was blocking publishers; nothing was sent."""


class ChannelsExhausted(NotSent):
    """Every channel that the broker allows on the connection is in use; nothing was sent."""


class Unroutable(PublishError, LookupError):
    """No queue is bound for the routing key of a mandatory publish."""


class Rejected(PublishError):
    """The broker did not take the message: a queue is full, or could not store it."""


class Refused(Rejected):
    """The broker refused the message itself: publishing it again would be refused again.

    Attributes:
        code: the broker's reply code: 403 for a missing permission, 404 for an exchange that does
            not exist, 406 for a message that is too large or names another user.
        may_have_arrived: the broker began to refuse it while it was under way, so that it may have
            taken it just before. Publishing it again is refused all the same.
    """

    def __init__(
        self, message: str, code: int | None = None, *, may_have_arrived: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.may_have_arrived = may_have_arrived


class OutcomeUnknown(PublishError, ConnectionError):
    """The message was sent, and no confirmation came: it may have arrived, or not."""


class RequestError(AmqError):
    """A request did not end with a reply."""


class NoResponder(RequestError, LookupError):
    """Nobody serves the requests of this service; the request was not worked on."""


class DeadlineExceeded(RequestError, TimeoutError):
    """The request was sent, and no reply came by its deadline: it may have been worked on."""


class RemoteError(RequestError):
    """The handler at the responder raised.

    Attributes:
        remote_type: the name of the remote exception's class.
        details: what the remote exception had as its attribute `details`.
        remote_traceback: the remote traceback, where the responder sends it.
    """

    def __init__(
        self,
        message: str,
        remote_type: str = "",
        details: Mapping[str, Any] | None = None,
        remote_traceback: str | None = None,
    ) -> None:
        super().__init__(message)
        self.remote_type = remote_type
        self.details: Mapping[str, Any] = details or {}
        self.remote_traceback = remote_traceback


class RequestRefused(RemoteError, ValueError):
    """The responder cannot decode the request, or has no handler for it."""


class BatchError(AmqError, ExceptionGroup[PublishError]):
    """Some publishes of a batch failed; all others are confirmed."""

    def derive(self, excs: Sequence[PublishError]) -> "BatchError":  # type: ignore[override]
        return BatchError(self.message, excs)
