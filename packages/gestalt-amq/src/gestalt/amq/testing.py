"""Messages for tests of handlers, which then need neither a bus nor a broker.

    with pytest.raises(Park):
        await handler(message(Order(-1), "orders.new", attempt=3))

What becomes of a message, its handler says: one that returns has it acknowledged, one that raises
`Park`, `RetryLater` or `Discard` has decided, and any other exception is retried.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from .headers import ATTEMPTS_HEADER
from .message import BusBatch, BusMessage
from .requests.request import Request
from .wire import Delivery, Properties

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class RecordingRequest(Request[T_co]):
    """A request that keeps what it is replied. Made by `request`.

    Attributes:
        replies: the bodies; one at most, as the second `reply` raises `ReplyNotPossible`.
    """

    __slots__ = ("replies",)

    def __init__(
        self, body: T_co, type_id: int | None, delivery: Delivery, deadline: float
    ) -> None:
        self.replies: list[Any] = []
        super().__init__(body, type_id, delivery, deadline, self._keep)

    def _keep(self, body: Any) -> bool:
        if self.replies:
            return False
        self.replies.append(body)
        return True


def message(
    body: T,
    routing_key: str = "",
    *,
    exchange: str = "",
    type_id: int | None = None,
    headers: Mapping[str, Any] | None = None,
    attempt: int = 1,
    redelivered: bool = False,
    properties: Properties | None = None,
) -> BusMessage[T]:
    """Make a message as a subscription's handler gets it.

    Args:
        body: as the codec would have decoded it.
        routing_key: that it was published with.
        exchange: that it was published to.
        type_id: the message type identifier.
        headers: its application headers, in place of those of `properties`.
        attempt: how often it is handled by now, this time included.
        redelivered: whether it was delivered before.
        properties: its further AMQP properties, such as its message id.

    Raises:
        ValueError: `attempt` is below 1.
    """
    delivery = _delivery(routing_key, exchange, headers, attempt, redelivered, properties)
    return BusMessage(body, type_id, delivery)


def batch(messages: Sequence[BusMessage[T]]) -> BusBatch[T]:
    """Make a batch as the handler of a subscription with `batch=` gets it.

    Args:
        messages: at least one, by `message`. Which of them the handler has failed is in
            `failures` of the batch.
    """
    return BusBatch(messages)


def request(
    body: T,
    *,
    service: str = "",
    type_id: int | None = None,
    headers: Mapping[str, Any] | None = None,
    timeout: float = 30.0,
    properties: Properties | None = None,
) -> RecordingRequest[T]:
    """Make a request as a responder's handler gets it, within a running event loop.

    Args:
        body: as the codec would have decoded it.
        service: that it was made to.
        type_id: the message type identifier.
        headers: its application headers, in place of those of `properties`.
        timeout: in how many seconds its caller gives up.
        properties: its further AMQP properties.
    """
    delivery = _delivery(service, "", headers, 1, False, properties)
    deadline = asyncio.get_running_loop().time() + timeout
    return RecordingRequest(body, type_id, delivery, deadline)


def _delivery(
    routing_key: str,
    exchange: str,
    headers: Mapping[str, Any] | None,
    attempt: int,
    redelivered: bool,
    properties: Properties | None,
) -> Delivery:
    if attempt < 1:
        raise ValueError(f"attempt is at least 1, got {attempt}")
    given = properties or Properties()
    told = dict(headers if headers is not None else given.headers or {})
    if attempt > 1:
        told[ATTEMPTS_HEADER] = attempt - 1
    return Delivery(
        1, redelivered, exchange, routing_key, replace(given, headers=told or None), b""
    )
