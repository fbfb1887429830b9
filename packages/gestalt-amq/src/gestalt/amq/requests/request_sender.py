"""Sends the requests to one service, and awaits what comes back."""

import asyncio
import contextlib
import os
from collections.abc import Mapping
from typing import Any

from gestalt.amq.errors import (
    AmqError,
    DeadlineExceeded,
    LinkLost,
    NoResponder,
    NotSent,
    OutcomeUnknown,
)
from gestalt.amq.headers import CONTROL_HEADER, WINDOW_HEADER
from gestalt.amq.link.interface import Channel
from gestalt.amq.link.preflight import Question
from gestalt.amq.link.sender import Sender
from gestalt.amq.wire import TRANSIENT, Delivery, Properties
from gestalt.codecs import Encoded
from gestalt.core import Backoff
from gestalt.core.backoff import Delays

from . import protocol
from .calls import Call, EncodedRequest, GatherCall, SingleCall, StreamCall
from .requests_keeper import RequestsKeeper

# Instances are counted in tens: a gather that nobody limits ends here.
MAX_REPLIES = 10_000


class RequestSender(Sender):
    """Sends requests, again where they may be, and cancels those that nobody waits for any more.

    Args:
        keeper: keeps the channel, and hands replies to calls.
        service: to which everything is sent.
        timeout: for a request with its reply, in seconds.
        max_pending: how many may await their reply at once; further ones wait.
        backoff: the waits before a request is sent again.

    Attributes:
        pending: how many calls await replies.
    """

    def __init__(
        self,
        keeper: RequestsKeeper,
        service: str,
        *,
        timeout: float,
        max_pending: int,
        backoff: Backoff,
    ) -> None:
        if max_pending < 1:
            raise ValueError(f"max_pending must be at least 1, got {max_pending}")
        super().__init__(keeper, timeout=timeout, max_pending=max_pending, to=service)
        self.pending = 0
        self._service = service
        self._backoff = backoff
        # Ids are not to be guessed: whoever knows one can cancel the call.
        self._prefix = os.urandom(8).hex()
        self._number = 0
        self._requests = keeper

    def prepare(
        self, encoded: Encoded, timeout: float | None, headers: Mapping[str, Any] | None
    ) -> EncodedRequest:
        """A request that is sent now, and given up after its time.

        Raises:
            NotSent: there is no time at all.
        """
        now = asyncio.get_running_loop().time()
        deadline = now + self._timeout if timeout is None else self._deadline(now, timeout)
        return EncodedRequest(encoded, now, deadline, headers)

    async def call(self, request: EncodedRequest, *, idempotent: bool) -> Delivery:
        """Send a request that has one reply, again where it may be, and return the reply.

        Raises:
            NoResponder, DeadlineExceeded, OutcomeUnknown, NotSent: as `Requester.request` does.
        """
        lost: AmqError | None = None
        delays: Delays | None = None
        loop = asyncio.get_running_loop()
        now = request.begun
        while True:
            self._number += 1
            call = SingleCall(f"{self._prefix}{self._number:x}", self._service, loop)
            failure: AmqError
            try:
                if not self._send_now(call, request, protocol.REQUESTS.name, now):
                    await self._send(call, request)
                try:
                    reply = await call
                finally:
                    # Given up in whatever way, as by the end of the event loop, it is over, too.
                    call.cancel()
                    self._done(call)
                if not (idempotent and protocol.is_abandoned(reply)):
                    return reply
                lost = failure = protocol.read_error(self._service, reply)
            except LinkLost as error:
                if not idempotent:
                    raise self._lost_after_sending(error) from error
                lost = error
                now = loop.time()
                continue
            except NotSent as error:
                if lost is None:
                    raise
                raise DeadlineExceeded(
                    f"{self._service}: the connection was lost after the request was sent, and "
                    f"there was none to send it again: {error}"
                ) from lost
            except NoResponder as error:
                if lost is None:
                    raise
                failure = error  # pragma: no cover - none is back when it is sent again
            except asyncio.CancelledError:
                self._cancel(call)
                raise
            # Responders come back a little later than we do.
            delays = delays or self._backoff.delays()
            pause = delays.next()
            if loop.time() + pause >= request.deadline:  # pragma: no cover - it depends on chance
                raise failure
            await asyncio.sleep(pause)
            now = loop.time()

    async def gather(self, request: EncodedRequest, count: int | None) -> list[Delivery]:
        """Send a request to every instance, and return their replies.

        Args:
            request: what is sent.
            count: how many replies are enough; None for those that come by the deadline.

        Raises:
            NoResponder, OutcomeUnknown, NotSent: as `Requester.gather` does.
        """
        if count is not None and count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        loop = asyncio.get_running_loop()
        call = GatherCall(self._next_correlation_id(), self._service, loop, count or MAX_REPLIES)
        try:
            await self._send(call, request, protocol.INSTANCES.name)
            call.add_done_callback(self._done)
            return await call
        except LinkLost as error:  # pragma: no cover - lost while it gathers
            raise self._lost_after_sending(error) from error
        except asyncio.CancelledError:
            self._cancel(call)
            raise

    async def stream(self, request: EncodedRequest, buffer: int) -> StreamCall:
        """Send a request for a stream of replies, of which up to `buffer` may be ahead."""
        request.headers[WINDOW_HEADER] = buffer
        loop = asyncio.get_running_loop()
        call = StreamCall(self._next_correlation_id(), self._service, loop, buffer)
        await self._send(call, request)
        call.add_done_callback(self._done)
        return call

    def note_used(self, call: StreamCall) -> None:
        """An item of a stream was used up: ask for more when it is time."""
        if (credit := call.credit()) and call.responder is not None:
            self._control(call, protocol.CREDIT, call.responder, {WINDOW_HEADER: credit})

    def leave(self, call: StreamCall) -> None:
        """Nothing more of a stream is wanted."""
        call.cancel()
        if call.at_work and call.responder is not None:
            self._control(call, protocol.CANCEL, call.responder, {})
        else:
            self._cancel(call)

    def explain(self, error: Exception) -> Exception:
        """What an error means for a request that was sent."""
        return self._lost_after_sending(error) if isinstance(error, LinkLost) else error

    def renew(self) -> None:
        super().renew()
        self.pending = 0

    def _next_correlation_id(self) -> str:
        self._number += 1
        return f"{self._prefix}{self._number:x}"

    def _send_now(
        self, call: Call[Any], request: EncodedRequest, exchange: str, now: float
    ) -> bool:
        """As `_send`, unless that would have to wait."""
        channel = self._ready_now(exchange, len(request.body), now)
        if channel is None:
            return False
        self._send_by(channel, call, request, exchange, now)
        return True

    async def _send(
        self, call: Call[Any], request: EncodedRequest, exchange: str = protocol.REQUESTS.name
    ) -> None:
        """Send a request, and note that its replies are awaited, until `_done`."""
        loop = asyncio.get_running_loop()
        if self._send_now(call, request, exchange, loop.time()):
            return
        question = Question(exchange, self._service, len(request.body))
        channel = await self._ready(request.deadline, question)
        self._send_by(channel, call, request, exchange, loop.time())

    def _send_by(
        self, channel: Channel, call: Call[Any], request: EncodedRequest, exchange: str, now: float
    ) -> None:
        try:
            channel.send(
                exchange,
                self._service,
                request.properties(call.correlation_id, now),
                request.body,
                mandatory=True,
                at_once=not self.pending,
            )
        except BaseException:
            self._window.release()
            raise
        call.at_work = True
        self.pending += 1
        self._requests.expect(call, request.deadline)
        self._counts.begin(call)

    def _done(self, pending: asyncio.Future[Any]) -> None:
        super()._done(pending)
        if self.pending:  # pragma: no branch - of an earlier start
            self.pending -= 1

    def _cancel(self, call: Call[Any]) -> None:
        if call.at_work:
            # Which instance has the request is known to none but that one.
            self._control(call, protocol.CANCEL, None, {})

    def _control(
        self, call: Call[Any], control: str, queue: str | None, headers: Mapping[str, Any]
    ) -> None:
        """Tell one instance something about a call, or all of them."""
        channel = self._requests.channel
        if channel is None:
            return
        properties = Properties(
            correlation_id=call.correlation_id,
            # Whose call it is, for those who do not know it yet: the broker makes of it the same
            # as of the request's.
            reply_to=protocol.REPLY_TO if queue is None else None,
            delivery_mode=TRANSIENT,
            headers={CONTROL_HEADER: control, **headers},
        )
        exchange, key = (protocol.INSTANCES.name, self._service) if queue is None else ("", queue)
        # Where the connection is lost, the call ends by that.
        with contextlib.suppress(LinkLost):
            channel.send(exchange, key, properties, b"")

    def _lost_after_sending(self, error: LinkLost) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self._service}: the request was sent, then the connection was lost: {error}"
        )
