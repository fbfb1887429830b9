"""A record of what a queue is bound by, kept at the broker, since AMQP has no question for it.

It is a message in a queue beside the queue, `<queue>.bindings`. Whoever binds takes what is there,
and puts back what it says together with its own bindings. Two that do so at once leave two
messages, which the next one joins; so nothing that was recorded is lost.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from .declaring import declare_aside
from .errors import TopologyError
from .link.interface import Channel, Link, channel_aside
from .plan import PlannedBinding, plan_record
from .wire import PERSISTENT, Properties

# More messages than that are not looked at: so many do not begin at once.
MOST_RECORDS = 100


async def reconcile(
    link: Link, queue: str, needed: Iterable[PlannedBinding], *, exact: bool
) -> list[PlannedBinding]:
    """Record the bindings of a queue, and return those of the record that are not needed.

    Args:
        link: by which the record is read and written.
        queue: the name of the queue, which is bound already by what is needed.
        needed: what the application names.
        exact: take away what is not needed.

    Raises:
        AmqError: the record cannot be kept.
    """
    record = plan_record(queue)
    await declare_aside(link, record)
    async with channel_aside(link, confirms=True) as channel:
        known, tags = await _read(channel, record.name, queue)
        wanted = dict.fromkeys(needed)
        stale = [each for each in known if each not in wanted]
        if exact:
            for each in stale:
                await _unbind(link, each)
        kept = list(wanted if exact else {**known, **wanted})
        # What is not acknowledged goes back, by the end of the channel.
        if len(tags) != 1 or set(kept) != set(known):
            properties = Properties(content_type="application/json", delivery_mode=PERSISTENT)
            await channel.publish("", record.name, properties, _write(kept))
            for tag in tags:
                channel.ack(tag)
        return stale


async def _read(
    channel: Channel, record: str, queue: str
) -> tuple[dict[PlannedBinding, None], list[int]]:
    found: dict[PlannedBinding, None] = {}
    tags: list[int] = []
    while len(tags) < MOST_RECORDS and (delivery := await channel.get(record)) is not None:
        tags.append(delivery.tag)
        # What somebody else has put there says nothing.
        with contextlib.suppress(ValueError, TypeError, KeyError):
            for each in json.loads(bytes(delivery.body)):
                found[_binding(each, queue)] = None
    return found, tags


def _binding(each: Mapping[str, Any], queue: str) -> PlannedBinding:
    exchange, key, arguments = each["exchange"], each["key"], each["arguments"]
    if not (isinstance(exchange, str) and isinstance(key, str) and isinstance(arguments, dict)):
        raise TypeError("an exchange and a key are texts, and arguments a table")
    return PlannedBinding(exchange, queue, key, arguments)


def _write(bindings: Iterable[PlannedBinding]) -> bytes:
    told = []
    for each in bindings:
        entry = {"exchange": each.source, "key": each.key, "arguments": dict(each.arguments)}
        # Arguments that JSON does not have are not recorded, and so never taken away.
        with contextlib.suppress(TypeError, ValueError):
            json.dumps(entry, allow_nan=False)
            told.append(entry)
    return json.dumps(told).encode()


async def _unbind(link: Link, binding: PlannedBinding) -> None:
    unbound = binding.destination, binding.source, binding.key, binding.arguments
    try:
        async with channel_aside(link) as channel:
            await channel.unbind(*unbound)
    except TopologyError as error:  # pragma: no cover - its exchange goes meanwhile
        # With its exchange the binding has gone, too.
        if error.code != 404:
            raise
