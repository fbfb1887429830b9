"""The memory of a server's half-received messages: bounded for all of its peers together."""

from typing import Protocol

from gestalt.net.errors import LimitExceeded

FREE = 64 * 1024
"""Up to how many bytes a message counts for nothing: what one read takes."""


class Holder(Protocol):
    """What is asked of a connection whose message is incomplete."""

    @property
    def incomplete(self) -> tuple[int, int]:
        """How many bytes of the message are here, and how many are needed to go on with it."""

    def wait_for_room(self) -> None:
        """Read nothing until `go_on`."""

    def go_on(self) -> None:
        """Read again."""

    def abort(self, fault: Exception | None = None) -> None:
        """Close at once, by a fault."""


class Room:
    """What large messages take up while they arrive, reserved before they do.

    A message gets all of its room when it has begun, or its connection is read no more until there
    is some: so whoever has room can finish, and whoever waits holds next to nothing. Where there is
    nobody else, there is always room.

    Args:
        limit: in bytes, of all messages together; None for no limit.
        largest: what to reserve for a message whose length is not known yet, where that is known.
    """

    __slots__ = ("_holders", "_largest", "_limit", "_used", "_waiting")

    def __init__(self, limit: int | None, largest: int | None) -> None:
        self._limit = limit
        self._largest = largest
        self._used = 0
        self._holders: dict[Holder, int] = {}
        self._waiting: dict[Holder, int] = {}

    def __contains__(self, holder: Holder) -> bool:
        return holder in self._holders

    @property
    def contended(self) -> bool:
        """Whether somebody waits for room."""
        return bool(self._waiting)

    def reserve(self, holder: Holder) -> None:
        """Reserve what the holder's message takes, or have it wait."""
        if self._limit is None or holder in self._waiting:
            return
        held, needed = holder.incomplete
        if needed <= FREE:
            return
        size = needed
        if needed <= held + 1:
            size = max(needed, 2 * held if self._largest is None else self._largest)
        reserved = self._holders.get(holder, 0)
        if needed <= reserved:
            return
        if not reserved:
            self._waiting[holder] = size
            self._admit()
            if holder in self._waiting:
                holder.wait_for_room()
        elif self._used == reserved or self._has_room(size - reserved):
            self._used += size - reserved
            self._holders[holder] = size
        else:
            # To wait with what it holds could be for one that waits for the same.
            self.release(holder)
            holder.abort(
                LimitExceeded(f"a message of more than {held} bytes found no room: receive_buffer")
            )

    def release(self, holder: Holder) -> None:
        """Give back what was reserved: the message is complete, or will never be."""
        self._used -= self._holders.pop(holder, 0)
        self._waiting.pop(holder, None)
        self._admit()

    def _has_room(self, size: int) -> bool:
        return self._limit is None or not self._used or self._used + size <= self._limit

    def _admit(self) -> None:
        """Let those go on that there is room for, in the order in which they came."""
        while self._waiting:
            holder, size = next(iter(self._waiting.items()))
            if not self._has_room(size):
                return
            del self._waiting[holder]
            self._used += size
            self._holders[holder] = size
            holder.go_on()
