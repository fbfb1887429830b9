"""Where a reader of a stream begins, and what it wants to read: the arguments of basic.consume.

https://www.rabbitmq.com/docs/streams#consuming
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from gestalt.amq.wire import AmqpError, FieldValue

from .ages import read_age
from .arguments import INTEGERS, type_name

OFFSET = "x-stream-offset"
_FILTER = "x-stream-filter"
_UNFILTERED = "x-stream-match-unfiltered"
# RabbitMQ has no limit; each one costs time for each message.
_MAX_VALUES = 255


class Where(Enum):
    """What the number of a `Start` is."""

    # None: the first message that there is, the last one, or the next that comes.
    FIRST = "first"
    LAST = "last"
    NEXT = "next"
    OFFSET = "offset"
    # The time of day in milliseconds since 1970.
    TIME = "time"


class Start(NamedTuple):
    """Where a reader begins."""

    where: Where
    number: int = 0


_WORDS = {where.value: Start(where) for where in (Where.FIRST, Where.LAST, Where.NEXT)}


def read_start(arguments: Mapping[str, FieldValue], resource: str, seconds: float) -> Start:
    """Return where a reader wants to begin: at the next message when it says nothing.

    Args:
        arguments: those of basic.consume.
        resource: how an error names the stream.
        seconds: the time of day, since 1970.

    Raises:
        AmqpError: it is no such place.
    """
    if OFFSET not in arguments:
        return _WORDS["next"]
    value = arguments[OFFSET]
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode("utf-8", "replace")
    kind = type_name(arguments, OFFSET)
    if kind in INTEGERS and isinstance(value, int):
        return Start(Where.OFFSET, value)
    if kind == "timestamp":
        return Start(Where.TIME, _moment(value) * 1000)
    if isinstance(value, str):
        if value in _WORDS:
            return _WORDS[value]
        if kind == "longstr" and (age := read_age(value)) is not None:
            return Start(Where.TIME, round(seconds * 1000) - age)
    shown = f'<<"{value}">>' if isinstance(value, str) and value else "<<>>"
    raise AmqpError(
        "PRECONDITION_FAILED",
        f"invalid arg '{OFFSET}' for {resource}: {{invalid_stream_offset_arg,{{{kind},{shown}}}}}",
    )


def read_filter(arguments: Mapping[str, FieldValue], resource: str) -> frozenset[str | None] | None:
    """Return the filter values of messages that a reader wants, None among them for those without.

    Returns:
        The values; None for all messages.

    Raises:
        AmqpError: the filter is a list without any value, or with too many.
    """
    value = arguments.get(_FILTER)
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return None
    # An empty value stands for none.
    wanted = {each or None for each in value if isinstance(each, str)}
    if not 0 < len(wanted) <= _MAX_VALUES:
        raise AmqpError(
            "PRECONDITION_FAILED",
            f"invalid arg '{_FILTER}' for {resource}: it has {len(wanted)} values, and may have"
            f" {_MAX_VALUES}",
        )
    if arguments.get(_UNFILTERED) is True:
        wanted.add(None)
    return frozenset(wanted)


def _moment(value: FieldValue) -> int:
    """Return the seconds since 1970 of a timestamp, also of one beyond the calendar."""
    if isinstance(value, datetime):
        return int(value.timestamp())
    return value if isinstance(value, int) else 0
