"""Publishing with confirmation: returns when the broker has taken charge of the message."""

from __future__ import annotations

import asyncio
from typing import Any, Unpack

from gestalt.codecs import Codec
from gestalt.core import Backoff

from .batch import Batch, lost_after_sending
from .declare import declare_exchange
from .errors import LinkLost, OutcomeUnknown, Rejected
from .link import Channel, Confirm, Link
from .outgoing import MessageOptions, make_properties
from .outlet import Outlet
from .properties import PERSISTENT, TRANSIENT, Properties
from .supervisor import Supervisor
from .topology import Exchange
from .tracing import Tracing

# How long a channel lives before a rejection makes it be replaced, in seconds.
MIN_CHANNEL_AGE = 1.0


class Publisher(Outlet):
    """Publishes to one exchange; made by `Bus.publisher`, and shared by any number of tasks.

    A publish returns when the broker has confirmed it: it is stored, and replicated, as the
    queues that took it promise. Many may be under way at once; over `max_unconfirmed` of them,
    further ones wait. While there is no connection, publishes wait for it, up to their deadline.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        exchange: Exchange,
        codec: Codec,
        *,
        mandatory: bool,
        persistent: bool,
        timeout: float,
        max_unconfirmed: int,
        backoff: Backoff,
        tracing: Tracing | None,
    ) -> None:
        if max_unconfirmed < 1:
            raise ValueError(f"max_unconfirmed must be at least 1, got {max_unconfirmed}")
        super().__init__(
            exchange.name, supervisor, timeout=timeout, max_pending=max_unconfirmed, backoff=backoff
        )
        self.exchange = exchange
        self.codec = codec
        self.tracing = tracing
        self._mandatory = mandatory
        self._delivery_mode = PERSISTENT if persistent else TRANSIENT
        self._rejected = asyncio.Event()
        self._common: dict[tuple[str, str | None, str | None, int | None], Properties] = {}

    async def publish(
        self,
        body: Any,
        routing_key: str = "",
        *,
        mandatory: bool | None = None,
        timeout: float | None = None,
        **options: Unpack[MessageOptions],
    ) -> None:
        """Publish, and return when the broker has confirmed it.

        Args:
            body: what to publish; the codec encodes it.
            routing_key: what the bindings of queues are compared with.
            mandatory: insist that some queue takes it; the publisher's own by default.
            timeout: for all of it, in seconds; the publisher's own by default.
            options: headers, expiration (seconds), priority and so on: see MessageOptions.

        Raises:
            Unroutable: it is mandatory, and no queue takes it.
            Rejected: a queue is full, or could not store it.
            NotSent: there was no connection until the deadline; nothing was sent.
            Blocked: as NotSent, because the broker blocks publishers.
            OutcomeUnknown: it was sent, and the connection or the time ran out.
            TopologyError: the broker refuses the exchange's declaration.
            CodecError: the body cannot be encoded.
        """
        encoded, properties = self.encode(body, options)
        if self.tracing is None or self.tracing.idle():
            await self.publish_encoded(encoded, properties, routing_key, mandatory, timeout)
            return
        with self.tracing.publishing(self.exchange.name, routing_key, properties) as traced:
            await self.publish_encoded(encoded, traced, routing_key, mandatory, timeout)

    def batch(self) -> Batch:
        """Publish many messages and await their confirmations together.

            async with publisher.batch() as batch:
                for reading in readings:
                    await batch.publish(reading, reading.key)

        Leaving the block waits for all confirmations, and raises BatchError when some failed.
        """
        return Batch(self)

    def encode(self, body: Any, options: MessageOptions) -> tuple[bytes, Properties]:
        """Encode a body, with the properties that go with it."""
        encoded = self.codec.encode(body)
        if options:
            return encoded.body, make_properties(encoded, self._delivery_mode, options)
        # Plain messages of one type share their properties, encoded once by the channel.
        key = (encoded.content_type, encoded.content_encoding, encoded.type_name, encoded.type_id)
        properties = self._common.get(key)
        if properties is None:
            properties = make_properties(encoded, self._delivery_mode, options)
            self._common[key] = properties
        return encoded.body, properties

    async def publish_encoded(
        self,
        body: bytes,
        properties: Properties,
        routing_key: str,
        mandatory: bool | None = None,
        timeout: float | None = None,
    ) -> None:
        """Publish what is encoded already; the rest is as in `publish`."""
        deadline = self._deadline(timeout)
        channel = self._ready_now() or await self._ready(deadline)
        confirm = self._send(channel, body, properties, routing_key, mandatory)
        self._hold(confirm, deadline)
        try:
            await confirm
        except LinkLost as error:
            raise lost_after_sending(error) from error
        except Rejected:
            self._rejected.set()
            raise
        finally:
            Outlet._done(self, confirm)

    async def submit(
        self,
        body: bytes,
        properties: Properties,
        routing_key: str,
        mandatory: bool | None,
        timeout: float | None,
    ) -> Confirm:
        """Send as soon as it may be sent, and return what will be the answer."""
        deadline = self._deadline(timeout)
        channel = self._ready_now() or await self._ready(deadline)
        confirm = self._send(channel, body, properties, routing_key, mandatory)
        self._track(confirm, deadline)
        return confirm

    def _send(
        self,
        channel: Channel,
        body: bytes,
        properties: Properties,
        routing_key: str,
        mandatory: bool | None,
    ) -> Confirm:
        try:
            return channel.publish(
                self.exchange.name,
                routing_key,
                properties,
                body,
                mandatory=self._mandatory if mandatory is None else mandatory,
                at_once=not self._pending,
            )
        except BaseException:
            self._window.release()
            raise

    async def _open_channel(self, link: Link) -> Channel:
        channel = await link.open_channel(confirms=True)
        await declare_exchange(channel, self.exchange)
        return channel

    def _expire(self, pending: asyncio.Future[None]) -> None:
        why = f"the broker blocks publishers: {self._blocked}" if self._blocked else "no answer"
        pending.set_exception(
            OutcomeUnknown(f"the message was sent, and not confirmed in time: {why}")
        )

    def _done(self, pending: asyncio.Future[None]) -> None:
        super()._done(pending)
        if pending.done() and not pending.cancelled() and isinstance(pending.exception(), Rejected):
            self._rejected.set()

    async def _worn(self, channel: Channel) -> None:
        """Wait until the channel has ended, or is to be replaced.

        When a quorum queue's leader fails, RabbitMQ (seen with 3.10) rejects what comes by a
        channel that knew it, for good, while a new channel works: a rejection costs the channel.
        """
        self._rejected.clear()
        rejection = asyncio.ensure_future(self._rejected.wait())
        either: set[asyncio.Future[Any]] = {channel.closed, rejection}
        try:
            # A full queue rejects as well: not every rejection is worth a channel.
            await asyncio.wait({channel.closed}, timeout=MIN_CHANNEL_AGE)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            rejection.cancel()
