"""What a stream endpoint hands to a handler."""

from typing import Any, TypeVar

from gestalt.core import Message, TransportMessage

from .peer import Peer

T_co = TypeVar("T_co", covariant=True)


class StreamMessage(Message[T_co], TransportMessage):
    """A message that a peer sent over a stream. Its `source` is the peer."""

    __slots__ = ()

    source: Peer
    # Another name of the slot: a property would cost a call for each message that is answered.
    peer: Peer = Message.source  # type: ignore[misc]
    """Who sent it."""

    async def reply(self, body: Any, type_id: int | None = None) -> None:
        """Send `body` to the peer: the same as `peer.send`."""
        await self.source.send(body, type_id)
