"""The channel by which messages are published to one exchange."""

import asyncio
from dataclasses import replace

from gestalt.amq.declaring import declare_exchange
from gestalt.amq.errors import OutcomeUnknown, Refused, Rejected
from gestalt.amq.link.channel_keeper import ChannelKeeper, Surroundings
from gestalt.amq.link.interface import Channel, Link, channel_aside
from gestalt.amq.link.preflight import Question
from gestalt.amq.link.watch import Progress
from gestalt.amq.topology import Exchange

from .plans import plan_publishing

# How long a channel lives before a rejection makes it be replaced, in seconds.
MIN_CHANNEL_AGE = 1.0
# After a pause of so many seconds an exchange may have been deleted meanwhile.
HOLDS = 1.0


class ExchangeKeeper(ChannelKeeper):
    """Declares an exchange on every link, and keeps a channel with confirmations.

    Args:
        exchange: to which everything is published.
        surroundings: as `ChannelKeeper` has them.

    Attributes:
        plan: what it needs at the broker.
    """

    def __init__(self, exchange: Exchange, surroundings: Surroundings) -> None:
        self.exchange = exchange
        self.plan = plan_publishing(exchange)
        self._declared = exchange if surroundings.declare else replace(exchange, declare=False)
        self._replace = asyncio.Event()
        super().__init__(f"exchange {exchange.name!r}", surroundings)
        self._by_key = exchange.type == "topic" and exchange.name != ""
        if not self._by_key:
            # Permissions depend on the routing key with topic exchanges only.
            self._permissions.many_routes = 0
        if exchange.name:
            self._permissions_last = HOLDS

    def note_rejection(self, error: Rejected) -> None:
        """The broker has not taken a message."""
        if not isinstance(error, Refused):
            self._replace.set()

    async def _open_channel(self, link: Link) -> Channel:
        channel = await link.open_channel(confirms=True)
        await declare_exchange(channel, self._declared)
        return channel

    def _route(self, question: Question) -> str:
        return question.routing_key if self._by_key else ""

    async def _restore(self, link: Link) -> bool:
        if self.exchange.predeclared or not self._declared.declare:
            return False
        async with channel_aside(link) as channel:
            await declare_exchange(channel, self._declared)
        return True

    def _expire(self, pending: asyncio.Future[None]) -> None:
        why = f"the broker blocks publishers: {self.blocked}" if self.blocked else "no answer"
        pending.set_exception(
            OutcomeUnknown(f"the message was sent, and not confirmed in time: {why}")
        )

    async def _wait_ended(self, channel: Channel) -> None:
        """Wait until the channel has ended, or is to be replaced.

        When a quorum queue's leader fails, RabbitMQ (seen with 3.10) rejects what comes by a
        channel that knew it, for good, while a new channel works: a rejection costs the channel.
        """
        self._replace = asyncio.Event()
        # A full queue rejects as well: not every rejection is worth a channel.
        ends = (self._over, self.silence.watch.hangs)
        await self._first_of(channel, *ends, timeout=MIN_CHANNEL_AGE)
        if not any(end.is_set() for end in ends):
            await self._first_of(channel, *ends, self._replace)

    def _progress(self, channel: Channel) -> Progress:
        return channel.confirms
