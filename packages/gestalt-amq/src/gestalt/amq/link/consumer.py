"""A consumer that goes on over reconnections: a session for each link in turn."""

import asyncio
import contextlib
import logging
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Generic, NamedTuple, TypeVar

from gestalt.amq.errors import AmqError, ConnectError, LinkLost, TopologyError
from gestalt.amq.wire import Delivery
from gestalt.core import Backoff, Component, State

from .acks import Acks
from .interface import Channel, Link, wait_unless_lost
from .supervisor import Supervisor

logger = logging.getLogger("gestalt.amq")

# Before a task is made again that somebody has cancelled, in seconds.
AGAIN = 0.01


class Receiver:
    """What receives by one channel of a session: its one consumer, and its acknowledgements.

    Attributes:
        queue: what it consumes from.
        consumer_tag: how the broker calls that consumer.
    """

    queue = ""
    consumer_tag = ""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.acks = Acks(channel)


class Session:
    """What consumes on one link, from its beginning to its end.

    Attributes:
        ended: done when any of its channels or consumers has ended; its result is the reason.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.ended: asyncio.Future[AmqError] = asyncio.get_running_loop().create_future()
        self._receivers: list[Receiver] = []

    async def open(
        self,
        on_delivery: Callable[[Receiver, Delivery], None],
        *,
        on_returned: Callable[[Delivery], None] | None = None,
    ) -> Receiver:
        """Open a channel whose end is the end of the session."""
        receiver: Receiver
        channel = await self.link.open_channel(
            on_delivery=lambda delivery: on_delivery(receiver, delivery),
            on_cancelled=self._cancelled,
            on_returned=on_returned,
        )
        receiver = Receiver(channel)
        self._receivers.append(receiver)
        channel.closed.add_done_callback(self._channel_closed)
        return receiver

    async def close(self) -> None:
        """Acknowledge what is to be, and close every channel, which may have ended by itself.

        A broker that does not answer for a while is not waited for.
        """
        for receiver in self._receivers:
            receiver.acks.flush()
        await self.link.take_leave(self._leave)

    async def _leave(self) -> None:
        with contextlib.suppress(AmqError):
            await self._withdraw()
        for receiver in self._receivers:
            with contextlib.suppress(AmqError):
                await receiver.channel.close()
        with contextlib.suppress(AmqError):
            await self._release()

    async def _withdraw(self) -> None:
        """Have the broker route nothing more here, before the channels are closed."""

    async def _release(self) -> None:
        """Take back at the broker what is this session's alone, when they are."""

    def end(self, reason: AmqError) -> None:
        """What consumes cannot go on."""
        if not self.ended.done():
            self.ended.set_result(reason)

    def _channel_closed(self, closed: asyncio.Future[AmqError]) -> None:
        self.end(closed.result())

    def _cancelled(self) -> None:
        """The broker cancelled the consumer, and the channel lives on."""
        self.end(
            TopologyError(
                "the broker cancelled the consumer: its queue has gone, or a message was kept for "
                "longer than the broker's consumer timeout"
            )
        )


class Timing(NamedTuple):
    """How long a consumer waits.

    Args:
        backoff: the waits before it consumes again on the same connection.
        start_timeout: how long a start waits for a connection, in seconds.
        stop_timeout: how long a stop waits for running handlers, in seconds.
    """

    backoff: Backoff
    start_timeout: float
    stop_timeout: float


S = TypeVar("S", bound=Session)


class Consumer(Component, Generic[S]):
    """Consumes on every link in turn.

    Args:
        name: how it is called in messages.
        supervisor: the connection.
        timing: how long it waits.
        stop_timeout: in place of that of `timing`; None for that.
    """

    def __init__(
        self, name: str, supervisor: Supervisor, timing: Timing, stop_timeout: float | None
    ) -> None:
        if stop_timeout is None:
            stop_timeout = timing.stop_timeout
        super().__init__(name=name, stop_timeout=stop_timeout)
        self._supervisor = supervisor
        self._backoff = timing.backoff
        self._start_timeout = timing.start_timeout
        self._session: S | None = None
        # Why it does not consume though there is a connection.
        self._failure: Exception | None = None

    @property
    def consuming(self) -> bool:
        """Whether the broker delivers to it now."""
        return self._session is not None and not self._session.ended.done()

    @property
    def trouble(self) -> str | None:
        """What keeps it from its work, None if nothing does."""
        if self.consuming:
            return None
        reason = "" if self._failure is None else f": {self._failure}"
        return f"the broker delivers nothing to it{reason}"

    @abstractmethod
    async def _consume(self, link: Link) -> S:
        """Declare what is needed and consume, in a session that is closed if that fails.

        Raises:
            TopologyError: the broker refuses.
            LinkLost: the link ended.
        """

    async def _open(self) -> None:
        self._failure = None
        try:
            async with asyncio.timeout(self._start_timeout):
                while self._session is None:
                    try:
                        link = await self._supervisor.wait_link(answering=True)
                        self._session = await self._begin(link)
                    except LinkLost:
                        await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise ConnectError(
                f"{self.name} did not start within {self._start_timeout:g} s: "
                f"{self._supervisor.trouble}"
            ) from error
        self._sustain(self._keep, name="keep")

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _sustain(self, work: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> None:
        """Run it in a task, and in another one whenever that ends, as long as the consumer lives.

        Each has the context of this call. Where anybody but the consumer cancels it, that is told.
        """
        context = copy_context()

        async def run() -> None:
            await work()
            context.run(begin)

        def begin() -> None:
            self._spawn(run(), name=name).add_done_callback(ended)

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled() and self.state in (State.STARTING, State.RUNNING):
                cancelled = asyncio.CancelledError(f"task {task.get_name()!r} was cancelled")
                self._report_error(cancelled, f"{self!r}: {cancelled}, and is made again")
                # Not at once: an event loop that ends cancels all tasks, and wants no new ones.
                asyncio.get_running_loop().call_later(AGAIN, again)

        def again() -> None:
            if self.state in (State.STARTING, State.RUNNING):
                begin()

        begin()

    async def _begin(self, link: Link) -> S:
        try:
            return await self._consume(link)
        except TopologyError as error:
            raise TopologyError(f"{self.name}: {error}", error.code) from error

    async def _keep(self) -> None:
        """Consume again whenever the session ends."""
        delays = self._backoff.delays()
        delays.connected()
        tried: Link | None = None
        while True:
            session = self._session
            if session is not None:
                tried = session.link
                reason = await asyncio.shield(session.ended)
                self._session = None
                if not tried.lost.done():
                    self._failure = reason
                    self._report_error(reason, f"{self!r}: the broker ended the consumer: {reason}")
                    await session.close()
                    await wait_unless_lost(tried, delays.next())
            link = await self._supervisor.wait_link(answering=True)
            if link is not tried:
                # The supervisor sees to the waits between links.
                tried, delays = link, self._backoff.delays()
            try:
                self._session = await self._consume(link)
                delays.connected()
                self._note_consuming()
            except LinkLost:
                await wait_unless_lost(link, delays.next())
            except Exception as error:
                self._note_failure(error)
                await wait_unless_lost(link, delays.next())

    def _note_failure(self, error: Exception) -> None:
        # What stays as it is, such as a missing permission, is told once.
        if str(error) != str(self._failure):
            self._report_error(error, f"{self!r} cannot consume, and tries again: {error}")
        self._failure = error

    def _note_consuming(self) -> None:
        if self._failure is not None:
            logger.info("%r consumes again", self)
            self._failure = None
