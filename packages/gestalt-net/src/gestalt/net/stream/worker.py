"""What runs the handlers of a peer, as its connection sees it."""

from collections.abc import Iterator
from typing import Any, Protocol


class Worker(Protocol):
    """What is asked of whoever runs the handlers of a peer beside the reading."""

    @property
    def idle(self) -> bool:
        """Whether everything that was received is handled."""

    def put(self, frames: Iterator[Any]) -> None:
        """Take what another read has brought, as the dispatcher has made it."""

    def end(self) -> None:
        """Hear that the connection is lost."""

    @property
    def waiting(self) -> int:
        """How many messages have come and are not begun."""

    @property
    def in_flight(self) -> int:
        """How many messages are being handled."""
