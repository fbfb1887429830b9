"""Moves messages to other queues: each with confirmation, and a queue that refuses hurts itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from gestalt.amq.declare import declare_aside
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
from gestalt.amq.wire import Properties

# How many copies may await their confirmation by one queue: a silent one holds back its own.
IN_FLIGHT = 100
# The first pause after a failure, and the longest, in seconds.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# How long a channel lives before a rejection makes it be replaced, in seconds.
MIN_CHANNEL_AGE = 1.0


class CopyRefused(AmqError):  # noqa: N818 - reads as what happened
    """The broker closed the channel that copies were published by, because of one of them."""


class Place:
    """A queue that messages are moved to.

    Args:
        name: its name.
        arguments: those of its declaration.
        exclusive: it is the consuming connection's own.
        given: one that exists is used as it is.

    Attributes:
        trouble: why nothing can be moved there, None while it can.
        opening: done when it is worth another try, None while nothing is against it.
    """

    def __init__(
        self, name: str, arguments: Mapping[str, Any], *, exclusive: bool, given: bool
    ) -> None:
        self.name = name
        self.trouble: AmqError | None = None
        self.opening: asyncio.Future[None] | None = None
        self.room = asyncio.Semaphore(IN_FLIGHT)
        self.declaring = asyncio.Lock()
        # On which link it was declared last.
        self.declared: Link | None = None
        self._arguments = arguments
        self._exclusive = exclusive
        self._given = given
        self._declared_at = 0.0
        self._failed_at = -1.0
        self._pause = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def declare(self, link: Link) -> None:
        """Declare it, or see that it exists; errors as those of `declare_aside`."""
        await declare_aside(
            link, self.name, self._arguments, exclusive=self._exclusive, given=self._given
        )
        self.declared = link
        self._declared_at = asyncio.get_running_loop().time()

    def miss(self, since: float) -> None:
        """It was not there when something was to be moved, since when nobody has declared it."""
        if self._declared_at <= since:
            self.declared = None

    def fail(self, error: AmqError) -> bool:
        """Nothing could be moved there: pause, longer each time; False when it pauses already."""
        loop = asyncio.get_running_loop()
        self._failed_at = loop.time()
        if self.opening is not None:
            return False
        self.trouble = error
        self.opening = loop.create_future()
        self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
        self._timer = loop.call_later(self._pause, self._open)
        return True

    def succeed(self) -> None:
        """Something was moved there."""
        if self.trouble is not None:
            self.trouble = None
            self._pause = 0.0
            self._open()

    def check(self, since: float) -> None:
        """Raise the error of a try that was made since, by the loop's clock."""
        if self.trouble is not None and self._failed_at >= since:
            raise AmqError(str(self.trouble))

    def forget(self) -> None:
        """Nothing is to be moved there any more: let nobody wait, or look after it."""
        self.trouble = None
        self._open()

    def _open(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.opening is not None:
            self.opening.set_result(None)
            self.opening = None


class Mover:
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

    async def move(
        self,
        place: Place,
        body: bytes,
        properties: Callable[[int], Properties],
        *,
        alone: bool = False,
    ) -> None:
        """Publish a copy, and return when the broker has confirmed it; wait as long as it takes.

        Args:
            properties: makes those of the copy, given what a frame of the channel carries.
            alone: by a channel of its own, so that a refusal cannot be another's fault.

        Raises:
            CopyRefused: the broker closed the channel, for this copy or for another.
            AmqError: it could not be moved.
            ValueError: the copy cannot be written.
        """
        began = asyncio.get_running_loop().time()
        async with place.room:
            try:
                await self._move(place, body, properties, alone, began)
            except Unroutable:
                # It was deleted meanwhile, and is declared again.
                place.miss(began)
                await self._move(place, body, properties, alone, began)

    async def declare(self, place: Place) -> None:
        """Declare a place, or see that it exists; errors as those of `declare_aside`."""
        await place.declare(await self._consuming.wait_link())

    async def close(self) -> None:
        """Close what is open."""
        channels, self._channel = {*self._using, self._channel}, None
        self._using.clear()
        for channel in channels:
            if channel is not None:
                with contextlib.suppress(AmqError):
                    await channel.close()

    async def _move(
        self,
        place: Place,
        body: bytes,
        properties: Callable[[int], Properties],
        alone: bool,
        began: float,
    ) -> None:
        place.check(began)
        link = await self._publishing.wait_link()
        if link.blocked is not None:
            raise Blocked(f"the broker blocks publishers: {link.blocked}")
        async with place.declaring:
            place.check(began)
            declaring = await self._consuming.wait_link()
            if place.declared is not declaring:
                await place.declare(declaring)
        channel = await (link.open_channel(confirms=True) if alone else self._shared(link))
        await self._publish(channel, place, body, properties)

    async def _publish(
        self,
        channel: Channel,
        place: Place,
        body: bytes,
        properties: Callable[[int], Properties],
    ) -> None:
        self._using[channel] = self._using.get(channel, 0) + 1
        try:
            await channel.publish(
                "", place.name, properties(channel.frame_limit), body, mandatory=True
            )
        except (LinkLost, Refused) as error:
            await self._used(channel)
            if channel.closed.done() and isinstance(channel.closed.result(), TopologyError):
                raise CopyRefused(str(error)) from error
            raise
        except Rejected:
            # By a channel that knew a quorum queue's former leader, RabbitMQ (seen with 3.10)
            # rejects for good, while a new channel works.
            now = asyncio.get_running_loop().time()
            if channel is self._channel and now - self._opened_at > MIN_CHANNEL_AGE:
                self._channel = None
            await self._used(channel)
            raise
        except Exception:
            await self._used(channel)
            raise
        await self._used(channel)

    async def _used(self, channel: Channel) -> None:
        """A copy has its answer: close a channel that no other copy needs."""
        left = self._using.pop(channel, 1) - 1
        if left:
            self._using[channel] = left
        elif channel is not self._channel:
            with contextlib.suppress(AmqError):
                await channel.close()

    async def _shared(self, link: Link) -> Channel:
        async with self._opening:
            channel = self._channel
            if channel is None or channel.closed.done() or self._link is not link:
                channel = self._channel = await link.open_channel(confirms=True)
                self._link = link
                self._opened_at = asyncio.get_running_loop().time()
            return channel
