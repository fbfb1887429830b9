"""Acknowledgements, gathered over one turn of the loop and sent as few as possible."""

from __future__ import annotations

import asyncio

from .link import Channel


class Acks:
    """The acknowledgements of one channel, whose deliveries are numbered 1, 2, 3 and so on.

    All deliveries up to the first one that is still worked on are acknowledged by one frame.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._done: set[int] = set()  # to be acknowledged with the next flush
        self._ahead: set[int] = set()  # settled, while an earlier one is not
        self._next = 1  # the first that is not settled
        self._scheduled = False

    def ack(self, tag: int) -> None:
        """Acknowledge a delivery, at the end of this turn of the loop."""
        self._done.add(tag)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def nack(self, tag: int) -> None:
        """Give a delivery back at once."""
        self._channel.nack(tag)
        self._ahead.add(tag)

    def flush(self) -> None:
        """Send what was gathered."""
        self._scheduled = False
        done, ahead = self._done, self._ahead
        if not done:
            return
        last = 0
        while True:
            if self._next in done:
                done.discard(self._next)
                last = self._next
            elif self._next in ahead:
                ahead.discard(self._next)
            else:
                break
            self._next += 1
        if last:
            # Whatever lies below was settled before, or is settled by this.
            self._channel.ack(last, multiple=True)
        for tag in sorted(done):
            self._channel.ack(tag)
        ahead |= done
        done.clear()
