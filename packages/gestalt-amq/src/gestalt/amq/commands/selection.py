"""Which parked messages a command is for: `--where FIELD=VALUE`."""

import argparse
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gestalt.amq.pubsub.parked_message import ParkedMessage

Where = Callable[[ParkedMessage], bool]

_FIELDS: dict[str, Callable[[ParkedMessage], Any]] = {
    "id": lambda message: message.message_id,
    "type": lambda message: message.type,
    "error": lambda message: message.error,
    "reason": lambda message: message.reason,
    "exchange": lambda message: message.exchange,
    "routing-key": lambda message: message.routing_key,
    "attempts": lambda message: message.attempts,
    "content-type": lambda message: message.content_type,
}
_HEADER = "header."

HELP = (
    f"only those whose FIELD is VALUE, in which * stands for any characters: "
    f"{', '.join(_FIELDS)}, or {_HEADER}NAME; given again, all have to hold"
)


def condition(text: str) -> Where:
    """What `--where` is given."""
    field, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"a condition is FIELD=VALUE, not {text!r}")
    name = field.removeprefix(_HEADER)
    read: Callable[[ParkedMessage], Any]
    if name != field:
        read = partial(_header, name)
    elif field in _FIELDS:
        read = _FIELDS[field]
    else:
        known = ", ".join(_FIELDS)
        raise argparse.ArgumentTypeError(
            f"a condition is on one of {known}, or {_HEADER}NAME, not on {field!r}"
        )
    pattern = re.compile(".*".join(map(re.escape, value.split("*"))), re.DOTALL)

    def holds(message: ParkedMessage) -> bool:
        found = read(message)
        return found is not None and pattern.fullmatch(str(found)) is not None

    return holds


def _header(name: str, message: ParkedMessage) -> Any:
    return message.headers.get(name)


def all_of(conditions: Sequence[Where]) -> Where | None:
    """One condition of several; None for none."""
    if not conditions:
        return None
    return lambda message: all(holds(message) for holds in conditions)
