"""Messages that could not be handled: `parked list` and `parked replay`."""

import argparse
import json
from typing import Any

from gestalt.amq.connect import connect
from gestalt.amq.pubsub.parking import ParkedMessage
from gestalt.amq.topology import Queue

from . import arguments
from .text import plain, point_in_time


def add(subjects: Any) -> None:
    """Add the subject to the command."""
    parked = subjects.add_parser("parked", help="messages that could not be handled")
    actions = parked.add_subparsers(dest="action", required=True)
    for name, text in (
        ("list", "look at them; they stay where they are"),
        ("replay", "send them back to their queue, to be handled again"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(run=_parked)
        action.add_argument("queue", type=arguments.name, help="the queue of the subscription")
        arguments.add_url(action)
        action.add_argument(
            "--parking", type=arguments.name, help="the queue of parked messages (QUEUE.parked)"
        )
        action.add_argument("--limit", type=arguments.count, help="how many at most")
    actions.choices["list"].add_argument(
        "--json", action="store_true", help="one JSON object for each message"
    )


async def _parked(options: argparse.Namespace) -> list[str]:
    async with connect(options.url, name="gestalt.amq parked", start_timeout=5.0) as bus:
        parking = bus.parked(Queue(options.queue, parking=options.parking))
        if options.action == "replay":
            count = await parking.replay(options.limit)
            return [f"{count} sent back to {options.queue}"]
        limit = 100 if options.limit is None else options.limit
        show = _as_json if options.json else _as_text
        return [show(message) for message in await parking.list(limit)]


def _when(message: ParkedMessage) -> str | None:
    if message.parked_at is None:
        return None
    when = point_in_time(message.parked_at)
    return when.isoformat() if when else str(message.parked_at)


def _as_text(message: ParkedMessage) -> str:
    what = f"{message.error}: {message.reason}" if message.error else message.explanation
    where = f"{message.exchange or '(default)'} {message.routing_key}"
    body = message.body[:200]
    line = f"{_when(message) or '-'}  {where}  attempts {message.attempts}  {what}"
    return f"{plain(line)}\n    {body!r}"


def _as_json(message: ParkedMessage) -> str:
    return json.dumps(
        {
            "parked_at": _when(message),
            "exchange": message.exchange,
            "routing_key": message.routing_key,
            "attempts": message.attempts,
            "error": message.error,
            "reason": message.reason,
            "explanation": message.explanation,
            "content_type": message.content_type,
            "content_encoding": message.content_encoding,
            "headers": message.headers,
            "body": message.body.decode("utf-8", "backslashreplace"),
        },
        default=str,
    )
