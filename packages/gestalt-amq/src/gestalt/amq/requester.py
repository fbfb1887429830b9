"""Requests to a service, and what comes back: a reply, an error that says which, or a stream."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from gestalt.codecs import Codec
from gestalt.core import Backoff, GestaltError

from . import calls
from .declare import declare_exchange
from .errors import (
    AmqError,
    DeadlineExceeded,
    LinkLost,
    NoResponder,
    NotSent,
    OutcomeUnknown,
)
from .incoming import decode_body
from .link import Channel, Link
from .outlet import Outlet
from .pending import Call, EncodedRequest, GatherCall, SingleCall, StreamCall
from .properties import TRANSIENT, Delivery, Properties
from .replies import NOTHING
from .service import ServiceInfo, info_codec
from .supervisor import Supervisor
from .topology import Exchange
from .tracing import Tracing

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
        supervisor: Supervisor,
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
        super().__init__(
            service, supervisor, timeout=timeout, max_pending=max_pending, backoff=backoff
        )
        self.service = service
        self.codec = codec
        self._backoff = backoff
        self._tracing = tracing
        # Ids are not to be guessed: whoever knows one can cancel the call.
        self._prefix = secrets.token_hex(8)
        self._number = 0
        self._calls: dict[str, Call[Any]] = {}

    @property
    def pending(self) -> int:
        """How many calls await replies."""
        return len(self._calls)

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
            CodecError: the request cannot be encoded, or the reply not decoded.
        """
        request = EncodedRequest(self.codec.encode(body), self._deadline(timeout), headers)
        if idempotent:
            request.headers[calls.IDEMPOTENT_HEADER] = True
        if self._tracing is None or self._tracing.idle():
            return self._read(await self._call(request, idempotent=idempotent))
        with self._tracing.publishing(
            calls.REQUESTS.name, self.service, Properties(headers=request.headers)
        ) as span:
            request.headers.update(span.headers or {})
            return self._read(await self._call(request, idempotent=idempotent))

    async def stream(
        self,
        body: Any,
        *,
        timeout: float | None = None,
        buffer: int = 100,
        headers: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Any]:
        """Iterate over the replies of a responder whose handler is an async generator.

            async for reading in requester.stream(Since(yesterday)): ...

        Leaving the loop early ends the generator at the responder, too. An iterator that is kept
        in a variable is closed by `contextlib.aclosing`.

        Args:
            body: the request; the codec encodes it.
            timeout: for the whole stream, in seconds; the requester's own by default.
            buffer: how many replies the responder may be ahead.
            headers: application headers.

        Raises:
            ValueError: `buffer` is below 1.
            OutcomeUnknown: the connection or the responder was lost; what came before is good.
            Others as in `request`.
        """
        if buffer < 1:
            raise ValueError(f"buffer must be at least 1, got {buffer}")
        request = EncodedRequest(self.codec.encode(body), self._deadline(timeout), headers)
        request.headers[calls.WINDOW_HEADER] = buffer
        self._trace(request)
        call = StreamCall(self._next_id(), self.service, buffer)
        await self._send(call, request)
        try:
            while (delivery := await call.next()) is not None:
                if (credit := call.credit()) and call.responder is not None:
                    self._control(call, calls.CREDIT, call.responder, {calls.WINDOW_HEADER: credit})
                yield decode_body(self.codec, delivery)[0]
        except LinkLost as error:
            raise self._unknown(error) from error
        finally:
            call.cancel()
            self._cancel_remote(call)

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
        request = EncodedRequest(self.codec.encode(body), self._deadline(timeout), headers)
        self._trace(request)
        return [self._gathered(reply) for reply in await self._ask_all(request, count)]

    async def ping(self, *, timeout: float | None = None) -> float:
        """Have one instance answer at once, and return how long that took, in seconds.

        Raises:
            NoResponder, DeadlineExceeded, OutcomeUnknown, NotSent: as in `request`.
        """
        request = EncodedRequest(
            NOTHING, self._deadline(timeout), {calls.CONTROL_HEADER: calls.PING}
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
            NOTHING, self._deadline(timeout), {calls.CONTROL_HEADER: calls.INFO}
        )
        replies = await self._ask_all(request, count)
        for reply in replies:
            self._check(reply)
        return [info_codec().decode(reply.body) for reply in replies]

    # Sending

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
                if not (idempotent and calls.is_abandoned(reply)):
                    return reply
                lost = failure = calls.read_error(self.service, reply)
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
            await self._send(call, request, calls.INSTANCES)
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
        exchange: Exchange = calls.REQUESTS,
    ) -> None:
        """Send a request, and note that its replies are awaited."""
        channel = await self._ready(request.deadline)
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
        self._calls[call.id] = call
        self._track(call, request.deadline)

    def _control(
        self, call: Call[Any], control: str, queue: str | None, headers: Mapping[str, Any]
    ) -> None:
        """Tell one instance something about a call, or all of them."""
        channel = self._channel
        if channel is None or self._blocked:
            return
        properties = Properties(
            correlation_id=call.id,
            delivery_mode=TRANSIENT,
            headers={calls.CONTROL_HEADER: control, **headers},
        )
        exchange, key = (calls.INSTANCES.name, self.service) if queue is None else ("", queue)
        # Where the connection is lost, the call ends by that.
        with contextlib.suppress(LinkLost):
            channel.send(exchange, key, properties, b"")

    def _cancel_remote(self, call: Call[Any]) -> None:
        if call.at_work:
            # Which instance has the request is known to none but that one.
            self._control(call, calls.CANCEL, None, {})

    # Replies

    def _take(self, delivery: Delivery) -> None:
        call = self._calls.get(delivery.properties.correlation_id or "")
        # One that comes too late finds no call.
        if call is not None and not call.done():
            call.take(delivery)

    def _returned(self, delivery: Delivery) -> None:
        call = self._calls.get(delivery.properties.correlation_id or "")
        if call is not None and not call.done():
            call.set_exception(NoResponder(f"{self.service}: nobody serves it"))

    def _check(self, delivery: Delivery) -> None:
        if calls.STATUS_HEADER in (delivery.properties.headers or {}):
            raise calls.read_error(self.service, delivery)

    def _read(self, delivery: Delivery) -> Any:
        self._check(delivery)
        return decode_body(self.codec, delivery)[0]

    def _gathered(self, delivery: Delivery) -> GatheredReply:
        instance = str((delivery.properties.headers or {}).get(calls.INSTANCE_HEADER, ""))
        try:
            return GatheredReply(instance, self._read(delivery))
        except GestaltError as error:
            return GatheredReply(instance, error=error)

    def _unknown(self, error: LinkLost) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self.service}: the request was sent, then the connection was lost: {error}"
        )

    # What the outlet asks for

    async def _open_channel(self, link: Link) -> Channel:
        channel = await link.open_channel(on_delivery=self._take, on_returned=self._returned)
        await declare_exchange(channel, calls.REQUESTS)
        await declare_exchange(channel, calls.INSTANCES)
        await channel.consume(calls.REPLY_TO, no_ack=True)
        channel.closed.add_done_callback(self._lost)
        return channel

    def _lost(self, closed: asyncio.Future[AmqError]) -> None:
        for call in list(self._calls.values()):
            if not call.done():
                call.set_exception(LinkLost(str(closed.result())))

    def _expire(self, pending: asyncio.Future[Any]) -> None:
        cast("Call[Any]", pending).expire()

    def _done(self, pending: asyncio.Future[Any]) -> None:
        super()._done(pending)
        del self._calls[cast("Call[Any]", pending).id]
