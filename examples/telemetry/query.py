"""`hatch run demo query cpu --last 30s`: asks the running collector."""

import sys

from gestalt.amq import AmqError, connect

from . import rendezvous
from .messages import SERVICE, Query, Statistics, codec

TIMEOUT = 5.0
"""For the connection and for the answer, each in seconds."""


class Question:
    """What is asked, and what was answered.

    Args:
        what: about which value; one of SUBJECTS.
        last: over how many seconds.
        amqp: the collector's broker; None for that of the demo on this host.

    Attributes:
        answer: a line for each host.
    """

    def __init__(self, what: str, last: float, amqp: str | None) -> None:
        self.answer: list[str] = []
        self._what = what
        self._last = last
        self._amqp = amqp

    async def ask(self) -> None:
        """Ask; exits with a sentence where there is no answer."""
        url = self._amqp or rendezvous.find()
        if url is None:
            sys.exit("No demo is running here: start one with `hatch run demo`, or name its --amqp")
        query = Query(self._what, self._last)
        try:
            async with connect(url, codec=codec, start_timeout=TIMEOUT, name="query") as bus:
                requester = bus.requester(SERVICE, timeout=TIMEOUT)
                found: Statistics = await requester.request(query, idempotent=True)
        except AmqError as error:
            sys.exit(f"The collector did not answer: {error}")
        about = f"{self._what} over the last {self._last:g} s"
        self.answer = [
            f"{host.host}: {about}: mean {host.mean:.1f} {found.unit}, "
            f"{host.minimum:.1f} to {host.maximum:.1f}, now {host.latest:.1f} ({host.count} values)"
            for host in found.hosts
        ] or [f"No {self._what} samples of the last {self._last:g} s."]
