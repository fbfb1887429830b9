"""Requests to a service, and what comes back: a reply, an error that says which, or a stream."""

import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar

from gestalt.amq.encoding import decode_body
from gestalt.amq.headers import (
    CONTROL_HEADER,
    IDEMPOTENT_HEADER,
    INSTANCE_HEADER,
    STATUS_HEADER,
)
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import Delivery, Properties
from gestalt.codecs import Codec, Codecs
from gestalt.core import Backoff, GestaltError

from . import protocol
from .calls import EncodedRequest, StreamCall
from .reply_stream import ReplyStream
from .request_sender import RequestSender
from .requests_keeper import RequestsKeeper
from .service import ServiceInfo, info_codec

Q_contra = TypeVar("Q_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class GatheredReply(Generic[R_co]):
    """What one instance of a service replied.

    Args:
        instance: which one, by its id.
        body: the reply; None where there is an error.
        error: why there is no reply.
    """

    instance: str
    body: R_co | None = None
    error: Exception | None = None


class RequesterOptions(TypedDict, total=False):
    """What a requester may be told by name; Requester has the defaults.

    Attributes:
        timeout: for a request with its reply, in seconds (10).
        max_pending: how many may await their reply at once (1000); further ones wait.
    """

    timeout: float
    max_pending: int


class Requester(Generic[Q_contra, R_co]):
    """Requests to one service; made by `Bus.requester`, and shared by any number of tasks.

    Every call ends: by a reply, or by an error that says what is known. Many may be under way at
    once; over `max_pending` of them, further ones wait. While there is no connection, requests
    wait for it, up to their deadline.

    `Requester[Locate, Position]` is for type checkers: what is asked, and what is replied.

        tracker: Requester[Locate, Position] = bus.requester("tracker")
    """

    def __init__(
        self,
        keeper: RequestsKeeper,
        service: str,
        codec: Codec | Codecs,
        *,
        backoff: Backoff,
        tracing: Tracing | None,
        timeout: float = 10.0,
        max_pending: int = 1000,
    ) -> None:
        self.service = service
        self.codec = codec
        self._tracing = tracing
        self._sender = RequestSender(
            keeper, service, timeout=timeout, max_pending=max_pending, backoff=backoff
        )

    @property
    def pending(self) -> int:
        """How many calls await replies."""
        return self._sender.pending

    async def request(
        self,
        body: Q_contra,
        *,
        timeout: float | None = None,
        idempotent: bool = False,
        headers: Mapping[str, Any] | None = None,
    ) -> R_co:
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
        request = self._encode(body, timeout, headers)
        if idempotent:
            request.headers[IDEMPOTENT_HEADER] = True
        if self._tracing is None or self._tracing.idle():
            return self._read(await self._sender.call(request, idempotent=idempotent))
        with self._tracing.publishing(
            protocol.REQUESTS.name, self.service, Properties(headers=request.headers)
        ) as span:
            request.headers.update(span.headers or {})
            return self._read(await self._sender.call(request, idempotent=idempotent))

    def stream(
        self,
        body: Q_contra,
        *,
        timeout: float | None = None,
        buffer: int = 100,
        headers: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[R_co, None]:
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
                request = self._encode(body, timeout, headers)
                self._trace(request)
            return await self._sender.stream(request, buffer)

        return ReplyStream(
            begin,
            use=self._sender.note_used,
            leave=self._sender.leave,
            decode=lambda delivery: decode_body(self.codec, delivery)[0],
            explain=self._sender.explain,
        )

    async def gather(
        self,
        body: Q_contra,
        *,
        timeout: float | None = None,
        count: int | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> list[GatheredReply[R_co]]:
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
        request = self._encode(body, timeout, headers)
        self._trace(request)
        return [self._gathered(reply) for reply in await self._sender.gather(request, count)]

    async def ping(self, *, timeout: float | None = None) -> float:
        """Have one instance answer at once, and return how long that took, in seconds.

        Raises:
            NoResponder, DeadlineExceeded, OutcomeUnknown, NotSent: as in `request`.
        """
        request = self._sender.prepare(protocol.NOTHING, timeout, {CONTROL_HEADER: protocol.PING})
        begun = time.perf_counter()
        self._check(await self._sender.call(request, idempotent=False))
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
        request = self._sender.prepare(protocol.NOTHING, timeout, {CONTROL_HEADER: protocol.INFO})
        replies = await self._sender.gather(request, count)
        for reply in replies:
            self._check(reply)
        return [info_codec().decode(reply.body) for reply in replies]

    def _encode(
        self, body: Q_contra, timeout: float | None, headers: Mapping[str, Any] | None
    ) -> EncodedRequest:
        return self._sender.prepare(self.codec.encode(body), timeout, headers)

    def _trace(self, request: EncodedRequest) -> None:
        """Have what is sent belong to the present trace."""
        if self._tracing is not None:
            request.headers.update(
                self._tracing.inject(Properties(headers=request.headers)).headers or {}
            )

    def _check(self, delivery: Delivery) -> None:
        if STATUS_HEADER in (delivery.properties.headers or {}):
            raise protocol.read_error(self.service, delivery)

    def _read(self, delivery: Delivery) -> R_co:
        if delivery.properties.headers:
            self._check(delivery)
        body: R_co = decode_body(self.codec, delivery)[0]
        return body

    def _gathered(self, delivery: Delivery) -> GatheredReply[R_co]:
        instance = str((delivery.properties.headers or {}).get(INSTANCE_HEADER, ""))
        try:
            return GatheredReply(instance, self._read(delivery))
        except GestaltError as error:
            return GatheredReply(instance, error=error)
