"""Publishing with confirmation: returns when the broker has taken charge of the message."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Unpack, cast

from gestalt.codecs import Codec
from gestalt.core import Backoff, StateError

from .batch import Batch, lost_after_sending
from .declare import declare_exchange
from .errors import (
    AmqError,
    Blocked,
    LinkLost,
    NotSent,
    OutcomeUnknown,
    Rejected,
    TopologyError,
)
from .link import Channel, Confirm, Link
from .outgoing import MessageOptions, make_properties
from .properties import PERSISTENT, TRANSIENT, Properties
from .supervisor import Supervisor
from .topology import Exchange
from .tracing import Tracing

# How long a channel lives before a rejection makes it be replaced, in seconds.
MIN_CHANNEL_AGE = 1.0


class Publisher:
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
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0, got {timeout}")
        if max_unconfirmed < 1:
            raise ValueError(f"max_unconfirmed must be at least 1, got {max_unconfirmed}")
        self.exchange = exchange
        self.codec = codec
        self._supervisor = supervisor
        self._mandatory = mandatory
        self._delivery_mode = PERSISTENT if persistent else TRANSIENT
        self._timeout = timeout
        self._delays = backoff.delays()
        self.tracing = tracing
        self._channel: Channel | None = None
        self._link: Link | None = None
        self._broken: TopologyError | None = None
        self._changed = asyncio.Event()
        self._stopped = False
        self._window = asyncio.Semaphore(max_unconfirmed)
        self._unconfirmed: dict[Confirm, None] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._sweep_at = float("inf")
        self._settled = asyncio.Event()
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
        if self.tracing is None:
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
        confirm = await self.submit(body, properties, routing_key, mandatory, timeout)
        try:
            await confirm
        except LinkLost as error:
            raise lost_after_sending(error) from error

    async def submit(
        self,
        body: bytes,
        properties: Properties,
        routing_key: str,
        mandatory: bool | None,
        timeout: float | None,
    ) -> Confirm:
        """Send as soon as it may be sent, and return what will be the answer."""
        if mandatory is None:
            mandatory = self._mandatory
        deadline = asyncio.get_running_loop().time() + (
            self._timeout if timeout is None else timeout
        )
        channel = self._usable()
        if channel is None or channel.congested or self._window.locked():
            channel = await self._wait_open(deadline)
        else:
            await self._window.acquire()
        try:
            confirm = channel.publish(
                self.exchange.name, routing_key, properties, body, mandatory=mandatory
            )
        except BaseException:
            self._window.release()
            raise
        confirm.deadline = deadline
        self._unconfirmed[confirm] = None
        confirm.add_done_callback(self._confirmed)
        if deadline < self._sweep_at:
            self._sweep_from(deadline)
        return confirm

    def _confirmed(self, confirm: asyncio.Future[None]) -> None:
        self._window.release()
        del self._unconfirmed[cast(Confirm, confirm)]
        if not confirm.cancelled() and isinstance(confirm.exception(), Rejected):
            self._rejected.set()
        if not self._unconfirmed:
            self._settled.set()

    @property
    def _blocked(self) -> str | None:
        return self._link.blocked if self._link is not None else None

    async def _wait_open(self, deadline: float) -> Channel:
        """Wait for a place in the window and a channel that takes messages."""
        acquired = False
        try:
            async with asyncio.timeout_at(deadline):
                acquired = await self._window.acquire()
                while (channel := self._usable()) is None or channel.congested:
                    if channel is None:
                        self._changed.clear()
                        await self._changed.wait()
                    else:
                        await channel.drain()
                return channel
        except TimeoutError as error:
            self._release(acquired)
            raise self._not_sent(acquired) from error
        except BaseException:
            self._release(acquired)
            raise

    def _usable(self) -> Channel | None:
        """The channel, when the broker takes messages on it."""
        if self._stopped:
            raise StateError("the bus is not running: nothing can be published")
        if self._broken is not None:
            raise TopologyError(str(self._broken), self._broken.code)
        if self._channel is None or self._channel.closed.done() or self._blocked:
            return None
        return self._channel

    def _release(self, acquired: bool) -> None:
        if acquired:
            self._window.release()

    def _not_sent(self, acquired: bool) -> NotSent:
        if self._blocked:
            return Blocked(f"the broker blocks publishers: {self._blocked}; nothing was sent")
        if self._channel is None:
            return NotSent("there is no connection to a broker; nothing was sent")
        if not acquired:
            return NotSent("too many publishes were unconfirmed before it; nothing was sent")
        return NotSent("the connection took no more data; nothing was sent")

    # The deadlines of unconfirmed messages: one timer for all of them

    def _sweep_from(self, when: float) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        self._sweep_at = when
        self._sweep = asyncio.get_running_loop().call_at(when, self._expire)

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        following = float("inf")
        why = f"the broker blocks publishers: {self._blocked}" if self._blocked else "no answer"
        for confirm in self._unconfirmed:
            if confirm.done():
                continue
            if confirm.deadline <= now:
                confirm.set_exception(
                    OutcomeUnknown(f"the message was sent, and not confirmed in time: {why}")
                )
            else:
                following = min(following, confirm.deadline)
        self._sweep = None
        self._sweep_at = float("inf")
        if following < self._sweep_at:
            self._sweep_from(following)

    # What the bus drives

    async def run(self) -> None:
        """Keep a channel open, on every link in turn."""
        while True:
            link = await self._supervisor.wait_link()
            try:
                channel = await link.open_channel(confirms=True)
                await declare_exchange(channel, self.exchange)
            except TopologyError as error:
                self._broken = error
                self._changed.set()
            except AmqError:
                # The link ended meanwhile: the supervisor brings the next one.
                pass
            else:
                self._delays.connected()
                self._broken = None
                self._link = link
                self._channel = channel
                self._changed.set()
                await self._wait_worn(channel)
                self._channel = None
                if not channel.closed.done():
                    await self.drain()
                    with contextlib.suppress(AmqError):
                        await channel.close()
                    continue
            if not link.lost.done():
                # The supervisor sees to the waits between links.
                await asyncio.sleep(self._delays.next())

    async def _wait_worn(self, channel: Channel) -> None:
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

    def note_change(self) -> None:
        """The broker has begun or ceased to block: let waiting publishes look again."""
        self._changed.set()

    async def drain(self) -> None:
        """Wait until every message that was sent is settled."""
        while self._unconfirmed:
            self._settled.clear()
            await self._settled.wait()

    def start(self) -> None:
        """Take messages; what the bus calls when it starts."""
        self._stopped = False

    def stop(self) -> None:
        """Refuse further messages, and those that wait to be sent."""
        self._stopped = True
        self._channel = None
        self._changed.set()
        if self._sweep is not None:
            self._sweep.cancel()
