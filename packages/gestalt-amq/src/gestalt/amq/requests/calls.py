"""Requests that are sent, and await their replies: the future of each, and what fills it."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from gestalt.amq.encoding import checked_headers, make_properties
from gestalt.amq.errors import DeadlineExceeded, NoResponder, OutcomeUnknown, RequestError
from gestalt.amq.headers import DEADLINE_HEADER, ITEM_HEADER, STATUS_HEADER
from gestalt.amq.wire import TRANSIENT, Delivery, Properties, PropertiesTemplate
from gestalt.codecs import Encoded

from . import protocol

T = TypeVar("T")


class EncodedRequest:
    """A request that is encoded, and may be sent several times.

    Args:
        encoded: the body.
        begun: when it is sent first, by the loop's clock.
        deadline: when its caller gives up, by the loop's clock.
        headers: those of the application, and those of the protocol that are added to them.
    """

    def __init__(
        self, encoded: Encoded, begun: float, deadline: float, headers: Mapping[str, Any] | None
    ) -> None:
        self.body = encoded.body
        self.begun = begun
        self.deadline = deadline
        self.headers: dict[str, Any] = {} if headers is None else {**checked_headers(headers)}
        self._encoded = encoded

    def properties(self, correlation_id: str, now: float) -> Properties | bytes:
        """The properties for sending it at `now`, by the loop's clock; encoded, where they can be.

        Raises:
            Unsendable: a header cannot be sent.
        """
        left = self.deadline - now
        if not 0 <= left <= protocol.MAX_LEFT:
            left = min(max(0.0, left), protocol.MAX_LEFT)
        if not self.headers:
            return _template(*self._encoded[1:]).encode(
                correlation_id,
                number=int((time.time() + left) * 1000),
                expiration=str(round(left * 1000)),
            )
        return make_properties(
            self._encoded,
            TRANSIENT,
            {
                "correlation_id": correlation_id,
                "reply_to": protocol.REPLY_TO,
                "expiration": left,
                "headers": {
                    **self.headers,
                    DEADLINE_HEADER: int((time.time() + left) * 1000),
                },
            },
        )


@lru_cache(maxsize=1024)
def _template(
    content_type: str, content_encoding: str | None, type_id: int | None, type_name: str | None
) -> PropertiesTemplate:
    """What requests of one type, without headers of the application, have in common."""
    encoded = Encoded(b"", content_type, content_encoding, type_id, type_name)
    properties = make_properties(encoded, TRANSIENT, {"reply_to": protocol.REPLY_TO})
    return PropertiesTemplate(properties, number=DEADLINE_HEADER, expires=True)


class Call(asyncio.Future[T]):
    """A request under way; done when no further reply is awaited.

    Args:
        correlation_id: tells its replies from others.
        service: whose request it is.
        loop: the event loop that runs.

    Attributes:
        at_work: it was sent, and no responder has said that it is done with it.
    """

    def __init__(self, correlation_id: str, service: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.correlation_id = correlation_id
        self.service = service
        self.at_work = False

    def take(self, delivery: Delivery) -> None:
        """Take a reply."""
        raise NotImplementedError

    def take_returned(self, _: Delivery) -> None:
        """Take the request itself, which no queue took."""
        self.set_exception(NoResponder(f"{self.service}: nobody serves it"))

    def expire(self) -> None:
        """Give up: the deadline has passed."""
        self.set_exception(DeadlineExceeded(f"{self.service}: no reply came by the deadline"))


class SingleCall(Call[Delivery]):
    """Awaits one reply."""

    def take(self, delivery: Delivery) -> None:
        self.at_work = False
        self.set_result(delivery)


class GatherCall(Call[list[Delivery]]):
    """Awaits `count` replies, or as many as come by the deadline."""

    def __init__(
        self, correlation_id: str, service: str, loop: asyncio.AbstractEventLoop, count: int
    ) -> None:
        super().__init__(correlation_id, service, loop)
        self._count = count
        self._replies: list[Delivery] = []

    def take(self, delivery: Delivery) -> None:
        self._replies.append(delivery)
        if len(self._replies) == self._count:
            self.set_result(self._replies)

    def expire(self) -> None:
        self.set_result(self._replies)


class StreamCall(Call[None]):
    """Takes a stream of replies, as many ahead of the reader as it has asked for.

    Attributes:
        responder: the queue of the instance that replies, once that is known.
    """

    def __init__(
        self, correlation_id: str, service: str, loop: asyncio.AbstractEventLoop, window: int
    ) -> None:
        super().__init__(correlation_id, service, loop)
        self.responder: str | None = None
        self._window = window
        self._items: deque[Delivery] = deque()
        self._received = 0
        self._taken = 0
        self._waiter: asyncio.Future[None] | None = None
        self.add_done_callback(self._ended)

    def take(self, delivery: Delivery) -> None:
        headers = delivery.properties.headers or {}
        status = headers.get(STATUS_HEADER)
        if status == protocol.ITEM:
            self._received += 1
            if headers.get(ITEM_HEADER) != self._received:
                self._lost()
            elif len(self._items) == self._window:
                self.set_exception(
                    RequestError(f"{self.service}: more came than the {self._window} asked for")
                )
            else:
                self.responder = delivery.properties.reply_to or self.responder
                self._items.append(delivery)
                self._wake()
        elif status == protocol.END:
            self.at_work = False
            if headers.get(ITEM_HEADER) == self._received:
                self.set_result(None)
            else:
                self._lost()
        else:
            # An instance abandons what another one may still be at.
            self.at_work = status == protocol.ABANDONED
            self.set_exception(protocol.read_error(self.service, delivery))

    async def next(self) -> Delivery | None:
        """The next item; None after the last.

        Raises:
            RequestError, OutcomeUnknown, LinkLost: the stream ended before its end.
        """
        while not self._items:
            if self.done():
                return self.result()
            self._waiter = self.get_loop().create_future()
            await self._waiter
        return self._items.popleft()

    def credit(self) -> int:
        """Note that an item was used up; how many more may be asked for now, 0 for not yet."""
        self._taken += 1
        if self._taken * 2 < self._window:
            return 0
        credit, self._taken = self._taken, 0
        return credit

    def _lost(self) -> None:
        self.set_exception(
            OutcomeUnknown(f"{self.service}: the responder's connection was lost, and replies")
        )

    def _ended(self, call: asyncio.Future[Any]) -> None:
        if not call.cancelled():
            # The reader meets it after the items before it, unless it reads no more.
            call.exception()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
