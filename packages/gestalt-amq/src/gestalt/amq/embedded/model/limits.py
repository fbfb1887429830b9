"""How much of everything but messages there may be, and how much there is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gestalt.amq.wire import AmqpError, FieldValue

# What a queue, an exchange, a binding or a value in its arguments costs, roughly, in bytes.
_EACH = 1000
_VALUE = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """How much there may be in the whole broker; RabbitMQ has no limit for any unless it is told.

    Attributes:
        connections: how many may be open.
        channels: how many may be open on all connections.
        consumers: how many a channel may have.
        queues, exchanges, bindings: how many there may be.
        definitions: how much memory these three may take with their arguments, in bytes.
        stream_deliveries: how many the readers of streams may leave unacknowledged together; the
            next one waits until there are less.
    """

    connections: int = 1000
    channels: int = 20_000
    consumers: int = 2000
    queues: int = 10_000
    exchanges: int = 10_000
    bindings: int = 100_000
    definitions: int = 256 * 1024 * 1024
    stream_deliveries: int = 1_000_000


class Waiting(Protocol):
    """What waits until more may be delivered."""

    def run(self) -> None: ...


class Outstanding:
    """How many deliveries the readers of all streams have not acknowledged.

    Nothing else bounds them: the same message may be delivered any number of times.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._waiting: dict[Waiting, None] = {}

    def take(self, stream: Waiting) -> bool:
        """One more is delivered. If there are too many, return False and run the stream later."""
        if self._count >= self._limit:
            self._waiting[stream] = None
            return False
        self._count += 1
        return True

    def release(self, number: int) -> None:
        """So many were acknowledged."""
        self._count -= number
        if self._waiting and self._count < self._limit:
            waiting, self._waiting = self._waiting, {}
            for stream in waiting:
                stream.run()

    def forget(self, stream: Waiting) -> None:
        """A stream is gone."""
        self._waiting.pop(stream, None)


class Usage:
    """What there is of all that is limited.

    Attributes:
        limits: how much there may be.
        outstanding: what the readers of streams have not acknowledged.
    """

    def __init__(self, limits: ResourceLimits) -> None:
        self.limits = limits
        self.outstanding = Outstanding(limits.stream_deliveries)
        self._connections = 0
        self._channels = 0
        self._queues = 0
        self._exchanges = 0
        self._bindings = 0
        self._definitions = 0

    def connected(self, user: str, host: str) -> None:
        """A connection is opened to a virtual host. Raises AmqpError when it is one too many."""
        limit = self.limits.connections
        if self._connections >= limit:
            raise AmqpError(
                "NOT_ALLOWED",
                f"access to vhost '{host}' refused for user '{user}': connection limit ({limit})"
                " is reached",
            )
        self._connections += 1

    def disconnected(self) -> None:
        """A connection has ended."""
        self._connections -= 1

    def channel_opened(self) -> None:
        """A channel is opened. Raises AmqpError when it is one too many."""
        limit = self.limits.channels
        if self._channels >= limit:
            raise AmqpError(
                "NOT_ALLOWED",
                "number of channels opened on node 'embedded' has reached the maximum allowed limit"
                f" of ({limit})",
            )
        self._channels += 1

    def channel_closed(self) -> None:
        """A channel has ended."""
        self._channels -= 1

    def check_consumers(self, count: int) -> None:
        """A channel with so many consumers wants another. Raises AmqpError for one too many."""
        limit = self.limits.consumers
        if count >= limit:
            raise AmqpError("NOT_ALLOWED", f"reached maximum ({limit}) of consumers per channel")

    def add_queue(self, name: str, host: str, arguments: Mapping[str, FieldValue]) -> None:
        """A queue is declared. Raises AmqpError when it is one too many."""
        limit = self.limits.queues
        what = f"cannot declare queue '{name}'"
        if self._queues >= limit:
            _refuse(f"{what}: queue limit in vhost '{host}' ({limit}) is reached")
        self._define(arguments, what)
        self._queues += 1

    def remove_queue(self, arguments: Mapping[str, FieldValue]) -> None:
        """A queue has gone."""
        self._queues -= 1
        self._definitions -= _cost(arguments)

    def add_exchange(self, name: str, host: str, arguments: Mapping[str, FieldValue]) -> None:
        """An exchange is declared. Raises AmqpError when it is one too many."""
        limit = self.limits.exchanges
        what = f"cannot declare exchange '{name}' in vhost '{host}'"
        if self._exchanges >= limit:
            _refuse(f"{what}: exchange limit of {limit} is reached")
        self._define(arguments, what)
        self._exchanges += 1

    def remove_exchange(self, arguments: Mapping[str, FieldValue]) -> None:
        """An exchange has gone."""
        self._exchanges -= 1
        self._definitions -= _cost(arguments)

    def add_binding(self, name: str, host: str, arguments: Mapping[str, FieldValue]) -> None:
        """A queue or an exchange is bound. Raises AmqpError when it is one binding too many."""
        limit = self.limits.bindings
        what = f"cannot bind '{name}' in vhost '{host}'"
        if self._bindings >= limit:
            _refuse(f"{what}: binding limit of {limit} is reached")
        self._define(arguments, what)
        self._bindings += 1

    def remove_binding(self, arguments: Mapping[str, FieldValue]) -> None:
        """A binding has gone."""
        self._bindings -= 1
        self._definitions -= _cost(arguments)

    def _define(self, arguments: Mapping[str, FieldValue], what: str) -> None:
        limit = self.limits.definitions
        cost = _cost(arguments)
        if self._definitions + cost > limit:
            _refuse(f"{what}: definitions limit of {limit} bytes is reached")
        self._definitions += cost


def _refuse(text: str) -> None:
    raise AmqpError("PRECONDITION_FAILED", text)


def _cost(arguments: Mapping[str, FieldValue]) -> int:
    return _EACH + _size(arguments)


def _size(value: FieldValue) -> int:
    match value:
        case Mapping():
            return _VALUE + sum(_VALUE + len(key) + _size(each) for key, each in value.items())
        case list():
            return _VALUE + sum(map(_size, value))
        case str() | bytes() | bytearray():
            return _VALUE + 4 * len(value)
        case _:
            return _VALUE
