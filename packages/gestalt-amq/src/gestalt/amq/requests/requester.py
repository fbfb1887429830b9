"""Requests to a service, and what comes back: a reply, an error that says which, or a stream."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from gestalt.amq.errors import (
    AmqError,
    DeadlineExceeded,
    LinkLost,
    NoResponder,
    NotSent,
    OutcomeUnknown,
)
from gestalt.amq.incoming import decode_body
from gestalt.amq.link.admission import Question
from gestalt.amq.link.outlet import Outlet
from gestalt.amq.topology import Exchange
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import TRANSIENT, Delivery, Properties
from gestalt.codecs import Codec
from gestalt.core import Backoff, GestaltError

from . import protocol
from .calls import Call, EncodedRequest, GatherCall, SingleCall, StreamCall
from .replies import NOTHING
from .reply_stream import ReplyStream
from .requests_keeper import RequestsKeeper
from .service import ServiceInfo, info_codec

# Instances are counted in tens: a gather that nobody limits ends here.
MAX_REPLIES = 10_000


@dataclass(frozen=True, slots=True)
class GatheredReply:
    """What one instance of a service replied.

    Args:
        instance: which one, by its id.
        body: the reply; None where there is an error.
        error: why there is no reply.
    """

    instance: str
    body: Any = None
    error: Exception | None = None


class Requester(Outlet):
    """Requests to one service; made by `Bus.requester`, and shared by any number of tasks.

    Every call ends: by a reply, or by an error that says what is known. Many may be under way at
    once; over `max_pending` of them, further ones wait. While there is no connection, requests
    wait for it, up to their deadline.
    """

    def __init__(
        self,
        keeper: RequestsKeeper,
        service: str,
        codec: Codec,
        *,
        timeout: float,
        max_pending: int,
        backoff: Backoff,
        tracing: Tracing | None,
    ) -> None:
        if max_pending < 1:
            raise ValueError(f"max_pending must be at least 1, got {max_pending}")
        super().__init__(keeper, timeout=timeout, max_pending=max_pending)
        self.service = service
        self.codec = codec
        self._backoff = backoff
        self._tracing = tracing
        # Ids are not to be guessed: whoever knows one can cancel the call.
        self._prefix = secrets.token_hex(8)
        self._number = 0
        self._requests = keeper
        self._pending = 0

    @property
    def pending(self) -> int:
        """How many calls await replies."""
        return self._pending

    async def request(
        self,
        body: Any,
        *,
        timeout: float | None = None,
        idempotent: bool = False,
        headers: Mapping[str, Any] | None = None,
    ) -> Any:
        """Have one instance of the service work on a request, and return its reply.

        Cancelling this call cancels the handler, too, as far as that can still be done.

        Args:
            body: the request; the codec encodes it.
            timeout: for all of it, in seconds; the requester's own by default.
            idempotent: it does no harm to work on it twice: it is sent again when the connection
                or the responder is lost, until the deadline.
            headers: application headers.

        Raises:
            NoResponder: nobody serves; told at once.
            DeadlineExceeded: no reply came by the deadline.
            RemoteError: the handler raised. RequestRefused: there was none for this request.
            OutcomeUnknown: the connection or the responder was lost after the request was sent.
            NotSent: there was no connection until the deadline; nothing was sent. Blocked, a
                NotSent: because the broker blocks publishers.
            Refused: the broker refuses the request, for want of a permission or for its size.
            Unsendable: a header cannot be sent; it is named.
            CodecError: the request cannot be encoded, or the reply not decoded.
        """
        request = EncodedRequest(self.codec.encode(body), self._until(timeout), headers)
        if idempotent:
            request.headers[protocol.IDEMPOTENT_HEADER] = True
        if self._tracing is None or self._tracing.idle():
            return self._read(await self._call(request, idempotent=idempotent))
        with self._tracing.publishing(
            protocol.REQUESTS.name, self.service, Properties(headers=request.headers)
        ) as span:
            request.headers.update(span.headers or {})
            return self._read(await self._call(request, idempotent=idempotent))

    def stream(
        self,
        body: Any,
        *,
        timeout: float | None = None,
        buffer: int = 100,
        headers: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Any, None]:
        """Iterate over the replies of a responder whose handler is an async generator.

            async for reading in requester.stream(Since(yesterday)): ...

        The request is sent by the first read. A read that is cancelled, as by a timeout of its
        own, takes nothing away: the next one goes on. Leaving the loop early ends the generator at
        the responder, too. An iterator that is kept in a variable is closed by
        `contextlib.aclosing`.

        Args:
            body: the request; the codec encodes it.
            timeout: for the whole stream, in seconds; the requester's own by default.
            buffer: how many replies the responder may be ahead.
            headers: application headers.

        Raises:
            ValueError: `buffer` is below 1.
            OutcomeUnknown: the connection or the responder was lost; what came before is good.
            Others as in `request`. An error comes again at each further read.
        """
        if buffer < 1:
            raise ValueError(f"buffer must be at least 1, got {buffer}")
        request: EncodedRequest | None = None

        async def begin() -> StreamCall:
            nonlocal request
            if request is None:
                request = EncodedRequest(self.codec.encode(body), self._until(timeout), headers)
                request.headers[protocol.WINDOW_HEADER] = buffer
                self._trace(request)
            call = StreamCall(self._next_id(), self.service, buffer)
            await self._send(call, request)
            return call

        return ReplyStream(
            begin,
            use=self._note_used,
            leave=self._leave,
            decode=lambda delivery: decode_body(self.codec, delivery)[0],
            explain=lambda error: self._unknown(error) if isinstance(error, LinkLost) else error,
        )

    async def gather(
        self,
        body: Any,
        *,
        timeout: float | None = None,
        count: int | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> list[GatheredReply]:
        """Have every instance of the service work on a request, and return what they reply.

        Args:
            body: the request; the codec encodes it.
            timeout: how long to wait for replies, in seconds; the requester's own by default.
            count: how many replies are enough; by default those that come in time.
            headers: application headers.

        Raises:
            NoResponder: there is no instance.
            OutcomeUnknown: the connection was lost.
            NotSent, CodecError: as in `request`.
        """
        request = EncodedRequest(self.codec.encode(body), self._until(timeout), headers)
        self._trace(request)
        return [self._gathered(reply) for reply in await self._ask_all(request, count)]

    async def ping(self, *, timeout: float | None = None) -> float:
        """Have one instance answer at once, and return how long that took, in seconds.

        Raises:
            NoResponder, DeadlineExceeded, OutcomeUnknown, NotSent: as in `request`.
        """
        request = EncodedRequest(
            NOTHING, self._until(timeout), {protocol.CONTROL_HEADER: protocol.PING}
        )
        begun = time.perf_counter()
        self._check(await self._call(request, idempotent=False))
        return time.perf_counter() - begun

    async def info(
        self, *, timeout: float | None = None, count: int | None = None
    ) -> list[ServiceInfo]:
        """Ask every instance what it is and has done.

        Args:
            timeout: how long to wait for replies, in seconds; the requester's own by default.
            count: how many replies are enough; by default those that come in time.

        Raises:
            NoResponder, OutcomeUnknown, NotSent: as in `gather`.
            RequestError: an instance has none to give.
            DecodeError: what came is no such information.
        """
        request = EncodedRequest(
            NOTHING, self._until(timeout), {protocol.CONTROL_HEADER: protocol.INFO}
        )
        replies = await self._ask_all(request, count)
        for reply in replies:
            self._check(reply)
        return [info_codec().decode(reply.body) for reply in replies]

    # Sending

    def _until(self, timeout: float | None) -> float:
        return self._deadline(asyncio.get_running_loop().time(), timeout)

    def _trace(self, request: EncodedRequest) -> None:
        """Have what is sent belong to the present trace."""
        if self._tracing is not None:
            request.headers.update(
                self._tracing.inject(Properties(headers=request.headers)).headers or {}
            )

    def _next_id(self) -> str:
        self._number += 1
        return f"{self._prefix}{self._number:x}"

    async def _call(self, request: EncodedRequest, *, idempotent: bool) -> Delivery:
        """Send a request that has one reply, again where it may be, and return the reply."""
        lost: AmqError | None = None
        delays = self._backoff.delays()
        while True:
            call = SingleCall(self._next_id(), self.service)
            failure: AmqError
            try:
                await self._send(call, request)
                reply = await call
                if not (idempotent and protocol.is_abandoned(reply)):
                    return reply
                lost = failure = protocol.read_error(self.service, reply)
            except LinkLost as error:
                if not idempotent:
                    raise self._unknown(error) from error
                lost = error
                continue
            except NotSent as error:
                if lost is None:
                    raise
                raise DeadlineExceeded(
                    f"{self.service}: the connection was lost after the request was sent, and "
                    f"there was none to send it again: {error}"
                ) from lost
            except NoResponder as error:
                if lost is None:
                    raise
                failure = error
            except asyncio.CancelledError:
                self._cancel_remote(call)
                raise
            # Responders come back a little later than we do.
            pause = delays.next()
            if asyncio.get_running_loop().time() + pause >= request.deadline:
                raise failure
            await asyncio.sleep(pause)

    async def _ask_all(self, request: EncodedRequest, count: int | None) -> list[Delivery]:
        if count is not None and count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        call = GatherCall(self._next_id(), self.service, count or MAX_REPLIES)
        try:
            await self._send(call, request, protocol.INSTANCES)
            return await call
        except LinkLost as error:
            raise self._unknown(error) from error
        except asyncio.CancelledError:
            self._cancel_remote(call)
            raise

    async def _send(
        self,
        call: Call[Any],
        request: EncodedRequest,
        exchange: Exchange = protocol.REQUESTS,
    ) -> None:
        """Send a request, and note that its replies are awaited."""
        now = asyncio.get_running_loop().time()
        channel = self._ready_now(exchange.name, len(request.body), now)
        if channel is None:
            question = Question(exchange.name, self.service, len(request.body))
            channel = await self._ready(request.deadline, question)
        try:
            channel.send(
                exchange.name,
                self.service,
                request.properties(call.id),
                request.body,
                mandatory=True,
            )
        except BaseException:
            self._window.release()
            raise
        call.at_work = True
        self._pending += 1
        self._requests.expect(call, request.deadline)
        call.add_done_callback(self._done)

    def _control(
        self, call: Call[Any], control: str, queue: str | None, headers: Mapping[str, Any]
    ) -> None:
        """Tell one instance something about a call, or all of them."""
        channel = self._requests.channel
        if channel is None:
            return
        properties = Properties(
            correlation_id=call.id,
            delivery_mode=TRANSIENT,
            headers={protocol.CONTROL_HEADER: control, **headers},
        )
        exchange, key = (protocol.INSTANCES.name, self.service) if queue is None else ("", queue)
        # Where the connection is lost, the call ends by that.
        with contextlib.suppress(LinkLost):
            channel.send(exchange, key, properties, b"")

    def _note_used(self, call: StreamCall) -> None:
        if (credit := call.credit()) and call.responder is not None:
            self._control(call, protocol.CREDIT, call.responder, {protocol.WINDOW_HEADER: credit})

    def _leave(self, call: StreamCall) -> None:
        call.cancel()
        self._cancel_remote(call)

    def _cancel_remote(self, call: Call[Any]) -> None:
        if call.at_work:
            # Which instance has the request is known to none but that one.
            self._control(call, protocol.CANCEL, None, {})

    # Replies

    def _check(self, delivery: Delivery) -> None:
        if protocol.STATUS_HEADER in (delivery.properties.headers or {}):
            raise protocol.read_error(self.service, delivery)

    def _read(self, delivery: Delivery) -> Any:
        self._check(delivery)
        return decode_body(self.codec, delivery)[0]

    def _gathered(self, delivery: Delivery) -> GatheredReply:
        instance = str((delivery.properties.headers or {}).get(protocol.INSTANCE_HEADER, ""))
        try:
            return GatheredReply(instance, self._read(delivery))
        except GestaltError as error:
            return GatheredReply(instance, error=error)

    def _unknown(self, error: LinkLost) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self.service}: the request was sent, then the connection was lost: {error}"
        )

    def _done(self, pending: asyncio.Future[Any]) -> None:
        super()._done(pending)
        self._pending = max(0, self._pending - 1)

    def renew(self) -> None:
        super().renew()
        self._pending = 0
