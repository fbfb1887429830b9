"""Messages that could not be handled: `parked list`, `show`, `replay` and `purge`."""

import argparse
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from gestalt.amq.connect import connect
from gestalt.amq.errors import AmqError
from gestalt.amq.pubsub.parked_message import ParkedMessage
from gestalt.amq.pubsub.parking import Parking
from gestalt.amq.topology import Queue
from gestalt.codecs import Codec, CodecError

from . import arguments, selection
from .text import plain, point_in_time

# How many are listed, unless it is said how many. As many are taken for less, so that numbers stay:
# quorum queues put what was taken and given back behind the others.
LISTED = 100
# So much of a body is shown in a list.
MAX_SHOWN = 200
_COMPRESSORS = ("deflate", "gzip", "bzip2", "xz", "br", "zstd", "lz4", "snappy")


def add(subjects: Any) -> None:
    """Add the subject to the command."""
    parked = subjects.add_parser("parked", help="messages that could not be handled")
    actions = parked.add_subparsers(dest="action", required=True)
    for name, text, run in (
        ("list", "look at them; they stay where they are", _list),
        ("show", "look at one of them, whole; it stays where it is", _show),
        ("replay", "send them back to their queue, to be handled again", _replay),
        ("purge", "delete them for good", _purge),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.set_defaults(run=run)
        action.add_argument("queue", type=arguments.name, help="the queue of the subscription")
        arguments.add_url(action)
        action.add_argument(
            "--parking", type=arguments.name, help="the queue of parked messages (QUEUE.parked)"
        )
        action.add_argument(
            "--codec",
            type=_codec,
            default="json",
            metavar="NAME",
            help="the format of the bodies, to show them (json)",
        )
        if name == "show":
            action.add_argument("which", help="its message id, or its number in the list")
        else:
            action.add_argument("--limit", type=arguments.count, help="how many at most")
            action.add_argument(
                "--where",
                type=selection.condition,
                action="append",
                default=[],
                metavar="FIELD=VALUE",
                help=selection.HELP,
            )
        if name in ("list", "show"):
            action.add_argument(
                "--json", action="store_true", help="one JSON object for each message"
            )
    actions.choices["purge"].add_argument(
        "--yes", action="store_true", help="delete; without it they are counted"
    )


@contextlib.asynccontextmanager
async def _parking(options: argparse.Namespace) -> AsyncIterator[Parking]:
    async with connect(options.url, name="gestalt.amq parked", start_timeout=5.0) as bus:
        yield bus.parked(Queue(options.queue, parking=options.parking), codec=options.codec)


async def _list(options: argparse.Namespace) -> list[str]:
    where = selection.all_of(options.where)
    numbers: list[int] = []
    seen = itertools.count(1)

    def chosen(message: ParkedMessage) -> bool:
        number = next(seen)
        if where is not None and not where(message):
            return False
        numbers.append(number)
        return True

    limit = options.limit or LISTED
    async with _parking(options) as parking:
        messages = await parking.list(max(limit, LISTED), where=chosen)
    messages = messages[:limit]
    if options.json:
        return [_as_json(message) for message in messages]
    pairs = zip(numbers, messages, strict=False)
    return [line for number, message in pairs for line in _short(number, message)]


async def _show(options: argparse.Namespace) -> list[str]:
    async with _parking(options) as parking:
        message = await _find(parking, options.which)
    if message is None:
        raise AmqError(f"no message of {options.queue} that is parked has {options.which!r}")
    return [_as_json(message)] if options.json else list(_whole(message))


async def _find(parking: Parking, which: str) -> ParkedMessage | None:
    number = int(which) if which.isascii() and which.isdigit() and len(which) < 10 else 0
    messages = await parking.list(max(number, LISTED))
    found = [message for message in messages if message.message_id == which]
    if not found and 0 < number <= len(messages):
        return messages[number - 1]
    if not found:
        found = await parking.list(1, where=lambda message: message.message_id == which)
    return found[0] if found else None


async def _replay(options: argparse.Namespace) -> list[str]:
    async with _parking(options) as parking:
        count = await parking.replay(options.limit, where=selection.all_of(options.where))
    return [f"{count} sent back to {options.queue}"]


async def _purge(options: argparse.Namespace) -> list[str]:
    where = selection.all_of(options.where)
    async with _parking(options) as parking:
        if options.yes:
            return [f"{await parking.purge(options.limit, where=where)} deleted"]
        count = len(await parking.list(options.limit or LISTED, where=where))
    more = " or more" if options.limit is None and count == LISTED else ""
    raise AmqError(f"{count}{more} would be deleted for good: say --yes to do so")


def _codec(name: str) -> Codec:
    try:
        codec = Codec(name)
    except CodecError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    accept = []
    for compressor in _COMPRESSORS:
        # Those whose library is missing are shown as they are.
        with contextlib.suppress(CodecError):
            Codec(name, accept=[compressor])
            accept.append(compressor)
    return Codec(codec.serializer, accept=accept)


def _short(number: int, message: ParkedMessage) -> Iterator[str]:
    yield plain(f"{number}  {'  '.join(_facts(message))}")
    yield f"    {plain(_what(message))}"
    if message.undecodable is None:
        body = plain(_as_text(message.body))
        yield f"    {body[:MAX_SHOWN]}{'...' if len(body) > MAX_SHOWN else ''}"
    else:
        yield f"    {message.encoded[:MAX_SHOWN]!r}"


def _whole(message: ParkedMessage) -> Iterator[str]:
    for name, value in (
        ("parked", _when(message)),
        ("exchange", message.exchange or "(default)"),
        ("routing key", message.routing_key),
        ("message id", message.message_id),
        ("type", message.type),
        ("attempts", message.attempts),
        ("error", message.error),
        ("reason", message.explanation),
        ("content type", message.content_type),
        ("content encoding", message.content_encoding),
        ("not decoded", message.undecodable),
    ):
        if value is not None:
            yield plain(f"{name + ':':<17} {value}")
    for name, value in message.headers.items():
        yield plain(f"header {name}: {_as_text(value)}")
    yield ""
    if message.undecodable is not None:
        yield repr(message.encoded)
        return
    for line in _as_text(message.body, indent=2).splitlines():
        yield plain(line)


def _facts(message: ParkedMessage) -> Iterator[str]:
    yield _when(message) or "-"
    yield f"{message.exchange or '(default)'} {message.routing_key}"
    if message.type is not None:
        yield message.type
    if message.message_id is not None:
        yield f"id {message.message_id}"
    yield f"attempts {message.attempts}"


def _what(message: ParkedMessage) -> str:
    return f"{message.error}: {message.reason}" if message.error else message.explanation


def _when(message: ParkedMessage) -> str | None:
    if message.parked_at is None:
        return None
    when = point_in_time(message.parked_at)
    return when.isoformat() if when else str(message.parked_at)


def _as_text(body: Any, indent: int | None = None) -> str:
    if isinstance(body, str):
        return body
    try:
        return json.dumps(body, ensure_ascii=False, indent=indent, default=str)
    except TypeError:  # as with keys that are no text
        return repr(body)


def _as_json(message: ParkedMessage) -> str:
    told = {
        "parked_at": _when(message),
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "message_id": message.message_id,
        "type": message.type,
        "attempts": message.attempts,
        "error": message.error,
        "reason": message.reason,
        "explanation": message.explanation,
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "headers": message.headers,
        "undecodable": message.undecodable,
    }
    if message.undecodable is None:
        try:
            return json.dumps({**told, "body": message.body}, default=str)
        except TypeError:
            return json.dumps({**told, "body": repr(message.body)}, default=str)
    body = message.encoded.decode("utf-8", "backslashreplace")
    return json.dumps({**told, "body": body}, default=str)
