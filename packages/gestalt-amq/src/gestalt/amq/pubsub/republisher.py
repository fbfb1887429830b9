"""Moves messages to other queues: each with confirmation, and a queue that refuses hurts itself."""

import asyncio
import contextlib
from collections.abc import Callable

from gestalt.amq.errors import (
    AmqError,
    Blocked,
    LinkLost,
    Refused,
    Rejected,
    TopologyError,
    Unroutable,
)
from gestalt.amq.link.interface import Channel, Link
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.link.watch import NEVER, Watch
from gestalt.amq.wire import Properties

from .target_queue import Route, TargetQueue

# How long a channel lives before a rejection makes it be replaced, in seconds.
MIN_CHANNEL_AGE = 1.0


class CopyRefused(AmqError):
    """The broker closed the channel that copies were published by, because of one of them."""


class Republisher:
    """Publishes copies, by a channel that it opens when there is something to move.

    Args:
        publishing: the connection that publishes.
        consuming: the connection that declares, which has the exclusive queues.
    """

    def __init__(self, publishing: Supervisor, consuming: Supervisor) -> None:
        self._publishing = publishing
        self._consuming = consuming
        self._channel: Channel | None = None
        self._link: Link | None = None
        self._opened_at = 0.0
        self._opening = asyncio.Lock()
        # How many copies await their confirmation by each channel.
        self._using: dict[Channel, int] = {}
        self._watch = Watch(publishing.silence_timeout)
        self._timer: asyncio.TimerHandle | None = None
        # What asks whether a silent channel lives.
        self._asking: set[asyncio.Task[None]] = set()

    async def move(
        self,
        queue: TargetQueue,
        route: Route,
        body: bytes,
        properties: Callable[[int], Properties],
        *,
        alone: bool = False,
    ) -> None:
        """Publish a copy, and return when the broker has confirmed it; wait as long as it takes.

        Args:
            queue: where it goes.
            route: how it gets there.
            properties: makes those of the copy, given what a frame of the channel carries.
            alone: by a channel of its own, so that a refusal cannot be another's fault.

        Raises:
            CopyRefused: the broker closed the channel, for this copy or for another.
            AmqError: it could not be moved.
            ValueError: the copy cannot be written.
        """
        began = asyncio.get_running_loop().time()
        async with queue.in_flight:
            try:
                await self._move(queue, route, body, properties, alone, began)
            except Unroutable:
                # It was deleted meanwhile, and is declared again.
                queue.miss(began)
                await self._move(queue, route, body, properties, alone, began)

    async def probe(self, queue: TargetQueue) -> None:
        """Declare a queue, or see that it exists, and that something may be published to it.

        Raises:
            AmqError: one of them is not so.
        """
        await queue.declare(await self._consuming.wait_link())
        link = await self._publishing.wait_link(answering=True)
        channel = await link.open_channel(transactions=True)
        try:
            # The broker examines it as any message, and forgets it.
            route = queue.route(0.0)
            properties = Properties(headers=dict(route.headers))
            channel.send(route.exchange, route.routing_key, properties, b"")
            await channel.rollback()
        finally:
            with contextlib.suppress(AmqError):
                await channel.close()

    async def close(self) -> None:
        """Close what is open."""
        if self._timer is not None:
            self._timer.cancel()
        for asking in self._asking:
            asking.cancel()
        channels, self._channel = {*self._using, self._channel}, None
        self._using.clear()
        for channel in channels:
            if channel is not None:
                with contextlib.suppress(AmqError):
                    await channel.close()

    async def _move(
        self,
        queue: TargetQueue,
        route: Route,
        body: bytes,
        properties: Callable[[int], Properties],
        alone: bool,
        began: float,
    ) -> None:
        queue.check(began)
        link = await self._publishing.wait_link()
        if link.blocked is not None:
            raise Blocked(f"the broker blocks publishers: {link.blocked}")
        async with queue.declaring:
            queue.check(began)
            declaring = await self._consuming.wait_link()
            if queue.declared is not declaring:
                await queue.declare(declaring)
        channel = await (link.open_channel(confirms=True) if alone else self._shared(link))
        await self._publish(channel, route, body, properties)

    async def _publish(
        self,
        channel: Channel,
        route: Route,
        body: bytes,
        properties: Callable[[int], Properties],
    ) -> None:
        self._using[channel] = self._using.get(channel, 0) + 1
        if self._timer is None and self._watch.interval < NEVER:
            self._look_later()
        try:
            await channel.publish(
                route.exchange,
                route.routing_key,
                properties(channel.frame_limit),
                body,
                mandatory=True,
            )
        except (LinkLost, Refused) as error:
            if channel.closed.done() and isinstance(channel.closed.result(), TopologyError):
                raise CopyRefused(str(error)) from error
            raise
        except Rejected:
            # By a channel that knew a quorum queue's former leader, RabbitMQ (seen with 3.10)
            # rejects for good, while a new channel works.
            now = asyncio.get_running_loop().time()
            if channel is self._channel and now - self._opened_at > MIN_CHANNEL_AGE:
                self._channel = None
            raise
        finally:
            await self._used(channel)

    async def _used(self, channel: Channel) -> None:
        """A copy has its answer: close a channel that no other copy needs."""
        left = self._using.pop(channel, 1) - 1
        if left:
            self._using[channel] = left
        elif channel is not self._channel:
            with contextlib.suppress(AmqError):
                await channel.close()

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._watch.interval, self._look)

    def _look(self) -> None:
        """See whether the shared channel still confirms what it is given."""
        self._timer = None
        if not self._using:
            return
        self._look_later()
        channel, link = self._channel, self._link
        if channel is None or link is None or link.blocked is not None:
            self._watch.excuse()
            return
        # Copies wait for as long as it takes: nobody else would say that this is too long.
        self._watch.look(channel.confirms, ran_out=True)
        if self._watch.hangs.is_set():
            waiting = self._using.get(channel, 0)
            self._publishing.note_silence("failed messages", self._watch.replace(), waiting)
            # What waits there may still be confirmed, unless the channel does not even answer.
            self._channel = None
            asking = asyncio.create_task(self._ask(channel), name="ask a silent channel")
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)

    async def _ask(self, channel: Channel) -> None:
        with contextlib.suppress(AmqError):
            if await channel.answers() and channel not in self._using:
                await channel.close()

    async def _shared(self, link: Link) -> Channel:
        async with self._opening:
            channel = self._channel
            if channel is None or channel.closed.done() or self._link is not link:
                channel = self._channel = await link.open_channel(confirms=True)
                self._link = link
                self._watch.begin()
                self._opened_at = asyncio.get_running_loop().time()
            return channel
