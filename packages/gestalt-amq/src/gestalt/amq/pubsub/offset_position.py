"""How far messages of a stream are handled, whatever order they are handled in; without I/O."""

from collections import deque


class OffsetPosition:
    """Knows the last offset up to which everything is done.

    Messages are delivered in the order of their offsets, and may be done in any order.

    Attributes:
        offset: the last one up to which all that was delivered is done; None before any is.
    """

    __slots__ = ("_done", "_open", "offset")

    def __init__(self) -> None:
        self.offset: int | None = None
        self._open: deque[tuple[int, int]] = deque()
        self._done: set[int] = set()

    def deliver(self, tag: int, offset: int) -> None:
        """A message comes, after all that came before."""
        self._open.append((tag, offset))

    def done(self, tag: int) -> int | None:
        """A message is done.

        Returns:
            the tag of the last one up to which all are done, where that is a new one.
        """
        self._done.add(tag)
        last = None
        while self._open and self._open[0][0] in self._done:
            last, self.offset = self._open.popleft()
            self._done.discard(last)
        return last
