"""Messages that could not be handled: looking at them, sending them back, and deleting them."""

import asyncio
import builtins
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace

from gestalt.amq.errors import (
    AmqError,
    BatchError,
    LinkLost,
    OutcomeUnknown,
    PublishError,
    Rejected,
    TopologyError,
    Unroutable,
)
from gestalt.amq.headers import (
    ATTEMPTS_HEADER,
    ERROR_HEADER,
    LEFT_OUT_HEADER,
    PARKED_AT_HEADER,
    QUEUE_HEADER,
    REASON_HEADER,
    error_text,
)
from gestalt.amq.link.interface import Channel, Link, channel_aside
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.message import describe_message
from gestalt.amq.wire import Delivery
from gestalt.codecs import Codec, Codecs

from .copies import copy_properties
from .parked_message import ParkedMessage, parked_message

# For the confirmation of what is sent back, in seconds.
CONFIRM_TIMEOUT = 30.0

Where = Callable[[ParkedMessage], bool]


class Parking:
    """The parked messages of one queue; made by `Bus.parked`.

    Each of its calls has a connection of its own, so that whatever the messages hold, nothing
    else is hurt.

    Args:
        connection: makes a connection.
        codec: decodes bodies, to look at them; they are sent back as they came.
        queue: where messages are sent back to.
        parking: the queue of those that are parked.
    """

    def __init__(
        self, connection: Callable[[], Supervisor], codec: Codec | Codecs, queue: str, parking: str
    ) -> None:
        self._connection = connection
        self._codec = codec
        self._queue = queue
        self._parking = parking

    async def list(
        self, limit: int = 100, *, where: Where | None = None
    ) -> builtins.list[ParkedMessage]:
        """Look at the first `limit` messages, which stay where they are.

        Args:
            limit: how many at most.
            where: chooses; all by default.

        Raises:
            TopologyError: the queue has no parking.
            ConnectError: there was no connection within the start's time.
            LinkLost: the connection was lost.
        """
        async with self._link() as link, channel_aside(link, confirms=True) as channel:
            found: builtins.list[ParkedMessage] = []
            # What is taken and not acknowledged goes back.
            while len(found) < limit and (delivery := await channel.get(self._parking)):
                message = parked_message(delivery, self._codec)
                if where is None or where(message):
                    found.append(message)
            return found

    async def replay(
        self,
        limit: int | None = None,
        *,
        where: Where | None = None,
    ) -> int:
        """Send messages back to their queue, as if they had never been handled.

        Each is published with confirmation before it is taken out of the parking.

        Args:
            limit: how many at most; None for all that are there now.
            where: chooses; all by default. The others stay.

        Returns:
            how many were sent back.

        Raises:
            TopologyError: the queue has no parking.
            Unroutable: the queue itself is gone.
            BatchError: some could not be sent back, and stay parked; all others were.
            ConnectError: there was no connection within the start's time.
            LinkLost: the connection was lost; what was sent back by then is counted nowhere.
        """
        count = 0
        stayed: builtins.list[PublishError] = []
        async with self._link() as link, channel_aside(link, confirms=True) as channel:
            async for delivery in self._chosen(channel, where):
                if limit is not None and count + len(stayed) >= limit:
                    break
                try:
                    await self._send_back(link, delivery)
                except (Unroutable, LinkLost):
                    raise
                except (AmqError, ValueError, TypeError) as error:
                    rejected = Rejected(f"{describe_message(delivery)}: {error_text(error)}")
                    rejected.__cause__ = error
                    stayed.append(rejected)
                else:
                    channel.ack(delivery.tag)
                    count += 1
        if stayed:
            raise BatchError(
                f"{len(stayed)} messages could not be sent back to {self._queue!r} and stay "
                f"parked; {count} were sent back",
                stayed,
            )
        return count

    async def purge(self, limit: int | None = None, *, where: Where | None = None) -> int:
        """Delete messages for good.

        Args:
            limit: how many at most; None for all that are there now.
            where: chooses; all by default. The others stay.

        Returns:
            how many were deleted.

        Raises:
            TopologyError: the queue has no parking.
            ConnectError: there was no connection within the start's time.
            LinkLost: the connection was lost; what was deleted by then is counted nowhere.
        """
        count = 0
        async with self._link() as link, channel_aside(link, confirms=True) as channel:
            async for delivery in self._chosen(channel, where):
                if limit is not None and count >= limit:
                    break
                channel.ack(delivery.tag)
                count += 1
        return count

    async def _chosen(self, channel: Channel, where: Where | None) -> AsyncGenerator[Delivery]:
        """Take those that are there now; what is not acknowledged goes back with the channel."""
        left: int | None = None
        # Those that are parked again meanwhile are not taken again and again.
        while left != 0 and (delivery := await channel.get(self._parking)) is not None:
            left = delivery.left if left is None else left - 1
            if where is None or where(parked_message(delivery, self._codec)):
                yield delivery

    async def _send_back(self, link: Link, delivery: Delivery) -> None:
        # By a channel for it alone: a refusal that ends it is this message's own.
        async with channel_aside(link, confirms=True) as channel:
            properties = replace(
                copy_properties(delivery, {}, channel.frame_limit, without=_OF_PARKING),
                delivery_mode=delivery.properties.delivery_mode,
                expiration=delivery.properties.expiration,
            )
            try:
                async with asyncio.timeout(CONFIRM_TIMEOUT):
                    await channel.publish(
                        "", self._queue, properties, delivery.body, mandatory=True
                    )
            except TimeoutError as error:  # pragma: no cover - a broker that hangs
                raise OutcomeUnknown(
                    f"it was sent, and not confirmed within {CONFIRM_TIMEOUT:.0f} s"
                ) from error
            except LinkLost as error:  # pragma: no cover - the broker ends a channel for it
                if channel.closed.done() and isinstance(channel.closed.result(), TopologyError):
                    raise Rejected(str(channel.closed.result())) from error
                raise

    @contextlib.asynccontextmanager
    async def _link(self) -> AsyncIterator[Link]:
        async with self._connection() as supervisor:
            yield await supervisor.wait_link()


# What a parked message carries, and one that is sent back does not.
_OF_PARKING = (
    ATTEMPTS_HEADER,
    ERROR_HEADER,
    REASON_HEADER,
    PARKED_AT_HEADER,
    QUEUE_HEADER,
    LEFT_OUT_HEADER,
)
