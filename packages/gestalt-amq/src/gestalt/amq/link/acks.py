"""Acknowledgements, gathered over one turn of the loop and sent as few as possible."""

from .interface import Channel

# So many deliveries may be settled ahead of one that is not, before that one is passed over.
MOST_AHEAD = 1000


class Acks:
    """The acknowledgements of one channel, whose deliveries are numbered 1, 2, 3 and so on.

    All deliveries up to the first one that is still worked on are acknowledged by one frame.

    Args:
        channel: where deliveries are acknowledged.
        most_ahead: how many are remembered as settled ahead of one that is not.
    """

    def __init__(self, channel: Channel, *, most_ahead: int = MOST_AHEAD) -> None:
        self._channel = channel
        self._most_ahead = most_ahead
        self._done: set[int] = set()  # to be acknowledged with the next flush
        self._ahead: set[int] = set()  # settled, while an earlier one is not
        self._next = 1  # the first that is not settled, but for those passed over
        self._passed: set[int] = set()  # passed over: acknowledged by themselves
        self._scheduled = False

    def ack(self, tag: int) -> None:
        """Acknowledge a delivery, at the end of this turn of the loop."""
        self._done.add(tag)
        if not self._scheduled:
            self._scheduled = True
            self._channel.before_flush(self.flush)

    def nack(self, tag: int) -> None:
        """Give a delivery back at once."""
        self._channel.nack(tag)
        if tag in self._passed:
            self._passed.discard(tag)
        else:
            self._ahead.add(tag)

    @property
    def remembered(self) -> int:
        """How many deliveries it has to remember."""
        return len(self._done) + len(self._ahead) + len(self._passed)

    def flush(self) -> None:
        """Send what was gathered."""
        self._scheduled = False
        done, ahead = self._done, self._ahead
        if not done:
            return
        last = 0
        for tag in sorted(done & self._passed) if self._passed else ():
            self._passed.discard(tag)
            done.discard(tag)
            self._channel.ack(tag)
        while True:
            if self._next in done:
                if self._passed:
                    break
                done.discard(self._next)
                last = self._next
            elif self._next in ahead:
                ahead.discard(self._next)
            elif len(ahead) > self._most_ahead:
                # It may take for ever, and what is settled ahead of it must not add up.
                self._passed.add(self._next)
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
