"""What the fixtures of this folder are: the types that tests name in their signatures."""

from collections.abc import Callable
from typing import Protocol

from gestalt.net import StreamServer

from .raw_peer import RawPeer


class Raw(Protocol):
    """Connects a bare socket to a server; it is closed at the end of the test."""

    async def __call__(
        self, server: StreamServer, receive_buffer: int | None = None
    ) -> RawPeer: ...


class Eventually(Protocol):
    """Waits until a condition holds that nothing announces; a deadline, in seconds, ends it."""

    async def __call__(self, condition: Callable[[], object], seconds: float = ...) -> None: ...
