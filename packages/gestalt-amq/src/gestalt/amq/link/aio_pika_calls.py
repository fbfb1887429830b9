"""Calls of aio-pika that wait for the broker: under a deadline, with their errors as ours."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika.exceptions

from gestalt.amq.errors import AmqError, LinkLost, TopologyError
from gestalt.core.telling import said_by

from . import aio_pika_logging

# Asking the broker something takes milliseconds; one that does not answer is lost.
ANSWER_TIMEOUT = 10.0
# A channel that gives no sign of life for so long hangs, in seconds.
HANGING_TIMEOUT = 10.0
# Closing a channel is a courtesy; what takes longer goes on while the connection lives.
CLOSE_TIMEOUT = 0.5
# So many channels of a connection may hang in the broker; with one more it is made again.
MOST_HANGING = 3


class Calls:
    """Makes calls of the client library on one connection.

    Each is made in a task of its own: aiormq cancels its calls when the connection ends, and does
    long things when they are cancelled. Neither may be taken for a cancellation of ours.

    Args:
        lost: done when the connection has ended; its result is the reason.
        flush: sends what is gathered, so that it comes before what is called.
        cut: ends a connection whose broker does not answer.

    Attributes:
        running: those that have not ended.
        lost: as above.
    """

    def __init__(
        self,
        lost: asyncio.Future[AmqError],
        flush: Callable[[], None],
        cut: Callable[[AmqError], None],
    ) -> None:
        self.running: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()
        self.lost = lost
        self._hanging = 0
        self._flush = flush
        self._cut = cut
        self._blocked = False
        # How often that has changed.
        self._changes = 0

    def note_blocked(self, blocked: bool) -> None:
        """The broker blocks the connection, and answers nothing on it; or does so no more."""
        self._blocked = blocked
        self._changes += 1

    def begin(self, call: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
        """Make a call, and return the task that awaits it."""
        # Not by the loop's factory: an eager one would run it before it is held.
        task = asyncio.Task(aio_pika_logging.quietly(call), loop=self._loop)
        self.running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def ask(
        self,
        call: Callable[[], Awaitable[Any]],
        closed: asyncio.Future[AmqError] | None = None,
    ) -> Any:
        """Await a call that asks the broker for something.

        Args:
            call: makes it.
            closed: done when the channel in question has ended; its result is the reason.

        Raises:
            LinkLost: the link or the channel ended meanwhile.
            TopologyError: the broker refused, and closed the channel.
        """
        asking = await self._await(call, ANSWER_TIMEOUT)
        if not asking.done():
            # What the broker has done by now is not known; a fresh link knows.
            self._cut(LinkLost(f"the broker did not answer within {ANSWER_TIMEOUT} s"))
            raise LinkLost(str(self.lost.result()))
        return self._result(asking, closed)

    async def answered(
        self, call: Callable[[], Awaitable[Any]], closed: asyncio.Future[AmqError]
    ) -> bool:
        """Whether the broker answers a call in time; one that it does not is given up.

        Parameters and errors as those of `ask`.
        """
        asking = await self._await(call, HANGING_TIMEOUT)
        if not asking.done():
            return False
        self._result(asking, closed)
        return True

    def note_hanging(self) -> None:
        """The broker answers nothing on one more of the channels."""
        self._hanging += 1
        if self._hanging > MOST_HANGING:
            self._cut(LinkLost(f"{self._hanging} of its channels hang in the broker"))

    async def _await(self, call: Callable[[], Awaitable[Any]], timeout: float) -> asyncio.Task[Any]:
        """Give a call its time, and return its task, which is cancelled if it has not ended."""
        self._flush()
        asking = self.begin(call)
        try:
            while True:
                changes = self._changes
                await asyncio.wait({asking}, timeout=timeout)
                # While the broker blocks the connection, it answers nothing on it.
                if asking.done() or (
                    not self._blocked and self._changes == changes
                ):  # pragma: no branch - blocked for a whole timeout
                    return asking
        finally:
            asking.cancel()

    def _result(self, asking: asyncio.Task[Any], closed: asyncio.Future[AmqError] | None) -> Any:
        if asking.cancelled():  # pragma: no cover - aiormq cancels a call when its channel ends
            raise self._reason(closed)
        error = asking.exception()
        # The library ends the calls of a channel that it closes by a bare Exception.
        ended = self.lost.done() or (closed is not None and closed.done())
        told = (aio_pika.exceptions.AMQPError, OSError, RuntimeError)
        if isinstance(error, Exception if ended else told) and not isinstance(error, AmqError):
            raise self._reason(closed, error) from error
        return asking.result()

    async def take_leave(self, call: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
        """Await a call that closes something, for a moment, and return its task.

        A cancellation would not end it, but send what must not be sent twice.
        """
        self._flush()
        leaving = self.begin(call)
        await asyncio.wait({leaving}, timeout=0 if self._blocked else CLOSE_TIMEOUT)
        return leaving

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.running.discard(task)
        if not task.cancelled():
            # Whoever still waits for it has it raised.
            task.exception()

    def _reason(
        self, closed: asyncio.Future[AmqError] | None, error: BaseException | None = None
    ) -> AmqError:
        if closed is not None and closed.done():
            reason = closed.result()
            if isinstance(reason, TopologyError):
                return TopologyError(str(reason), reason.code)
            return LinkLost(str(reason))
        if self.lost.done():
            return LinkLost(str(self.lost.result()))
        return LinkLost(  # pragma: no cover - aiormq knows it a turn earlier
            f"the connection is ending: {error and said_by(error)}"
        )
