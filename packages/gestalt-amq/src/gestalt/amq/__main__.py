"""The command: `python -m gestalt.amq parked list|replay QUEUE`, and `info|ping SERVICE`."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from .connect import connect
from .errors import AmqError
from .parking import ParkedMessage
from .topology import Queue

DEFAULT_URL = "amqp://guest:guest@localhost/"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when it succeeded, 1 when the broker could not or would not."""
    parser = argparse.ArgumentParser(prog="python -m gestalt.amq", description=__doc__)
    subjects = parser.add_subparsers(dest="subject", required=True)
    parked = subjects.add_parser("parked", help="messages that could not be handled")
    actions = parked.add_subparsers(dest="action", required=True)
    for name, text in (
        ("list", "look at them; they stay where they are"),
        ("replay", "send them back to their queue, to be handled again"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(run=_parked)
        action.add_argument("queue", help="the queue of the subscription")
        action.add_argument("--url", default=DEFAULT_URL, help="the broker (%(default)s)")
        action.add_argument("--parking", help="the queue of parked messages (QUEUE.parked)")
        action.add_argument("--limit", type=int, help="how many at most")
    actions.choices["list"].add_argument(
        "--json", action="store_true", help="one JSON object for each message"
    )
    for name, text, run in (
        ("info", "who serves a service, and what they have done", _info),
        ("ping", "how fast a service answers", _ping),
    ):
        question = subjects.add_parser(name, help=text, description=text)
        question.set_defaults(run=run)
        question.add_argument("service", help="its name")
        question.add_argument("--url", default=DEFAULT_URL, help="the broker (%(default)s)")
        question.add_argument(
            "--timeout",
            type=float,
            default=1.0,
            metavar="SECONDS",
            help="how long to wait for answers (%(default)s)",
        )
    subjects.choices["info"].add_argument(
        "--json", action="store_true", help="one JSON object for each instance"
    )
    options = parser.parse_args(arguments)
    try:
        asyncio.run(options.run(options))
    except AmqError as error:
        print(f"gestalt.amq: {error}", file=sys.stderr)  # noqa: T201 - it is a command
        return 1
    return 0


async def _info(options: argparse.Namespace) -> None:
    async with connect(options.url, name="gestalt.amq info", start_timeout=5.0) as bus:
        for info in await bus.requester(options.service, timeout=options.timeout).info():
            if options.json:
                print(json.dumps(asdict(info)))  # noqa: T201 - it is a command
                continue
            counts = ", ".join(f"{count} {what}" for what, count in asdict(info.stats).items())
            since = datetime.datetime.fromtimestamp(info.started, datetime.UTC)
            print(  # noqa: T201
                f"{info.instance}  {info.service} {info.version or '(no version)'}  "
                f"since {since:%Y-%m-%d %H:%M:%S}Z  {info.running} running, {counts}\n"
                f"    {', '.join(info.handlers)}"
                + (f"\n    {info.description}" if info.description else "")
            )


async def _ping(options: argparse.Namespace) -> None:
    async with connect(options.url, name="gestalt.amq ping", start_timeout=5.0) as bus:
        seconds = await bus.requester(options.service, timeout=options.timeout).ping()
        print(f"{options.service} answered in {seconds * 1000:.1f} ms")  # noqa: T201


async def _parked(options: argparse.Namespace) -> None:
    async with connect(options.url, name="gestalt.amq parked", start_timeout=5.0) as bus:
        parking = bus.parked(Queue(options.queue, parking=options.parking))
        if options.action == "replay":
            count = await parking.replay(options.limit)
            print(f"{count} sent back to {options.queue}")  # noqa: T201 - it is a command
            return
        limit = 100 if options.limit is None else options.limit
        for message in await parking.list(limit):
            print(_as_json(message) if options.json else _as_text(message))  # noqa: T201


def _when(message: ParkedMessage) -> str | None:
    if message.parked_at is None:
        return None
    return datetime.datetime.fromtimestamp(message.parked_at, datetime.UTC).isoformat()


def _as_text(message: ParkedMessage) -> str:
    what = f"{message.error}: {message.reason}" if message.error else message.reason
    where = f"{message.exchange or '(default)'} {message.routing_key}"
    body = message.body[:200]
    return f"{_when(message) or '-'}  {where}  attempts {message.attempts}  {what}\n    {body!r}"


def _as_json(message: ParkedMessage) -> str:
    return json.dumps(
        {
            "parked_at": _when(message),
            "exchange": message.exchange,
            "routing_key": message.routing_key,
            "attempts": message.attempts,
            "error": message.error,
            "reason": message.reason,
            "content_type": message.content_type,
            "content_encoding": message.content_encoding,
            "headers": message.headers,
            "body": message.body.decode("utf-8", "backslashreplace"),
        },
        default=str,
    )


if __name__ == "__main__":
    sys.exit(main())
