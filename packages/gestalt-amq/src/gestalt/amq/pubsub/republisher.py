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
from gestalt.amq.link.interface import Channel, Confirm, Link, channel_aside
from gestalt.amq.link.silence import Silence
from gestalt.amq.link.spawn import Spawn
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.link.watch import NEVER
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
        spawn: runs what closes channels, and is over before `close`.
    """

    def __init__(self, publishing: Supervisor, consuming: Supervisor, spawn: Spawn) -> None:
        self._publishing = publishing
        self._consuming = consuming
        self._channel: Channel | None = None
        self._link: Link | None = None
        self._opened_at = 0.0
        self._opening = asyncio.Lock()
        self._silence = Silence("failed messages", publishing, spawn)
        # Looks at the shared channel while something is in flight by it.
        self._timer: asyncio.TimerHandle | None = None

    async def move(
        self,
        queue: TargetQueue,
        route: Route,
        body: bytes,
        properties: Callable[[int], Properties],
        *,
        alone: bool,
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
        async with channel_aside(link, transactions=True) as channel:
            # The broker examines it as any message, and forgets it.
            route = queue.route(0.0)
            properties = Properties(headers=dict(route.headers))
            channel.send(route.exchange, route.routing_key, properties, b"")
            await channel.rollback()

    async def close(self) -> None:
        """Close what is open."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        channel, self._channel = self._channel, None
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
        try:
            confirm = self._publish(channel, route, body, properties)
        finally:
            if alone:
                self._silence.let_go(channel)
        await self._wait_confirmed(channel, confirm)

    def _publish(
        self, channel: Channel, route: Route, body: bytes, properties: Callable[[int], Properties]
    ) -> Confirm:
        if self._timer is None:
            self._look_later()
        return channel.publish(
            route.exchange,
            route.routing_key,
            properties(channel.frame_limit),
            body,
            mandatory=True,
        )

    async def _wait_confirmed(self, channel: Channel, confirm: Confirm) -> None:
        try:
            await confirm
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
                self._silence.let_go(channel)
            raise

    def _look_later(self) -> None:
        interval = self._silence.watch.interval
        if interval < NEVER:  # pragma: no branch - where nothing is looked for
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(interval, self._look)

    def _look(self) -> None:
        """See whether the shared channel still confirms what it is given."""
        self._timer = None
        channel, link = self._channel, self._link
        if channel is None or link is None or not channel.unconfirmed():
            self._silence.look(None, ran_out=False)
            return
        progress = channel.confirms if link.blocked is None else None
        # Copies wait for as long as it takes: nobody else would say that this is too long.
        self._silence.look(progress, ran_out=True)
        if self._silence.watch.hangs.is_set():
            # What waits there may still be confirmed, unless the channel does not even answer.
            self._channel = None
            self._silence.replace(channel)
        else:
            self._look_later()

    async def _shared(self, link: Link) -> Channel:
        async with self._opening:
            channel = self._channel
            if channel is None or channel.closed.done() or self._link is not link:
                channel = self._channel = await link.open_channel(confirms=True)
                self._link = link
                self._silence.watch.begin()
                self._opened_at = asyncio.get_running_loop().time()
            return channel
