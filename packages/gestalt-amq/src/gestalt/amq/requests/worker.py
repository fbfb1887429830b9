"""Calls a responder's handler for each request, and sees to it that each has one outcome."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from time import monotonic
from typing import Any

from gestalt.amq.encoding import decode_body
from gestalt.amq.errors import LinkLost
from gestalt.amq.link.channel_keeper import Spawn
from gestalt.amq.link.consumer import Receiver
from gestalt.amq.link.in_flight import InFlight
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import Delivery
from gestalt.codecs import Codec, CodecError
from gestalt.core import Discard, Handler, HandlerNotFound, Reports
from gestalt.core.calling import RAISED, is_awaitable, is_own_cancellation
from gestalt.core.metrics import Histogram

from . import protocol
from .replies import Replies, choose_codec, describe_request
from .request import Request
from .service import ResponderStats
from .work import Work

logger = logging.getLogger("gestalt.amq")


class Worker:
    """Calls the handler: plain functions at once, asynchronous ones in a task for each request.

    Args:
        name: of the responder, for the log.
        handler: of the requests.
        codecs: what requests may be written in.
        replies: sends the replies.
        stats: counts what becomes of requests.
        expected: classes of exceptions that are replies like others, and no failures.
        timeout: for an asynchronous handler, where the caller gives no earlier deadline.
        spawn: runs an asynchronous handler.
        on_done: is called when one is done.

    Attributes:
        running: what asynchronous handlers work on.
        durations: how long they did, in seconds.
        reports: the log of what went wrong, bounded.
    """

    def __init__(
        self,
        name: str,
        handler: Handler,
        codecs: Sequence[Codec],
        replies: Replies,
        stats: ResponderStats,
        *,
        timeout: float,
        expected: tuple[type[Exception], ...],
        spawn: Spawn,
        on_done: Callable[[], None],
        tracing: Tracing | None,
    ) -> None:
        self._name = name
        self._handler = handler
        self._codecs = codecs
        self._replies = replies
        self._stats = stats
        self._timeout = timeout
        # Whoever waits for a reply is told of a request that is dropped, too.
        self._expected = (*expected, Discard)
        self._spawn = spawn
        self._on_done = on_done
        self._tracing = tracing
        self.running: set[Work] = set()
        self._deadlines = InFlight(self._expire)
        self.durations = Histogram()
        self.reports = Reports(logger)

    def find(self, correlation_id: str | None) -> Work | None:
        """What is worked on under a correlation id; nothing is by none."""
        if correlation_id is None:
            return None
        return next((work for work in self.running if work.correlation_id == correlation_id), None)

    def cancel(self, correlation_id: str | None) -> bool:
        """Cancel the handler of a request; False when there is none."""
        work = self.find(correlation_id)
        if work is None or work.task is None:
            return False
        work.cancelled = True
        work.task.cancel()
        return True

    def begin(self, receiver: Receiver, delivery: Delivery) -> None:
        """Work on a request; it is acknowledged when it has its outcome."""
        if receiver.channel.closed.done():
            return  # it is delivered again, here or to others
        left = protocol.remaining(delivery.properties.headers or {})
        if left is not None and left <= 0:
            self._stats.expired += 1
            self._replies.status(delivery, protocol.LATE)
        elif protocol.may_have_begun(delivery):
            self.abandon(delivery)
        else:
            self._call(receiver, delivery, self._timeout if left is None else left)
            return
        receiver.acks.ack(delivery.tag)

    def abandon(self, delivery: Delivery) -> None:
        """Say that the outcome of a request is not known."""
        self._stats.abandoned += 1
        self._replies.status(delivery, protocol.ABANDONED)

    def resume(self, receiver: Receiver, delivery: Delivery) -> bool:
        """Whether a redelivered request is worked on here, and goes on by its new delivery."""
        for work in self.running:
            # Ids are the callers' to choose, and other callers' may be the same, or none.
            if work.receiver.channel.closed.done() and _equal(work.delivery, delivery):
                work.receiver, work.delivery = receiver, delivery
                return True
        return False

    def stop(self) -> None:
        """End none of them at its deadline any more."""
        self._deadlines.stop()

    def end_streams(self) -> None:
        """Abandon what streams to its caller: with the connection, replies and credit were lost."""
        for work in self.running:
            if work.streams and work.task is not None and work.receiver.channel.closed.done():
                work.task.cancel()

    def _call(self, receiver: Receiver, delivery: Delivery, left: float) -> None:
        codec = choose_codec(self._codecs, delivery.properties.content_type)
        deadline = asyncio.get_running_loop().time() + min(left, self._timeout)
        work = Work(receiver, delivery, deadline, codec)
        try:
            body, type_id = decode_body(codec, delivery)
        except CodecError as error:
            self._refuse(work, error)
            return
        request = Request(body, type_id, delivery, deadline, lambda body: self._reply(work, body))
        if self._tracing is not None and not self._tracing.idle_for(request):
            self._run(work, self._traced(self._tracing, work, request))
            return
        try:
            result = self._handler(request)
        except HandlerNotFound as error:
            self._refuse(work, error)
        except RAISED as error:
            self._failed(work, error)
        else:
            if is_awaitable(result) or isinstance(result, AsyncIterable):
                self._run(work, self._finish_with(work, result), result)
            else:
                self._finish(work, result)

    # Asynchronous handlers

    def _run(self, work: Work, coro: Coroutine[Any, Any, None], result: Any = None) -> None:
        self.running.add(work)
        task = work.task = self._spawn(
            self._guarded(work, coro), name=f"request {work.correlation_id}", eager=True
        )
        if task.done():
            self._ended(work, task, coro, result)
            return
        self._deadlines.add(task, work.deadline)
        task.add_done_callback(lambda _: self._ended(work, task, coro, result))

    def _ended(
        self, work: Work, task: asyncio.Task[None], coro: Coroutine[Any, Any, None], result: Any
    ) -> None:
        self.running.discard(work)
        self._deadlines.remove(task)
        if task.cancelled() and not work.settled:
            # A task that is cancelled before its first step runs nothing of itself.
            coro.close()
            if isinstance(result, Coroutine):
                result.close()
            self._cancelled(work)
        self._on_done()

    def _expire(self, task: asyncio.Future[Any]) -> None:
        for work in self.running:
            if work.task is task:
                work.late = True
                task.cancel()

    def _cancelled(self, work: Work) -> None:
        """Give its outcome to a request whose handler was not let to its end."""
        if work.late:
            self._stats.expired += 1
            self._log("is cancelled at its deadline", work, level=logging.WARNING)
            self._replies.status(work.delivery, protocol.LATE)
        elif work.cancelled:
            # By its caller; otherwise the responder stops, and waits no longer.
            self._stats.cancelled += 1
        else:
            self.abandon(work.delivery)
        self._ack(work)

    async def _guarded(self, work: Work, coro: Coroutine[Any, Any, None]) -> None:
        """Give the request its outcome, whatever becomes of the handler."""
        begun = monotonic()
        try:
            await coro
        except asyncio.CancelledError as error:
            if is_own_cancellation(error):
                self._cancelled(work)
                raise
            self._failed(work, error)
        except HandlerNotFound as error:
            self._refuse(work, error)
        except Exception as error:
            self._failed(work, error)
        finally:
            self.durations.record(monotonic() - begun)

    async def _traced(self, tracing: Tracing, work: Work, request: Request[Any]) -> None:
        with tracing.handling(request, work.receiver.queue):
            result = self._handler(request)
            if is_awaitable(result) or isinstance(result, AsyncIterable):
                await self._finish_with(work, result)
            else:
                self._finish(work, result)

    async def _finish_with(self, work: Work, result: Any) -> None:
        if is_awaitable(result):
            try:
                value = await result
            except Exception:
                await self._replies.wait_connected()
                raise
            # A reply that is ready is kept, up to its deadline; an instance keeps no more of them
            # than it works on requests.
            await self._replies.wait_connected()
            self._finish(work, value)
        elif work.streams:
            await self._stream(work, result)
        else:
            raise HandlerNotFound("the handler of this request replies by a stream: use stream()")

    async def _stream(self, work: Work, items: AsyncIterable[Any]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            if hasattr(items, "aclose"):
                stack.push_async_callback(items.aclose)
            await work.wait_credit()
            async for item in items:
                work.spend_credit()
                channel = self._replies.item(work, item)
                if channel.congested:
                    await channel.drain()
                await work.wait_credit()
            self._replies.end(work)
        self._stats.replied += 1
        self._ack(work)

    # Outcomes

    def _reply(self, work: Work, body: Any) -> bool:
        if work.replied or work.settled or work.delivery.properties.reply_to is None:
            return False
        self._replies.value(work, body)
        work.replied = True
        return True

    def _finish(self, work: Work, result: Any) -> None:
        if not work.replied:
            try:
                self._replies.value(work, result)
            except LinkLost:
                # Not acknowledged, it is delivered to another responder, which says so.
                return
            except Exception as error:
                self._failed(work, error)
                return
        self._stats.replied += 1
        self._ack(work)

    def _refuse(self, work: Work, error: Exception) -> None:
        self._stats.refused += 1
        self._log(f"is refused: {protocol.error_summary(error)}", work, level=logging.WARNING)
        self._replies.error(work.delivery, protocol.REFUSED, error)
        self._ack(work)

    def _failed(self, work: Work, error: BaseException) -> None:
        if isinstance(error, LinkLost) and work.receiver.channel.closed.done():
            return
        if isinstance(error, self._expected):
            self._stats.declined += 1
            self._replies.error(work.delivery, protocol.FAILED, error, expected=True)
            self._ack(work)
            return
        self._stats.failed += 1
        self._log("failed", work, error)
        self._replies.error(work.delivery, protocol.FAILED, error)
        self._ack(work)

    def _log(
        self,
        what: str,
        work: Work,
        error: BaseException | None = None,
        *,
        level: int = logging.ERROR,
    ) -> None:
        message = f"{self._name}: {describe_request(work.delivery)} {what}"
        self.reports.log(message, error, level=level, cause=None if error else what[:12])

    def _ack(self, work: Work) -> None:
        work.settled = True
        work.receiver.acks.ack(work.delivery.tag)


def _equal(one: Delivery, other: Delivery) -> bool:
    return (
        one.properties.correlation_id == other.properties.correlation_id
        and one.properties.reply_to == other.properties.reply_to
        and one.body == other.body
    )
