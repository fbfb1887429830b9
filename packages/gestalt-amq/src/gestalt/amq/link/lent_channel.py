"""A channel of the client library, lent to an application for the length of a block."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TypedDict

from gestalt.amq.errors import AmqError, ConnectError, LinkLost
from gestalt.core import State
from gestalt.core.numbers import check_seconds

from .client_library import AbstractChannel
from .interface import Link
from .supervisor import Supervisor

# How long after a channel's end it is known that the connection has ended, in seconds.
SETTLING = 0.5
# The library ends its calls by itself when a connection is lost, in a few turns of the loop. Some
# versions of asyncio lose a second cancellation that comes at the same time.
GRACE = 0.05


class LentChannelOptions(TypedDict, total=False):
    """How a channel is lent.

    Attributes:
        publisher_confirms: publishes are confirmed, True by default; transactions need False.
        on_return_raises: a mandatory message that no queue takes is an exception; False by default.
        timeout: for opening it, with the connection where there is none, in seconds; 10 by default.
    """

    publisher_confirms: bool
    on_return_raises: bool
    timeout: float


class LentChannel(AbstractAsyncContextManager[AbstractChannel]):
    """Opens a channel where a block begins, and closes it where that ends.

    Args:
        supervisor: holds the connection.
        connect: opens the connection, unless it is open.
        publisher_confirms, on_return_raises, timeout: as `LentChannelOptions` has them.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        connect: Callable[[], Awaitable[None]],
        *,
        publisher_confirms: bool = True,
        on_return_raises: bool = False,
        timeout: float = 10.0,
    ) -> None:
        if on_return_raises and not publisher_confirms:
            raise ValueError("on_return_raises=True needs publisher_confirms=True")
        self._supervisor = supervisor
        self._connect = connect
        self._publisher_confirms = publisher_confirms
        self._on_return_raises = on_return_raises
        self._timeout = check_seconds("timeout", timeout)
        self._link: Link
        self._channel: AbstractChannel
        self._holder: asyncio.Task[object]
        # How often the holder had been cancelled when the block began.
        self._cancellations = 0
        self._interrupted = False
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> AbstractChannel:
        holder = asyncio.current_task()
        if holder is None:  # pragma: no cover - for type checkers
            raise RuntimeError("a channel is asked for within a task")
        try:
            async with asyncio.timeout(self._timeout) as limit:
                await self._connect()
                self._link, self._channel = await self._open()
        except TimeoutError as error:
            if not limit.expired():
                raise
            link = self._supervisor.link
            silent = link is not None and link.blocked is None
            why = "the broker did not answer" if silent else self._supervisor.trouble
            raise ConnectError(f"no channel within {self._timeout:g} s: {why}") from error
        self._holder = holder
        self._cancellations = holder.cancelling()
        self._link.lost.add_done_callback(self._on_lost)
        return self._channel

    async def __aexit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        lost = self._link.lost
        if not lost.done() and error is not None and _by_loss(error):
            # The library ends channels a moment before their connection is known to have ended.
            await asyncio.wait({lost}, timeout=SETTLING)
        lost.remove_done_callback(self._on_lost)
        if self._timer is not None:
            self._timer.cancel()
        if self._interrupted:
            self._holder.uncancel()
        if not lost.done():
            await self._link.take_leave(self._channel.close)
            return
        cancelled = isinstance(error, asyncio.CancelledError)
        if cancelled and self._holder.cancelling() > self._cancellations:
            # By somebody else, who wants to see that.
            return
        if error is None or _by_loss(error):
            stopped = self._supervisor.state not in (State.STARTING, State.RUNNING)
            why = "the bus was stopped" if stopped else lost.result()
            raise LinkLost(f"the channel was lost: {why}") from error

    async def _open(self) -> tuple[Link, AbstractChannel]:
        while True:
            link = await self._supervisor.wait_link(answering=True)
            try:
                return link, await link.lend_channel(
                    publisher_confirms=self._publisher_confirms,
                    on_return_raises=self._on_return_raises,
                )
            except LinkLost:
                if not link.lost.done():  # pragma: no cover - the link knows it a turn later
                    raise

    def _on_lost(self, lost: asyncio.Future[AmqError]) -> None:
        self._timer = lost.get_loop().call_later(GRACE, self._interrupt)

    def _interrupt(self) -> None:
        # It may wait for what will never come now.
        self._interrupted = self._holder.cancel()


def _by_loss(error: BaseException) -> bool:
    """Whether the end of a connection is what an exception tells of."""
    from aio_pika.exceptions import AMQPConnectionError, ChannelInvalidStateError  # loaded by now

    # aiormq cancels what is under way, or leaves it to its own timeout; what begins afterwards is
    # a RuntimeError.
    kinds = (
        asyncio.CancelledError,
        TimeoutError,
        AMQPConnectionError,
        ChannelInvalidStateError,
        ConnectionError,
        RuntimeError,
    )
    if isinstance(error, BaseExceptionGroup):
        return error.split(kinds)[1] is None
    return isinstance(error, kinds)
