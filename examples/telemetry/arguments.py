"""What may stand on the command line, and what is said where it may not."""

import argparse
import math
import re
from urllib.parse import urlsplit

from gestalt.net import Address, AddressError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "": 1.0}


def duration(text: str) -> float:
    """Seconds above 0: `30s`, `1.5m`, `500ms` or `30`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|)", text, re.ASCII)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(
            f"a duration is written like 30s, 1.5m or 500ms, not {text!r}"
        )
    return seconds


def port(text: str) -> int:
    """The number of a port; 0 for any that is free."""
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def address(text: str) -> str:
    """Where a collector listens."""
    try:
        Address.parse(text, ("tcp", "udp", "unix"))
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def broker(text: str) -> str:
    """The URL of a broker. What is said of a wrong one does not repeat it: it has a password."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("amqp", "amqps") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise argparse.ArgumentTypeError(
            "a broker's URL is written like amqp://user:password@host:5672/"
        )
    return text
