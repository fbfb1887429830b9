"""What a stream endpoint hands to a handler that takes many messages at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from gestalt.net.batch import ReceivedBatch

from .message import StreamMessage
from .peer import Peer

T_co = TypeVar("T_co", covariant=True)


class StreamBatch(ReceivedBatch[T_co]):
    """Messages that one peer sent, in order, and that arrived together.

    Attributes:
        peer: who sent them.
    """

    __slots__ = ("peer",)

    _messages: Sequence[StreamMessage[T_co]]

    def __init__(
        self, bodies: Sequence[T_co], type_ids: Callable[[], Sequence[int | None]], peer: Peer
    ) -> None:
        super().__init__(bodies, type_ids)
        self.peer: Peer = peer

    def __iter__(self) -> Iterator[StreamMessage[T_co]]:
        return iter(self._all)

    def __getitem__(self, index: int) -> StreamMessage[T_co]:
        return self._all[index]

    @property
    def _all(self) -> Sequence[StreamMessage[T_co]]:
        if not self._messages:
            self._messages = self._make()
        return self._messages

    def _make(self) -> Sequence[StreamMessage[T_co]]:
        peer = self.peer
        pairs = zip(self._bodies, self._type_ids(), strict=True)
        return [StreamMessage(body, type_id, peer) for body, type_id in pairs]

    @property
    def sources(self) -> list[Peer]:
        return [self.peer] * len(self._bodies)

    @property
    def source(self) -> Peer:
        return self.peer

    async def reply_many(self, bodies: Iterable[Any], type_id: int | None = None) -> None:
        """Send messages to the peer: the same as `peer.send_many`."""
        await self.peer.send_many(bodies, type_id)
