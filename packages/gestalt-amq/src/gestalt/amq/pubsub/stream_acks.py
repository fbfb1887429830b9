"""Acknowledgements of a stream, of which a broker keeps nothing but how many more it may send."""

from collections import deque
from collections.abc import Callable

from gestalt.amq.link.acks import Acks
from gestalt.amq.link.interface import Channel
from gestalt.amq.wire import Delivery

from .offset_position import OffsetPosition


class StreamAcks(Acks):
    """The acknowledgements of one channel by which a stream is read.

    Args:
        channel: where deliveries are acknowledged.
        advanced: is told, when all up to an offset is done, that offset, and how many more are.
        missed: is told the tag of a message that could not be settled, and has to be read again.
        admit: takes what is to be handled.
        window: acknowledge only what `release` names, and let no more messages be handled ahead of
            that: brokers send whole chunks of a stream, beyond what they were asked for. None to
            acknowledge what is done.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        advanced: Callable[[int, int], None],
        missed: Callable[[int], None],
        admit: Callable[[Delivery], None],
        window: int | None,
    ) -> None:
        super().__init__(channel)
        self._to = channel
        self._advanced = advanced
        self._missed = missed
        self._admit = admit
        self._window = window
        self._released = 0
        self._beyond: deque[Delivery] = deque()
        self._position = OffsetPosition()
        self._last = 0
        # Done and not acknowledged: offsets with their tags.
        self._waiting: deque[tuple[int, int]] = deque()

    def take(self, delivery: Delivery, offset: int) -> None:
        """A message comes, after all that came before."""
        self._position.deliver(delivery.tag, offset)
        if self._window is not None and delivery.tag - self._released > self._window:
            self._beyond.append(delivery)
        else:
            self._admit(delivery)

    def ack(self, tag: int) -> None:
        """A message is done."""
        if self._window is None:
            super().ack(tag)
        last = self._position.done(tag)
        offset = self._position.offset
        if last is None or offset is None:
            return
        count, self._last = last - self._last, last
        if self._window is not None:
            self._waiting.append((offset, last))
        self._advanced(offset, count)

    def nack(self, tag: int) -> None:  # pragma: no cover - nothing takes what failed
        """A message is not done: a stream takes nothing back, so that it is read again."""
        self._missed(tag)

    def release(self, offset: int) -> None:
        """Acknowledge what is done up to an offset."""
        last = 0
        while self._waiting and self._waiting[0][0] <= offset:
            last = self._waiting.popleft()[1]
        if not last or self._window is None:
            return  # pragma: no cover - saved before, by a former connection
        self._to.ack(last, multiple=True)
        self._released = last
        while self._beyond and self._beyond[0].tag - last <= self._window:
            self._admit(self._beyond.popleft())
