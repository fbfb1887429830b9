"""The arguments that subjects share, read and checked."""

import argparse
import math

from gestalt.amq.link.address import parse

DEFAULT_URL = "amqp://guest:guest@localhost/"


def add_url(parser: argparse.ArgumentParser) -> None:
    """Let a command be told where the broker is."""
    parser.add_argument("--url", type=url, default=DEFAULT_URL, help="the broker (%(default)s)")


def url(text: str) -> str:
    """A broker's URL."""
    try:
        parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"a broker's URL is written like amqp://user:password@host:5672/: {error}"
        ) from None
    return text


def name(text: str) -> str:
    """The name of a queue or a service."""
    if not 0 < len(text.encode(errors="surrogateescape")) <= 255:
        raise argparse.ArgumentTypeError(f"a name has from 1 to 255 bytes, not as {text[:20]!r}")
    return text


def count(text: str) -> int:
    """How many at most."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"a limit is a whole number above 0, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """How long to wait."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"a timeout is a number of seconds above 0, not {text!r}")
    return number
