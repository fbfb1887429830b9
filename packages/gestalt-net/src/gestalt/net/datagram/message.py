"""What a datagram endpoint hands to a handler."""

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from gestalt.core import Message, TransportMessage
from gestalt.net.address import Address

T_co = TypeVar("T_co", covariant=True)


class Replier(Protocol):
    """What a message asks of the endpoint that received it."""

    def send(
        self, body: Any, type_id: int | None = None, *, to: Address | str | None = None
    ) -> Coroutine[Any, Any, None]:
        """As `DatagramEndpoint.send`."""

    def send_nowait(
        self, body: Any, type_id: int | None = None, *, to: Address | str | None = None
    ) -> None:
        """As `DatagramEndpoint.send_nowait`."""


class DatagramMessage(Message[T_co], TransportMessage):
    """A message that came as a datagram. Its `source` is the address of who sent it."""

    __slots__ = ("_endpoint",)

    source: Address

    def __init__(self, body: T_co, type_id: int | None, source: Address, endpoint: Replier) -> None:
        # As the base does: calling it costs as much as the rest of this.
        self.body = body
        self.type_id = type_id
        self.source = source
        self._endpoint = endpoint

    async def reply(self, body: Any, type_id: int | None = None) -> None:
        """Send `body` to the source: the same as `endpoint.send(..., to=message.source)`."""
        await self._endpoint.send(body, type_id, to=self.source)

    def reply_nowait(self, body: Any, type_id: int | None = None) -> None:
        """Send `body` to the source now, or raise: see `DatagramEndpoint.send_nowait`."""
        self._endpoint.send_nowait(body, type_id, to=self.source)
