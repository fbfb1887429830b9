"""What can go wrong in AMQP 0-9-1.

GestaltError
+-- AmqpError            a reply code and a text, as the close methods carry them
|   +-- WireError        bytes that are no valid AMQP, with what was valid before them (ValueError)
+-- FieldError           a value does not fit its field, or bytes are no valid one (ValueError)
    +-- FieldTypeError   ... being of a type that AMQP does not have there (TypeError)
    +-- NestingError     ... nesting deeper than is read or written
"""

import datetime
from collections.abc import Sequence
from typing import Any

from gestalt.core import GestaltError
from gestalt.core.numbers import amount_of

# Reply codes, by the names that RabbitMQ puts at the start of its reply texts.
REPLY_CODES = {
    "CONTENT_TOO_LARGE": 311,
    "NO_ROUTE": 312,
    "NO_CONSUMERS": 313,
    "CONNECTION_FORCED": 320,
    "INVALID_PATH": 402,
    "ACCESS_REFUSED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_LOCKED": 405,
    "PRECONDITION_FAILED": 406,
    "FRAME_ERROR": 501,
    "SYNTAX_ERROR": 502,
    "COMMAND_INVALID": 503,
    "CHANNEL_ERROR": 504,
    "UNEXPECTED_FRAME": 505,
    "RESOURCE_ERROR": 506,
    "NOT_ALLOWED": 530,
    "NOT_IMPLEMENTED": 540,
    "INTERNAL_ERROR": 541,
}

_CLOSE_CHANNEL_ONLY = frozenset({311, 312, 313, 403, 404, 405, 406})
_MAX_TEXT = 255


class AmqpError(GestaltError):
    """An error that closes a channel or a connection, as the specification's reply codes say.

    Args:
        name: The reply code's name, as in `REPLY_CODES`.
        explanation: What was wrong; the reply text is the name, a dash and this.
        connection: Closes the whole connection even though the code alone would close a channel.

    Attributes:
        code: The reply code.
        explanation: What was wrong.
        closes_connection: It ends the connection, and not a channel alone.
    """

    def __init__(self, name: str, explanation: str, *, connection: bool = False) -> None:
        super().__init__(f"{name} - {explanation}")
        self.code = REPLY_CODES[name]
        self.explanation = explanation
        self.closes_connection = connection or self.code not in _CLOSE_CHANNEL_ONLY

    @property
    def text(self) -> str:
        """The reply text, at most 255 bytes of UTF-8, since it travels as a short string."""
        encoded = str(self).encode("utf-8", "surrogateescape")
        return encoded[:_MAX_TEXT].decode("utf-8", "ignore")


class WireError(AmqpError, ValueError):
    """The peer's bytes are no valid AMQP; the connection has to be closed.

    Attributes:
        events: What was complete and valid before the error, as `Decoder.feed` returns it.
    """

    events: Sequence[Any] = ()


class FieldError(GestaltError, ValueError):
    """A value does not fit its field, or bytes are no valid field."""


class FieldTypeError(FieldError, TypeError):
    """A value is of a type that AMQP does not have in its field."""


class NestingError(FieldError):
    """Tables or arrays nest deeper than they are read or written."""


def shown(value: object) -> str:
    """A number or a time as an error shows it; of anything else, what it is."""
    if isinstance(value, datetime.datetime | datetime.timedelta):
        return str(value)
    return amount_of(value)
