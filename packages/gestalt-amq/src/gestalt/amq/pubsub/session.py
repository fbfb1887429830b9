"""What a subscription has at the broker on one link: its channel, its consumer, its queues."""

from gestalt.amq.link.consumer import Receiver, Session
from gestalt.amq.link.interface import Link, channel_aside

from .broker_consumer import BrokerConsumer


class SubscriptionSession(Session):
    """A session of a subscription.

    Attributes:
        receiver: what messages come by.
        consumer: what has them sent.
        private: the queues that vanish with it.
    """

    receiver: Receiver
    consumer: BrokerConsumer

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.private: list[str] = []

    async def _release(self) -> None:
        if self.private and not self.link.lost.done():
            # By a channel of its own: the session's may have ended.
            async with channel_aside(self.link) as channel:
                for queue in self.private:
                    await channel.delete_queue(queue)
