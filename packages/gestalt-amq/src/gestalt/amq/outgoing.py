"""The properties of a message that is published."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypedDict

from gestalt.codecs import Encoded

from .properties import Properties

# A type id without a name has no property of its own; this is where gestalt 20 put it, too.
TYPE_ID_HEADER = "x-type-id"


class MessageOptions(TypedDict, total=False):
    """What may go with a message, besides its body.

    Attributes:
        headers: application headers.
        expiration: how long it may wait in a queue, in seconds.
        priority: for queues with priorities, 0 to 255.
        message_id: an identifier; Gestalt itself gives it no meaning.
        correlation_id: the message_id that this one answers.
        reply_to: where an answer is expected.
        timestamp: when it came to be.
        app_id: the application's name.
        user_id: checked by the broker to be the connection's user.
    """

    headers: Mapping[str, Any]
    expiration: float
    priority: int
    message_id: str
    correlation_id: str
    reply_to: str
    timestamp: datetime.datetime
    app_id: str
    user_id: str


def make_properties(encoded: Encoded, delivery_mode: int, options: MessageOptions) -> Properties:
    """The properties of an encoded body, and what goes with it.

    Raises:
        TypeError: an option does not exist.
        ValueError: an option is out of its range.
    """
    values: dict[str, Any] = dict(options)
    if (expiration := values.pop("expiration", None)) is not None:
        if not expiration >= 0:
            raise ValueError(f"expiration must not be negative, got {expiration}")
        values["expiration"] = str(round(expiration * 1000))
    if (timestamp := values.pop("timestamp", None)) is not None:
        values["timestamp"] = int(timestamp.timestamp())
    priority = values.get("priority")
    if priority is not None and not 0 <= priority <= 255:
        raise ValueError(f"priority is 0 to 255, got {priority}")
    if encoded.type_id is not None and encoded.type_name is None:
        values["headers"] = {TYPE_ID_HEADER: encoded.type_id, **(values.get("headers") or {})}
    return Properties(
        content_type=encoded.content_type,
        content_encoding=encoded.content_encoding,
        type=encoded.type_name,
        delivery_mode=delivery_mode,
        **values,
    )
