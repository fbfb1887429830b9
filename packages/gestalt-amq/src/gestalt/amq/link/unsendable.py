"""What of a message AMQP cannot carry, or a broker would not bear, as errors of gestalt.amq."""

from collections.abc import Mapping
from typing import Any

from gestalt.amq.errors import Unsendable, UnsendableType
from gestalt.amq.wire import FieldError, FieldTypeError
from gestalt.core.numbers import kind_of

DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"
"""Where replies go straight to the channel that sent the request, by no queue."""


def unsendable(error: FieldError) -> Unsendable:
    """The error of a publisher whose message has no encoding."""
    cls = UnsendableType if isinstance(error, FieldTypeError) else Unsendable
    return cls(str(error))


def check_reply_to(reply_to: str | None) -> None:
    """Refuse an address that RabbitMQ would end a publisher's channel for.

    Raises:
        Unsendable: it stands for a consumer of the channel itself, of which there is none.
    """
    if reply_to == DIRECT_REPLY_TO:
        raise Unsendable(
            f"reply_to {DIRECT_REPLY_TO!r} stands for who consumes from it by the same channel, "
            "and no publisher does: name a queue, or send a request"
        )


def check_routing_keys(headers: Mapping[str, Any] | None) -> None:
    """Refuse headers that RabbitMQ would end the channel for.

    Raises:
        UnsendableType: CC or BCC is no list of routing keys.
    """
    if not headers:
        return
    for name in ("CC", "BCC"):
        if name not in headers:
            continue
        keys = headers[name]
        if not isinstance(keys, list | tuple) or not all(isinstance(key, str) for key in keys):
            raise UnsendableType(
                f"the header {name!r} is a list of routing keys, got {kind_of(keys)}"
            )
