"""What one who takes part in a partitioned queue says to the others."""

import contextlib
from collections.abc import Callable

from gestalt.amq.errors import AmqError
from gestalt.amq.headers import CONTROL_HEADER, INSTANCE_HEADER, QUEUE_HEADER
from gestalt.amq.link.interface import Channel, Link
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.wire import Properties


class Voice:
    """Says what the others are to know, by the connection that publishes.

    Not by the one that consumes: a broker that is short of memory reads nothing more, not even
    acknowledgements, from a connection by which it was sent a message. What cannot be said now is
    left out, since it is said again.

    Args:
        publishing: the connection.
        exchange: leads to all who take part.
        instance: the name of the one who speaks.
        gone: is told a queue of another one which is not there any more.
    """

    def __init__(
        self,
        publishing: Supervisor,
        exchange: str,
        instance: str,
        gone: Callable[[str], None],
    ) -> None:
        self._publishing = publishing
        self._exchange = exchange
        self._instance = instance
        self._gone = gone
        self._link: Link | None = None
        self._channel: Channel | None = None

    async def open(self) -> bool:
        """Have a channel, where there is a connection that takes messages now.

        One call at a time.

        Returns:
            whether it is a new one.

        Raises:
            LinkLost: the connection ended. ChannelsExhausted: it has no channel left.
        """
        link = self._publishing.link
        if link is None or link.lost.done() or link.blocked is not None:
            return False
        if self._channel is not None and not self._channel.closed.done():
            return False
        self._channel = await link.open_channel(
            on_returned=lambda delivery: self._gone(delivery.routing_key)
        )
        self._link = link
        return True

    def say(self, word: str, queue: str, *, to: str | None = None) -> None:
        """Say a word to all, or to the one who is reached by a queue.

        Args:
            queue: by which the one who speaks is reached.
        """
        if self._link is None or self._channel is None or self._link.blocked is not None:
            return
        headers = {CONTROL_HEADER: word, INSTANCE_HEADER: self._instance, QUEUE_HEADER: queue}
        exchange, key = (self._exchange, "") if to is None else ("", to)
        with contextlib.suppress(AmqError):
            self._channel.send(
                exchange, key, Properties(headers=headers), b"", mandatory=to is not None
            )

    async def close(self) -> None:
        """Close the channel; a broker that does not answer for a while is not waited for."""
        (channel, self._channel), (link, self._link) = (self._channel, None), (self._link, None)
        if channel is not None and link is not None and not channel.closed.done():
            await link.take_leave(channel.close)
