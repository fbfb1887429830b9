"""How an instance of a service leaves: no request is lost, and none is worked on twice."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gestalt.amq.headers import CONTROL_HEADER
from gestalt.amq.link.consumer import Receiver
from gestalt.amq.link.interface import Channel
from gestalt.amq.wire import TRANSIENT, Delivery, Properties

from . import protocol
from .replies import Replies

# How long the last instance takes requests off the queue only to refuse them, in seconds.
EMPTYING = 1.0


class Departure:
    """Takes an instance out of its service, and hands what it has not begun to others.

    The queue that instances share goes with the last of them, which says so to whoever waits in it.

    Args:
        service: the name of the service.
        concurrency: how many requests the broker sends ahead.
        declares: the queue is its instances' own, and goes with the last; otherwise it stays.
        backlog: what was delivered and not begun, each with what it came by.
        replies: tells callers.
        take: takes a request that is still in the queue.
        abandon: tells the caller of a request that another instance may have begun.
    """

    def __init__(
        self,
        service: str,
        concurrency: int,
        declares: bool,
        backlog: deque[tuple[Receiver, Delivery]],
        replies: Replies,
        *,
        take: Callable[[Receiver, Delivery], None],
        abandon: Callable[[Delivery], None],
    ) -> None:
        self._service = service
        self._queue = protocol.request_queue(service)
        self._concurrency = concurrency
        self._declares = declares
        self._backlog = backlog
        self._replies = replies
        self._take = take
        self._abandon = abandon
        self._probe_returned = False

    async def leave(self, requests: Receiver, instance: Receiver) -> None:
        """Take no more requests, and leave those that were not begun to other instances.

        Args:
            requests: takes from the queue that all instances share.
            instance: takes what is for this instance alone.

        Raises:
            AmqError: the connection was lost, and the broker gives everything to others.
        """
        if not requests.consumer_tag:
            return  # pragma: no cover - stopped while it began
        channel = requests.channel
        if self._declares:
            await channel.unbind(instance.queue, protocol.SERVING.name, self._service)
            await self._close_unless(self._serves, requests)
            await channel.cancel(requests.consumer_tag)
        else:
            # Whoever begins consumes first, and then binds.
            await channel.cancel(requests.consumer_tag)
            await self._close_unless(self._has_consumers, requests)
        self._give_back(instance)
        # A round trip: what was given back and is returned comes before its end.
        await channel.qos(1)

    def take_returned(self, delivery: Delivery) -> None:
        """Take what the broker returned: a probe, or a request that was given back."""
        if CONTROL_HEADER in (delivery.properties.headers or {}):
            self._probe_returned = True
        else:
            self._replies.status(delivery, protocol.UNSERVED)

    async def _close_unless(
        self, others: Callable[[Channel], Awaitable[bool]], requests: Receiver
    ) -> None:
        """Have no more requests routed to the queue, and take those that wait, unless there are
        other instances."""
        channel = requests.channel
        if await others(channel):
            return
        # What the broker routes to a queue while that ends, it loses.
        await channel.unbind(self._queue, protocol.REQUESTS.name, self._service)
        if await others(channel):
            await channel.bind(self._queue, protocol.REQUESTS.name, self._service)
        else:
            await self._empty(requests)

    async def _has_consumers(self, channel: Channel) -> bool:
        """Whether an instance consumes from the queue."""
        _, consumers = await channel.count(self._queue)
        return consumers > 0

    async def _serves(self, channel: Channel) -> bool:
        """Whether an instance serves; however many stop at once, the last finds that none does."""
        self._probe_returned = False
        probe = Properties(headers={CONTROL_HEADER: protocol.PROBE}, delivery_mode=TRANSIENT)
        channel.send(protocol.SERVING.name, self._service, probe, b"", mandatory=True)
        # A round trip: what is returned comes before its end.
        await channel.qos(self._concurrency)
        return not self._probe_returned

    async def _empty(self, requests: Receiver) -> None:
        """Take what waits in the queue, which goes with its last consumer."""
        now = asyncio.get_running_loop().time
        until = now() + EMPTYING
        while now() < until and (delivery := await requests.channel.get(self._queue)) is not None:
            self._take(requests, delivery)

    def _give_back(self, instance: Receiver) -> None:
        """Leave what was not begun to other instances; where there is none, say so."""
        while self._backlog:
            receiver, delivery = self._backlog.popleft()
            if receiver.channel.closed.done():  # pragma: no cover - lost while it leaves
                continue
            if receiver is instance:
                self._replies.status(delivery, protocol.UNSERVED)
            elif protocol.may_have_begun(delivery):
                self._abandon(delivery)  # pragma: no cover - it came from one that was cut
            else:
                self._send_again(receiver.channel, delivery)
            receiver.acks.ack(delivery.tag)

    def _send_again(self, channel: Channel, delivery: Delivery) -> None:
        # Not by nack: the next instance would take it for one that was begun here.
        # Its user is checked by the broker, and is not ours.
        properties = replace(delivery.properties, user_id=None)
        left = protocol.remaining(properties.headers or {})
        if left is not None:  # pragma: no branch - others send requests without it
            left = min(max(0.0, left), protocol.MAX_LEFT)
            properties = replace(properties, expiration=str(round(left * 1000)))
        channel.send(
            protocol.REQUESTS.name, self._service, properties, delivery.body, mandatory=True
        )
