"""What becomes of messages that a queue rejects, drops or lets expire.

https://www.rabbitmq.com/docs/dlx
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from gestalt.amq.wire import (
    FieldValue,
    Long,
    RawValue,
    decode_value,
    raw_name,
    split_array,
    split_table,
)

from .message import DeadMessage, Message, header_entries, with_headers
from .queue import Queue


class Named(Protocol):
    """What may be among the queues that a dead message goes to."""

    name: str


N = TypeVar("N", bound=Named)


def dead_letter(
    message: Message, queue: Queue, reason: str, exchange: str, seconds: float, *, own_deaths: bool
) -> DeadMessage:
    """Return the message as a queue's dead letter exchange gets it.

    The header x-death tells its history, with a count for each queue and reason. Its own time to
    live is taken away, so that it does not expire again where it arrives.

    Args:
        message: the message that dies.
        queue: the queue that it dies in.
        reason: `rejected`, `expired`, `maxlen` or `delivery_limit`.
        exchange: the name of the dead letter exchange.
        seconds: the time of day, since 1970.
        own_deaths: what a publisher says of deaths does not count.
    """
    entries = header_entries(message.header)
    headers: Mapping[str, FieldValue] = message.properties.headers or {}
    copies = headers.get("CC")
    routing_keys = [message.routing_keys[0], *(copies if isinstance(copies, list) else [])]
    death: dict[str, FieldValue] = {
        "count": Long(1),
        "reason": raw_name(reason),
        "queue": raw_name(queue.name),
        "time": datetime.fromtimestamp(int(seconds), UTC),
        "exchange": raw_name(message.exchange),
        "routing-keys": [raw_name(key) for key in routing_keys if isinstance(key, str)],
    }
    if message.properties.expiration is not None:
        death["original-expiration"] = message.properties.expiration
    counts = not own_deaths or isinstance(message, DeadMessage)
    if "x-death" not in headers or not counts:
        _tell(entries, "x-first-death", death)
    if own_deaths:
        _tell(entries, "x-last-death", death)
    known = entries["x-death"] if counts and isinstance(headers.get("x-death"), list) else None
    entries["x-death"] = _with_death(known, death)
    keys = message.routing_keys
    if queue.options.dead_letter_routing_key is not None:
        keys = (queue.options.dead_letter_routing_key,)
        if not own_deaths:
            entries.pop("CC", None)
    undying = replace(message.properties, expiration=None)
    header, properties = with_headers(message.header, undying, entries)
    return DeadMessage(exchange, keys, header, message.body, properties)


def _tell(entries: dict[str, FieldValue], prefix: str, death: Mapping[str, FieldValue]) -> None:
    for name in ("reason", "queue", "exchange"):
        entries[f"{prefix}-{name}"] = death[name]


def without_cycles(message: Message, reason: str, queues: Iterable[N]) -> list[N]:
    """Leave out the queues that a dead message would come back to for ever.

    That is so when the message has been in the queue, and no client rejected it since.
    """
    if reason == "rejected":
        return list(queues)
    been: set[str] = set()
    for death in _deaths(message):
        if death.get("reason") == "rejected":
            break
        if isinstance(name := death.get("queue"), str):
            been.add(name)
    return [queue for queue in queues if queue.name not in been]


def _deaths(message: Message) -> list[dict[str, FieldValue]]:
    headers = message.properties.headers
    deaths = headers.get("x-death") if headers is not None else None
    if not isinstance(deaths, list):  # pragma: no cover - for type checkers
        return []
    return [death for death in deaths if isinstance(death, dict)]


def _with_death(history: FieldValue, death: dict[str, FieldValue]) -> list[FieldValue]:
    """Put a death first, or count it where the same queue and reason came before.

    The others stay as they came: the publisher may have written what cannot be written again.
    """
    others: list[FieldValue] = []
    for entry in split_array(history) if isinstance(history, RawValue) else []:
        if not entry.data.startswith(b"F"):
            continue
        known = split_table(entry.data, 1)
        if known.get("queue") == death["queue"] and known.get("reason") == death["reason"]:
            count = decode_value(known["count"]) if "count" in known else 0
            # A publisher may have written any; one more than the most has no encoding.
            count = min(count, 2**63 - 2) if isinstance(count, int) else 0
            death = {**known, "count": Long(count + 1)}
        else:
            others.append(entry)
    return [death, *others]
