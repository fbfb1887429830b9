"""Calls a responder's handler for each request, and sees to it that each has one outcome."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterable, Sequence
from time import monotonic
from types import CoroutineType
from typing import Any

from gestalt.amq.encoding import decode_body
from gestalt.amq.errors import LinkLost
from gestalt.amq.link.consumer import Receiver
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import Delivery
from gestalt.codecs import Codec, CodecError
from gestalt.core import Discard, Handler, HandlerNotFound, Reports
from gestalt.core.calling import ENDS, is_awaitable, is_own_cancellation
from gestalt.core.metrics import Histogram

from . import protocol
from .replies import Replies, choose_codec, describe_request
from .request import Request
from .service import ResponderStats
from .work import Work

logger = logging.getLogger("gestalt.amq")


# What a coroutine gives that has sent the reply itself.
_SENT = object()


class Worker:
    """Calls the handler: `begin` does all of a plain one, `finish` the rest of an async one.

    Args:
        name: of the responder, for the log.
        handler: of the requests.
        codecs: what requests may be written in.
        replies: sends the replies.
        stats: counts what becomes of requests.
        expected: classes of exceptions that are replies like others, and no failures.
        timeout: for an asynchronous handler, where the caller gives no earlier deadline.

    Attributes:
        durations: how long asynchronous handlers took, in seconds.
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
        tracing: Tracing | None,
    ) -> None:
        self._name = name
        self._handler = handler
        self._codecs = codecs
        # The only one, where there are no others to choose from.
        self._codec = codecs[0] if len(codecs) == 1 else None
        self._replies = replies
        self._stats = stats
        self._timeout = timeout
        # Whoever waits for a reply is told of a request that is dropped, too.
        self._expected = (*expected, Discard)
        self._tracing = tracing
        self.durations = Histogram()
        self.reports = Reports(logger)

    def begin(self, receiver: Receiver, delivery: Delivery, now: float) -> tuple[Work, Any] | None:
        """Work on a request; it is acknowledged when it has its outcome.

        Args:
            receiver: by which it came.
            delivery: the request.
            now: the time by the loop's clock.

        Returns:
            What is to be finished in a task; None where it has its outcome.
        """
        if receiver.channel.closed.done():  # pragma: no cover - lost in this turn
            return None  # it is delivered again, here or to others
        headers = delivery.properties.headers
        left = protocol.remaining(headers) if headers else None
        if left is not None and left <= 0:
            self._stats.expired += 1
            self._replies.status(delivery, protocol.LATE)
        elif delivery.redelivered and protocol.may_have_begun(delivery):
            self.abandon(delivery)
        else:
            given = self._timeout
            return self._call(
                receiver, delivery, now + (given if left is None else min(left, given))
            )
        receiver.acks.ack(delivery.tag)
        return None

    def abandon(self, delivery: Delivery) -> None:
        """Say that the outcome of a request is not known."""
        self._stats.abandoned += 1
        self._replies.status(delivery, protocol.ABANDONED)

    def _call(
        self, receiver: Receiver, delivery: Delivery, deadline: float
    ) -> tuple[Work, Any] | None:
        codec = self._codec or choose_codec(self._codecs, delivery.properties.content_type)
        work = Work(receiver, delivery, deadline, codec)
        try:
            body, type_id = decode_body(codec, delivery)
        except CodecError as error:
            self._refuse(work, error)
            return None
        request = Request(body, type_id, delivery, deadline, lambda body: self._reply(work, body))
        if self._tracing is not None and not self._tracing.idle_for(request):
            return work, self._traced(self._tracing, work, request)
        try:
            result = self._handler(request)
        except HandlerNotFound as error:
            self._refuse(work, error)
        except ENDS:
            raise
        except BaseException as error:
            self._failed(work, error)
        else:
            if (
                type(result) is CoroutineType
                or is_awaitable(result)
                or isinstance(result, AsyncIterable)
            ):
                return work, result
            self._finish(work, result)
        return None

    # Asynchronous handlers

    async def finish(self, work: Work, result: Any) -> None:
        """Await what a handler returned, and give the request its outcome, whatever comes."""
        begun = monotonic()
        try:
            if type(result) is CoroutineType or is_awaitable(result):
                await self._finish_with(work, result)
            else:
                await self._stream(work, result)
        except asyncio.CancelledError as error:
            if is_own_cancellation(error):
                self.cancelled(work)
                raise
            self._failed(work, error)
        except HandlerNotFound as error:
            self._refuse(work, error)
        except ENDS:
            raise
        except BaseException as error:
            self._failed(work, error)
        finally:
            self.durations.record(monotonic() - begun)

    def cancelled(self, work: Work) -> None:
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

    async def _traced(self, tracing: Tracing, work: Work, request: Request[Any]) -> object:
        with tracing.handling(request, work.receiver.queue):
            result = self._handler(request)
            if is_awaitable(result):
                await self._finish_with(work, result)
            elif isinstance(result, AsyncIterable):
                await self._stream(work, result)
            else:
                self._finish(work, result)
        return _SENT

    async def _finish_with(self, work: Work, result: Any) -> None:
        try:
            value = await result
        except Exception:
            if not self._replies.connected:
                await self._replies.wait_connected()
            raise
        if value is _SENT:
            return
        # A reply that is ready is kept, up to its deadline; an instance keeps no more of them
        # than it works on requests.
        if not self._replies.connected:
            await self._replies.wait_connected()
        self._finish(work, value)

    async def _stream(self, work: Work, items: AsyncIterable[Any]) -> None:
        if not work.streams:
            raise HandlerNotFound("the handler of this request replies by a stream: use stream()")
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
            except LinkLost:  # pragma: no cover - lost in this turn
                # Not acknowledged, it is delivered to another responder, which says so.
                return
            except Exception as error:
                self._failed(work, error)
                return
        self._stats.replied += 1
        # As `_ack`, without the call.
        work.settled = True
        work.receiver.acks.ack(work.delivery.tag)

    def _refuse(self, work: Work, error: Exception) -> None:
        self._stats.refused += 1
        self._log(f"is refused: {protocol.error_summary(error)}", work, level=logging.WARNING)
        self._replies.error(work.delivery, protocol.REFUSED, error)
        self._ack(work)

    def _failed(self, work: Work, error: BaseException) -> None:
        if isinstance(error, LinkLost) and work.receiver.channel.closed.done():
            return  # pragma: no cover - lost while it streams
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
