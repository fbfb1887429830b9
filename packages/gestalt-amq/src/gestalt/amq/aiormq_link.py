"""The link on aiormq, the protocol library below aio-pika: the one module that imports it.

aiormq does the handshake, heartbeats, and every method that asks the broker for something. The
frames of the hot paths do not pass through it: they are written to the connection directly, one
write per turn of the loop, and taken off its input before aiormq sees them. Passed through its
queues and tasks, each message costs several times what the broker needs for it.

This leans on aiormq's public interface alone: `Connection(transport_factory=)`, which lets a
caller make the streams (aiormq 6.9.2 and later), and `Channel.number`. aio-pika's own layer is
not used: what it adds, reconnection and callbacks, is what the supervisor does.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiormq
import aiormq.abc
import aiormq.connection
import aiormq.exceptions
from yarl import URL

from gestalt.core import check_thread, keep_from_children

from . import frames
from .aiormq_channel import AiormqChannel
from .errors import (
    AccessRefused,
    AmqError,
    ChannelsExhausted,
    ConnectError,
    LinkLost,
    TopologyError,
)
from .link import Channel, Link
from .properties import Delivery

# Asking the broker something takes milliseconds; one that does not answer is lost.
ANSWER_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0
WRITE_SIZE = 65536
READ_SIZE = 65536
FRAME_OVERHEAD = 8


class _Reader(asyncio.StreamReader):
    """aiormq's input, without the frames that the link takes itself."""

    def __init__(self, inlet: frames.Inlet, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._inlet = inlet
        self._fed = self.heard = time.monotonic()

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # what protocols give
        cold = self._inlet.feed(data)
        self.heard = time.monotonic()
        if not cold and self.heard - self._fed > 1.0:
            # A broker that sends messages sends no heartbeats; aiormq waits for some frame.
            cold = frames.HEARTBEAT
        if cold:
            self._fed = self.heard
            super().feed_data(cold)


class _Protocol(asyncio.StreamReaderProtocol):
    def __init__(self, reader: _Reader, loop: asyncio.AbstractEventLoop, link: AiormqLink) -> None:
        super().__init__(reader, loop=loop)
        self._link = link

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except frames.FrameError as error:
            self._link.fail(LinkLost(f"what the broker sent is no AMQP 0-9-1: {error}"))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._link.writable.clear()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._link.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._link.end(LinkLost(f"the connection ended: {exc or 'closed by the broker'}"))


class _Streams(aiormq.connection.TransportFactory):
    def __init__(self, link: AiormqLink, context: ssl.SSLContext | None) -> None:
        self._link = link
        self._context = context

    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = self._link.reader
        protocol = _Protocol(reader, loop, self._link)
        context: ssl.SSLContext | None = None
        if url.scheme == "amqps":
            context = self._context or await kwargs["ssl_context_provider"].get_context()
        host, port = url.host, url.port
        if host is None or port is None:
            raise ConnectError(f"a broker's URL names a host, got {url}")
        transport, _ = await loop.create_connection(lambda: protocol, host, port, ssl=context)
        keep_from_children(transport.get_extra_info("socket").fileno())
        if hasattr(transport, "max_size"):
            # asyncio would allocate 256 KiB for each read.
            transport.max_size = READ_SIZE
        self._link.transport = transport
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def connect(
    url: str,
    *,
    name: str,
    heartbeat: int,
    timeout: float,
    context: ssl.SSLContext | None = None,
) -> Link:
    """Connect to one broker.

    Args:
        url: amqp:// or amqps://, with user, password and virtual host; ?auth=external uses the
            certificate in place of a password.
        name: how the broker's tools show the connection.
        heartbeat: seconds after which silence is doubted; after twice that the link is lost.
        timeout: for all of it, in seconds.

    Raises:
        ConnectError: it could not be reached, or did not answer in time.
        AccessRefused: it refused the credentials or the virtual host.
    """
    link = AiormqLink(url, name, heartbeat, context)
    await link.open(timeout)
    return link


async def _run(call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()


class AiormqLink(Link):
    """A connection by aiormq."""

    def __init__(self, url: str, name: str, heartbeat: int, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        address = URL(url)
        self.address = str(address.with_password(None).with_query(None))
        self.lost: asyncio.Future[AmqError] = loop.create_future()
        self.blocked: str | None = None
        self._blocks = 0
        self.on_blocked: Callable[[str | None], None] | None = None
        self.inlet = frames.Inlet(self)
        self.reader = _Reader(self.inlet, loop)
        self.transport: asyncio.Transport | None = None
        self.writable = asyncio.Event()
        self.writable.set()
        self._loop = loop
        self._heartbeat = heartbeat
        self._connection = aiormq.Connection(
            address.update_query(heartbeat=str(heartbeat), name=name),
            transport_factory=_Streams(self, context),
        )
        self._channels: set[AiormqChannel] = set()
        self._asking: set[asyncio.Task[Any]] = set()
        self._watch: asyncio.TimerHandle | None = None
        self._output: list[bytes] = []
        self._output_size = 0
        self._flushing = False
        self._cause: AmqError | None = None
        self._frame_max = self.inlet.limit

    async def open(self, timeout: float) -> None:
        """Connect; errors as those of `connect`."""
        connection = self._connection
        task = asyncio.current_task()
        cancelling = task.cancelling() if task is not None else 0
        try:
            async with asyncio.timeout(timeout):
                await connection.connect()
        except TimeoutError as error:
            raise ConnectError(f"{self.address} did not answer within {timeout} s") from error
        except (
            aiormq.exceptions.AuthenticationError,
            aiormq.exceptions.ProbableAuthenticationError,
        ) as error:
            raise AccessRefused(f"{self.address} refused the credentials: {error}") from error
        except aiormq.exceptions.ConnectionNotAllowed as error:
            raise AccessRefused(f"{self.address} refused: {error}") from error
        except asyncio.CancelledError as error:
            # aiormq cancels its own calls when the connection ends under them.
            if task is not None and task.cancelling() > cancelling:
                raise
            ended = self._cause or error
            raise ConnectError(f"{self.address} ended the connection: {ended!r}") from error
        except Exception as error:  # aiormq reads what a broker says about itself unchecked
            reason = self._cause or error
            cls = AccessRefused if isinstance(reason, AccessRefused) else ConnectError
            raise cls(f"{self.address} cannot be connected to: {reason!s}") from error
        finally:
            if connection.is_closed or not connection.is_opened:
                self._abort()
        if agreed := connection.connection_tune.frame_max:
            self._frame_max = self.inlet.limit = agreed
        else:
            # There is no limit. A frame tells its size in 32 bits.
            self.inlet.limit = 2**32 + FRAME_OVERHEAD
        connection.closing.add_done_callback(self._on_closing)
        self._watch_silence()

    def __repr__(self) -> str:
        return f"<connection to {self.address}>"

    # What the inlet tells

    def note_blocked(self, reason: str | None) -> None:
        self.blocked = reason
        self._blocks += 1
        if self.on_blocked is not None:
            self.on_blocked(reason)

    def note_closed(self, code: int, text: str) -> None:
        cls = AccessRefused if code in (403, 530) else LinkLost
        self._cause = cls(f"the broker closed the connection: {text} ({code})")

    # Ending

    def end(self, reason: AmqError) -> None:
        """The connection is over: tell everybody who depends on it, once."""
        if self.lost.done():
            return
        reason = self._cause or reason
        self.lost.set_result(reason)
        self.writable.set()
        self._output.clear()
        if self._watch is not None:
            self._watch.cancel()
        for channel in list(self._channels):
            channel.end(reason)

    def fail(self, reason: AmqError) -> None:
        """End it now, whatever is under way."""
        self._cause = reason
        self.end(reason)
        self._abort()

    def _on_closing(self, closing: asyncio.Future[Any]) -> None:
        error = None if closing.cancelled() else closing.exception()
        self.end(LinkLost(f"the connection ended: {error or 'closed'}"))
        self._abort()

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _watch_silence(self) -> None:
        silence = time.monotonic() - self.reader.heard
        if self._heartbeat and silence >= 2 * self._heartbeat:
            self.end(LinkLost(f"nothing was heard from the broker for {silence:.1f} s"))
            self._abort()
        elif self._heartbeat:
            self._watch = self._loop.call_later(
                2 * self._heartbeat - silence + 0.05, self._watch_silence
            )

    async def close(self) -> None:
        self.flush()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._connection.close()
        except (TimeoutError, OSError, aiormq.exceptions.AMQPError):
            pass  # it is cut below
        finally:
            self.end(LinkLost("the connection was closed here"))
            self._abort()

    # Output

    def write(self, data: list[bytes], size: int, *, at_once: bool = False) -> None:
        """Send at once, or with whatever else is sent in this turn of the loop.

        Raises:
            WrongThread: this is not the thread of the event loop.
        """
        if not self._output:
            check_thread(self._loop, self)
        self._output += data
        self._output_size += size
        if at_once or self._output_size >= WRITE_SIZE:
            self.flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush_soon)

    def _flush_soon(self) -> None:
        self._flushing = False
        self.flush()

    def flush(self) -> None:
        """Send now."""
        if self._output and self.transport is not None:
            data = b"".join(self._output)
            self._output.clear()
            self._output_size = 0
            try:
                self.transport.write(data)
            except RuntimeError as error:
                # aiormq has ended the output, and the connection will follow. Whoever sends now
                # is to have his message counted as sent before he is told.
                reason = LinkLost(f"the connection is ending: {error}")
                self._loop.call_soon(self.end, reason)

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
        if self.lost.done():
            raise LinkLost(str(self.lost.result()))
        channel = await self.ask(partial(self._open, confirms, transactions))
        limit = self._frame_max - FRAME_OVERHEAD
        opened = AiormqChannel(self, channel, limit, on_delivery, on_cancelled, on_returned)
        self._channels.add(opened)
        self.inlet.sinks[channel.number] = opened
        return opened

    async def _open(self, confirms: bool, transactions: bool) -> aiormq.abc.AbstractChannel:
        connection = self._connection
        channel = await connection.channel(self._free_number(), publisher_confirms=confirms)
        if transactions:
            await channel.tx_select()
        return channel

    def _free_number(self) -> int:
        """The lowest number that no channel has.

        aiormq itself counts on from the highest, and past the limit the broker ends the connection.
        """
        most = self._connection.connection_tune.channel_max or 65535
        taken = self._connection.channels
        for number in range(1, most + 1):
            if number not in taken:
                return number
        raise ChannelsExhausted(
            f"all {most} channels that the broker allows on the connection are in use"
        )

    def forget(self, channel: AiormqChannel, number: int) -> None:
        self._channels.discard(channel)
        if self.inlet.sinks.get(number) is channel:
            del self.inlet.sinks[number]

    async def ask(
        self, call: Callable[[], Awaitable[Any]], channel: AiormqChannel | None = None
    ) -> Any:
        """Await one of aiormq's calls, under a deadline, with its errors translated.

        Raises:
            LinkLost: the link or the channel ended meanwhile.
            TopologyError: the broker refused, and closed the channel.
        """
        self.flush()
        # In a task of its own: aiormq cancels its calls when the connection ends, and does long
        # things when they are cancelled. Neither may be taken for a cancellation of ours.
        asking = self._loop.create_task(_run(call))
        self._asking.add(asking)
        asking.add_done_callback(self._asked)
        try:
            while True:
                blocks = self._blocks
                await asyncio.wait({asking}, timeout=ANSWER_TIMEOUT)
                # While the broker blocks the connection, it answers nothing on it.
                if asking.done() or (not self.blocked and self._blocks == blocks):
                    break
        finally:
            asking.cancel()
        if not asking.done():
            # What the broker has done by now is not known; a fresh link knows.
            self.end(LinkLost(f"the broker did not answer within {ANSWER_TIMEOUT} s"))
            self._abort()
            raise LinkLost(str(self.lost.result()))
        if asking.cancelled():
            raise self._reason(channel)
        error = asking.exception()
        if isinstance(
            error, aiormq.exceptions.AMQPError | OSError | RuntimeError
        ) and not isinstance(error, AmqError):
            raise self._reason(channel, error) from error
        return asking.result()

    def _asked(self, asking: asyncio.Task[Any]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            # Whoever still waits for it has it raised.
            asking.exception()

    def _reason(
        self, channel: AiormqChannel | None, error: BaseException | None = None
    ) -> AmqError:
        if channel is not None and channel.closed.done():
            reason = channel.closed.result()
            if isinstance(reason, TopologyError):
                return TopologyError(str(reason), reason.code)
            return LinkLost(str(reason))
        if self.lost.done():
            return LinkLost(str(self.lost.result()))
        return LinkLost(f"the connection is ending: {error!r}")
