"""`hatch run demo query cpu --last 30s`: asks the running collector, and prints its answer."""

import re
import sys

from gestalt.amq import AmqError, connect

from . import rendezvous
from .messages import SERVICE, Query, Statistics, codec

TIMEOUT = 5.0
"""For the connection and for the answer, each in seconds."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "": 1.0}


def duration(text: str) -> float:
    """Seconds: `30s`, `1.5m`, `500ms` or `30`.

    Raises:
        ValueError: it is no duration above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|)", text)
    if match is None or not (seconds := float(match[1]) * _UNITS[match[2]]):
        raise ValueError(f"a duration is written like 30s, 1.5m or 500ms, not {text!r}")
    return seconds


async def ask(what: str, last: float, amqp: str | None) -> None:
    """Ask, and print the answer; exits with status 1 where there is none."""
    url = amqp or rendezvous.find()
    if url is None:
        sys.exit("No demo is running here: start one with `hatch run demo`, or name its --amqp.")
    try:
        async with connect(url, codec=codec, start_timeout=TIMEOUT, name="query") as bus:
            requester = bus.requester(SERVICE, timeout=TIMEOUT)
            answer: Statistics = await requester.request(Query(what, last), idempotent=True)
    except AmqError as error:
        sys.exit(f"The collector did not answer: {error}")
    if not answer.hosts:
        print(f"No {what} samples of the last {last:g} s.")
    for host in answer.hosts:
        print(
            f"{host.host}: {what} over the last {last:g} s: mean {host.mean:.1f} {answer.unit}, "
            f"{host.minimum:.1f} to {host.maximum:.1f}, now {host.latest:.1f} "
            f"({host.count} values)"
        )
