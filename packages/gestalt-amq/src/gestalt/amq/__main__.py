"""The command: `python -m gestalt.amq parked list|replay QUEUE`, and `info|ping SERVICE`."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import io
import json
import logging
import math
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from .connect import connect
from .errors import AmqError
from .pubsub.parking import ParkedMessage
from .topology import Queue

DEFAULT_URL = "amqp://guest:guest@localhost/"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when it succeeded; 1 when the broker could not or would not, or nobody took the output;
        130 when it was interrupted.

    Raises:
        SystemExit: 2 when an argument is missing or wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m gestalt.amq", description=__doc__)
    broker: dict[str, Any] = {"type": _url, "default": DEFAULT_URL}
    broker["help"] = "the broker (%(default)s)"
    subjects = parser.add_subparsers(dest="subject", required=True)
    parked = subjects.add_parser("parked", help="messages that could not be handled")
    actions = parked.add_subparsers(dest="action", required=True)
    for name, text in (
        ("list", "look at them; they stay where they are"),
        ("replay", "send them back to their queue, to be handled again"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(run=_parked)
        action.add_argument("queue", type=_name, help="the queue of the subscription")
        action.add_argument("--url", **broker)
        action.add_argument(
            "--parking", type=_name, help="the queue of parked messages (QUEUE.parked)"
        )
        action.add_argument("--limit", type=_count, help="how many at most")
    actions.choices["list"].add_argument(
        "--json", action="store_true", help="one JSON object for each message"
    )
    for name, text, run in (
        ("info", "who serves a service, and what they have done", _info),
        ("ping", "how fast a service answers", _ping),
    ):
        question = subjects.add_parser(name, help=text, description=text)
        question.set_defaults(run=run)
        question.add_argument("service", type=_name, help="its name")
        question.add_argument("--url", **broker)
        question.add_argument(
            "--timeout",
            type=_seconds,
            default=1.0,
            metavar="SECONDS",
            help="how long to wait for answers (%(default)s)",
        )
    subjects.choices["info"].add_argument(
        "--json", action="store_true", help="one JSON object for each instance"
    )
    options = parser.parse_args(arguments)
    try:
        lines = asyncio.run(options.run(options))
    except AmqError as error:
        print(f"gestalt.amq: {_plain(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return _print(lines)


def _print(lines: list[str]) -> int:
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer would fail once more when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # Whoever reads no more has seen enough; all else is told.
        if not isinstance(error, BrokenPipeError):
            told = f"gestalt.amq: the output cannot be written: {error.strerror}"
            print(told, file=sys.stderr)
        return 1
    return 0


async def _info(options: argparse.Namespace) -> list[str]:
    lines = []
    async with connect(options.url, name="gestalt.amq info", start_timeout=5.0) as bus:
        for info in await bus.requester(options.service, timeout=options.timeout).info():
            if options.json:
                lines.append(json.dumps(asdict(info)))
                continue
            counts = ", ".join(f"{count} {what}" for what, count in asdict(info.stats).items())
            started = _time(info.started)
            since = f"{started:%Y-%m-%d %H:%M:%S}Z" if started else "an unknown time"
            lines.append(
                _plain(
                    f"{info.instance}  {info.service} {info.version or '(no version)'}  "
                    f"since {since}  {info.running} running, {counts}"
                )
            )
            lines.append(_plain(f"    {', '.join(info.handlers)}"))
            if info.description:
                lines.append(_plain(f"    {info.description}"))
    return lines


async def _ping(options: argparse.Namespace) -> list[str]:
    async with connect(options.url, name="gestalt.amq ping", start_timeout=5.0) as bus:
        seconds = await bus.requester(options.service, timeout=options.timeout).ping()
        return [f"{options.service} answered in {seconds * 1000:.1f} ms"]


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
    when = _time(message.parked_at)
    return when.isoformat() if when else str(message.parked_at)


def _time(seconds: float) -> datetime.datetime | None:
    """The time; None where the number, which somebody else has sent, is none."""
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def _plain(text: str) -> str:
    """Text of somebody else, without what would change the line or the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _as_text(message: ParkedMessage) -> str:
    what = f"{message.error}: {message.reason}" if message.error else message.explanation
    where = f"{message.exchange or '(default)'} {message.routing_key}"
    body = message.body[:200]
    line = f"{_when(message) or '-'}  {where}  attempts {message.attempts}  {what}"
    return f"{_plain(line)}\n    {body!r}"


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


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("amqp", "amqps") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        # What was given may hold a password.
        raise argparse.ArgumentTypeError(
            "a broker's URL is written like amqp://user:password@host:5672/"
        )
    return text


def _name(text: str) -> str:
    if not 0 < len(text.encode(errors="surrogateescape")) <= 255:
        raise argparse.ArgumentTypeError(f"a name has from 1 to 255 bytes, not as {text[:20]!r}")
    return text


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"a limit is a whole number above 0, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"a timeout is a number of seconds above 0, not {text!r}")
    return seconds


if __name__ == "__main__":
    # What went wrong on the way is part of the error that ends the command.
    logging.basicConfig(level=logging.CRITICAL)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal may know fewer characters than the messages have.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
