"""Whether replies come through, seen before a request depends on it."""

import asyncio
import contextlib
import logging
import os

from gestalt.amq.errors import LinkLost
from gestalt.amq.link.interface import Channel, Link
from gestalt.amq.wire import TRANSIENT, Delivery, Properties

from . import protocol
from .calls import Call

logger = logging.getLogger("gestalt.amq")

# Before another one is sent, and how long they are waited for, in seconds.
PAUSE = 0.05
PATIENCE = 10.0


class Echo(Call[None]):
    """A reply to oneself, by the channel that requests are sent by; done when it has come.

    While a node starts, RabbitMQ 3.12 to 4.1 takes connections and routes requests, and drops
    without a word what is sent by direct reply-to: callers would wait for their deadline.

    Args:
        channel: what it is sent by, and comes back to.
    """

    def __init__(self, channel: Channel) -> None:
        super().__init__(os.urandom(16).hex(), "echo", asyncio.get_running_loop())
        self._channel = channel
        self._address: str | None = None

    async def come(self, link: Link) -> None:
        """Wait until it has come; for so long that it never will, that is logged.

        Args:
            link: of the channel.

        Raises:
            LinkLost: the channel has ended.
        """
        now = asyncio.get_running_loop().time
        until = now() + PATIENCE
        # No queue takes it: it is returned, with the address that the broker gave it for replies.
        self._send(self.correlation_id, mandatory=True)
        while True:
            await asyncio.wait({self}, timeout=PAUSE)
            if self.done():
                self.result()
                return
            if link.blocked is not None:  # pragma: no cover - RabbitMQ 3.12 to 4.1, starting
                until = now() + PATIENCE
            elif now() > until:  # pragma: no cover - RabbitMQ 3.12 to 4.1, starting
                logger.warning(
                    "%s: nothing comes through direct reply-to within %g s: requests may get no "
                    "replies",
                    link.place,
                    PATIENCE,
                )
                return
            if self._address is not None:  # pragma: no cover - RabbitMQ 3.12 to 4.1, starting
                self._send(self._address)

    def take(self, _: Delivery) -> None:
        self.set_result(None)

    def take_returned(self, delivery: Delivery) -> None:
        self._address = delivery.properties.reply_to
        if self._address is None or self._address == protocol.REPLY_TO:
            # A broker that leaves it as it was in what it returns: nothing can be seen.
            self.set_result(None)  # pragma: no cover - no such broker is known
            return  # pragma: no cover - no such broker is known
        # Where the channel has ended, so has this.
        with contextlib.suppress(LinkLost):
            self._send(self._address)

    def _send(self, routing_key: str, *, mandatory: bool = False) -> None:
        properties = Properties(
            correlation_id=self.correlation_id,
            reply_to=protocol.REPLY_TO,
            delivery_mode=TRANSIENT,
        )
        self._channel.send("", routing_key, properties, b"", mandatory=mandatory)
