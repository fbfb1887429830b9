"""The consumer of a session at the broker: how many messages it sends ahead, and whether any."""

import asyncio
from typing import Any

from gestalt.amq.link.consumer import Receiver
from gestalt.amq.link.interface import Link, channel_aside


class BrokerConsumer:
    """Begins to consume from the queue of a receiver, anew with each change.

    A broker fixes the prefetch of a consumer when it begins. What a former consumer was sent and
    has not settled stays with the channel, and does not count for the next one.

    Args:
        receiver: whose queue is consumed from.
        exclusive: be the queue's only consumer, or fail.
        single: the queue serves one consumer at a time.
        arguments: of the consumer.

    Attributes:
        window: how many messages the broker sends ahead; 0 while it sends none.
        begun_at: when the present consumer began, by the loop's clock.
    """

    def __init__(
        self, receiver: Receiver, *, exclusive: bool, single: bool, arguments: dict[str, Any]
    ) -> None:
        self.window = 0
        self.begun_at = 0.0
        self._receiver = receiver
        self._exclusive = exclusive
        self._single = single or exclusive
        self._arguments = arguments

    async def begin(self, window: int) -> None:
        """Consume, in place of the present consumer if there is one.

        Raises:
            TopologyError: the broker refuses.
            LinkLost: the link or the channel ended.
        """
        receiver = self._receiver
        if self._single:
            await self.pause()
        former = receiver.consumer_tag if self.window else None
        await receiver.channel.qos(window)
        self.begun_at = asyncio.get_running_loop().time()
        receiver.consumer_tag = await receiver.channel.consume(
            receiver.queue, exclusive=self._exclusive, arguments=self._arguments
        )
        self.window = window
        if former is not None:
            # Only then: a queue without a consumer would look for another one elsewhere.
            await receiver.channel.cancel(former)

    async def pause(self) -> None:
        """Have no more messages sent; errors as those of `begin`."""
        if self.window:
            self.window = 0
            await self._receiver.channel.cancel(self._receiver.consumer_tag)

    async def waiting(self, link: Link) -> int:
        """How many messages of the queue the broker has not sent; errors as those of `begin`."""
        # On a channel of its own: a queue that has gone would end the one that delivers.
        async with channel_aside(link) as channel:
            ready, _ = await channel.count(self._receiver.queue)
            return ready
