"""The link on aio-pika: modules called aio_pika_ or aiormq_ alone import it, and aiormq below it.

aio-pika opens the connection, keeps its heartbeats, and asks the broker for whatever has an
answer: channels, exchanges, queues, bindings. The frames of the hot paths do not pass through it:
they are written to the connection directly, one write per turn of the loop, and taken off its
input before aiormq sees them. Passed through its queues and tasks, each message costs several
times what the broker needs for it.

This is aio-pika's plain `Connection`, which never reconnects: that is what the supervisor does.
It leans on public interfaces alone, of which one came with aiormq 6.9.2:
`Connection(transport_factory=)`, which lets a caller make the streams.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aio_pika.abc
from yarl import URL

from gestalt.amq.errors import AccessRefused, AmqError, ChannelsExhausted, ConnectError, LinkLost
from gestalt.amq.wire import Delivery, Demultiplexer, WireError

from . import aio_pika_handshake, aio_pika_logging
from .address import BrokerAddress
from .aio_pika_calls import Calls
from .aio_pika_channel import AioPikaChannel
from .aio_pika_connection import AioPikaConnection
from .aiormq_streams import Reader, StreamProtocol, Streams
from .dial import Dialer, FailedAddresses
from .interface import Channel, Link
from .output import Output
from .secret_updates import SecretUpdates
from .stalls import StallDetector

# How long aiormq's tasks take to end after the connection is cut: turns of the loop.
ENDING_TIMEOUT = 0.2
# How long the broker may take to let go of a channel, in seconds.
RELEASE_TIMEOUT = 10.0
FRAME_OVERHEAD = 8


async def connect(
    address: BrokerAddress,
    *,
    name: str,
    heartbeat: int,
    timeout: float,
    tls: ssl.SSLContext | None = None,
    failed_addresses: FailedAddresses | None = None,
) -> Link:
    """Connect to one broker. What its URL says goes before these parameters.

    Args:
        address: where it is, and who we are there.
        name: how the broker's tools show the connection.
        heartbeat: seconds after which silence is doubted; after twice that the link is lost.
        timeout: for all of it, in seconds.
        tls: for amqps://; by default what the URL says, or the system's certificates.
        failed_addresses: which addresses of its name have led nowhere before.

    Raises:
        ConnectError: it could not be reached, or did not answer in time.
        AccessRefused: it refused the credentials or the virtual host.
    """
    aio_pika_logging.install()
    link = AioPikaLink(
        address,
        name,
        heartbeat if address.heartbeat is None else address.heartbeat,
        tls,
        failed_addresses or FailedAddresses(),
    )
    await link.open(address.connect_timeout or timeout)
    return link


class AioPikaLink(Link):
    """A connection by aio-pika."""

    def __init__(
        self,
        address: BrokerAddress,
        name: str,
        heartbeat: int,
        tls: ssl.SSLContext | None,
        failed_addresses: FailedAddresses,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.address = str(address)
        self.place = address.place
        self.lost: asyncio.Future[AmqError] = loop.create_future()
        self.blocked: str | None = None
        self.blocking = loop.create_future()
        self.on_blocked: Callable[[str | None], None] | None = None
        self.demultiplexer = Demultiplexer(self)
        self.reader = Reader(self.demultiplexer, loop, (address.channel_max, address.frame_max))
        self.transport: asyncio.Transport | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._loop = loop
        self._dialer = Dialer(address, tls, failed_addresses)
        self._heartbeat = heartbeat
        self._protocol = StreamProtocol(self.reader, loop, self)
        self._connection = AioPikaConnection(
            URL.build(
                scheme=address.scheme,
                host=address.host.partition("%")[0],
                port=address.port,
                user=address.user,
                password=address.password,
                query={"auth": address.auth, "heartbeat": str(heartbeat), "name": name},
            ),
            address.virtual_host,
            Streams(self._streams),
        )
        self._amqp = self._connection.protocol
        self._output = Output(repr(self), self.end)
        self.begin_read = self._output.begin_read
        self.end_read = self._output.end_turn
        self._calls = Calls(self.lost, self._output.flush, self._cut)
        self._secrets = SecretUpdates(self.lost, self._output.write, self._cut)
        self._channels: set[AioPikaChannel] = set()
        self._stalls: StallDetector | None = None
        self._silence_timer: asyncio.TimerHandle | None = None
        self._cause: AmqError | None = None
        self._frame_max = self.demultiplexer.limit

    def _streams(self) -> tuple[Reader, asyncio.StreamWriter]:
        transport = self.transport
        if transport is None:  # pragma: no cover - lost in this turn
            raise LinkLost("there is no connection")
        writer = asyncio.StreamWriter(transport, self._protocol, self.reader, self._loop)
        # Kept: one that is forgotten closes what is ours, with a warning.
        self._writer = writer
        return self.reader, writer

    async def open(self, timeout: float) -> None:
        """Connect; errors as those of `connect`."""
        opened = False
        try:
            async with asyncio.timeout(timeout) as limit:
                self.transport = await self._dialer.open(self._protocol)
                self._output.open(self.transport)
                await self._shake_hands()
            opened = True
        except AmqError:
            raise
        except (OSError, ValueError) as error:
            if limit.expired():
                text = f"{self.place} did not answer within {timeout:g} s"
            else:
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                text = f"{self.place} cannot be connected to: {reason}"
            raise ConnectError(text) from error
        finally:
            self._dialer.ended(failed=not opened)
            if not opened:
                await self._give_up()
        if agreed := self._amqp.connection_tune.frame_max:
            self._frame_max = self.demultiplexer.limit = agreed
        else:
            # There is no limit. A frame tells its size in 32 bits.
            self.demultiplexer.limit = 2**32 + FRAME_OVERHEAD
        self._amqp.closing.add_done_callback(self._on_closing)
        if self._heartbeat:
            # The broker waits for two heartbeats, and TCP may report the end of that later.
            self._stalls = StallDetector(min(1.0, self._heartbeat / 4), 3.0 * self._heartbeat)
        self._watch_silence()

    def __repr__(self) -> str:
        return f"<connection to {self.address}>"

    async def _shake_hands(self) -> None:
        connecting = self._calls.begin(self._connection.connect)
        # aiormq does long things when it is cancelled: the connection is cut first.
        await asyncio.wait({connecting})
        aio_pika_handshake.check(connecting, self.place, self._cause)

    async def _give_up(self) -> None:
        """Cut, and see that nothing is left of it: no socket, and none of aiormq's tasks."""
        self._cut(LinkLost("the connection was closed here"))
        for call in self._calls.running:
            call.cancel()
        waiting: set[asyncio.Future[Any]] = {*self._calls.running}
        if self.transport is not None and not self._amqp.closing.done():
            waiting.add(self._amqp.closing)
        if waiting:
            await asyncio.wait(waiting, timeout=ENDING_TIMEOUT)

    # What the demultiplexer tells

    def note_blocked(self, reason: str | None) -> None:
        self.blocked = reason
        self._calls.note_blocked(reason is not None)
        if reason is None:
            self.blocking = self._loop.create_future()
        elif not self.blocking.done():  # pragma: no branch - a broker that says it twice
            self.blocking.set_result(None)
        if self.on_blocked is not None:  # pragma: no branch - a link that is coming up
            self.on_blocked(reason)

    def note_closed(self, code: int, text: str) -> None:
        cls = AccessRefused if code in (403, 530) else LinkLost
        self._cause = cls(f"the broker closed the connection: {text} ({code})")

    def note_secret_updated(self) -> None:
        self._secrets.note_updated()

    # What the streams tell

    def note_garbage(self, error: WireError) -> None:
        self._cause = LinkLost(f"what the broker sent is no AMQP 0-9-1: {error.explanation}")
        self._cut(self._cause)

    def note_writable(self, writable: bool) -> None:
        if writable:
            self._output.writable.set()
        else:
            self._output.writable.clear()

    def note_lost(self, error: Exception | None) -> None:
        self.end(LinkLost(f"the connection ended: {error or 'closed by the broker'}"))

    # Ending

    def end(self, reason: AmqError) -> None:
        """The connection is over: tell everybody who depends on it, once."""
        if self.lost.done():
            return
        reason = self._cause or reason
        if self._stalls is not None:
            self._stalls.stop()
            stalled = self._stalls.stalled()
            if stalled >= self._heartbeat and type(reason) is LinkLost:
                reason = LinkLost(
                    f"this process's event loop did not run for {stalled:.1f} s, so that the "
                    f"broker heard no heartbeat: {reason}"
                )
        self.lost.set_result(reason)
        self._output.end()
        if self._silence_timer is not None:
            self._silence_timer.cancel()
        for channel in list(self._channels):
            channel.end(reason)

    def _cut(self, reason: AmqError) -> None:
        """End it now, whatever is under way."""
        self.end(reason)
        if self.transport is not None:
            self.transport.abort()

    def _on_closing(self, closing: asyncio.Future[Any]) -> None:
        error = None if closing.cancelled() else closing.exception()
        self._cut(LinkLost(f"the connection ended: {error or 'closed'}"))

    def _watch_silence(self) -> None:
        if not self._heartbeat:
            return
        silence = time.monotonic() - self.reader.heard
        if silence < 2 * self._heartbeat:
            wait = 2 * self._heartbeat - silence + 0.05
            self._silence_timer = self._loop.call_later(wait, self._watch_silence)
        elif self._stalls is not None and self._stalls.fresh:  # pragma: no cover - it just stalls
            # What came meanwhile has not been read yet.
            self._silence_timer = self._loop.call_later(0.05, self._watch_silence)
        else:
            self._cut(LinkLost(f"nothing was heard from the broker for {silence:.1f} s"))

    async def close(self, timeout: float) -> None:
        self._output.flush()
        # A broker that blocks the connection answers nothing on it.
        if not self.lost.done() and not self.blocked:
            closing = self._calls.begin(self._connection.close)
            try:
                await asyncio.wait({closing}, timeout=timeout)
            finally:
                await self._give_up()
        else:
            await self._give_up()

    # Channels

    async def open_channel(
        self,
        *,
        confirms: bool = False,
        transactions: bool = False,
        on_delivery: Callable[[Delivery], None] | None = None,
        on_cancelled: Callable[[], None] | None = None,
        on_returned: Callable[[Delivery], None] | None = None,
    ) -> Channel:
        if self.lost.done():  # pragma: no cover - lost in this turn
            raise LinkLost(str(self.lost.result()))
        channel, transaction = await self._calls.ask(partial(self._open, confirms, transactions))
        opened = AioPikaChannel(
            channel,
            await channel.get_underlay_channel(),
            transaction,
            self._frame_max - FRAME_OVERHEAD,
            self._output,
            self._calls,
            forget=self._forget,
            on_delivery=on_delivery,
            on_cancelled=on_cancelled,
            on_returned=on_returned,
        )
        self._channels.add(opened)
        self.demultiplexer.sinks[opened.number] = opened
        return opened

    async def lend_channel(
        self, *, publisher_confirms: bool, on_return_raises: bool
    ) -> aio_pika.abc.AbstractChannel:
        if self.lost.done():  # pragma: no cover - lost in this turn
            raise LinkLost(str(self.lost.result()))
        channel: aio_pika.abc.AbstractChannel = await self._calls.ask(
            partial(self._lend, publisher_confirms, on_return_raises)
        )
        return channel

    async def _lend(
        self, publisher_confirms: bool, on_return_raises: bool
    ) -> aio_pika.abc.AbstractChannel:
        return await self._connection.channel(
            self._free_number(),
            publisher_confirms=publisher_confirms,
            on_return_raises=on_return_raises,
        )

    async def _open(
        self, confirms: bool, transactions: bool
    ) -> tuple[aio_pika.abc.AbstractChannel, aio_pika.abc.AbstractTransaction | None]:
        number = self._free_number()
        channel = await self._connection.channel(number, publisher_confirms=confirms)
        if not transactions:
            return channel, None
        transaction = channel.transaction()
        await transaction.select()
        return channel, transaction

    def _free_number(self) -> int:
        """The lowest number that no channel has.

        The library counts on from the highest, and past the limit the broker ends the connection.
        """
        most = self._amqp.connection_tune.channel_max or 65535
        taken = self._amqp.channels
        for number in range(1, most + 1):
            if number not in taken:
                self.demultiplexer.sinks.pop(number, None)
                return number
        raise ChannelsExhausted(
            f"all {most} channels that the broker allows on the connection are in use"
        )

    def _forget(self, channel: AioPikaChannel, left: bool) -> None:
        self._channels.discard(channel)
        number = channel.number
        if left and number in self._amqp.channels and not self.lost.done():
            # The broker has not let go of it. Whatever it may still send by it must not get to the
            # library, whose reader would wait for somebody to take it.
            if channel.consumes:
                self._await_release(number)
        elif self.demultiplexer.sinks.get(number) is channel:
            del self.demultiplexer.sinks[number]

    def _await_release(self, number: int) -> None:
        """Give the broker its time to let go of a channel that consumed.

        What was delivered by it and not acknowledged goes back only then. That the library has
        ended its own waiting says nothing: it does so as soon as a call of ours is cancelled.
        """
        left = self._amqp.channels[number]

        def look() -> None:
            if self.lost.done() or self._amqp.channels.get(number) is not left:
                return
            if self.blocked:  # pragma: no cover - the broker answers nothing as long as it blocks
                self._loop.call_later(RELEASE_TIMEOUT, look)
            else:
                self._cut(LinkLost("the broker did not let go of a channel that consumed"))

        self._loop.call_later(RELEASE_TIMEOUT, look)

    async def update_secret(self, secret: str) -> None:
        await self._secrets.update(secret, self._frame_max)

    async def take_leave(self, call: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
        return await self._calls.take_leave(call)
