"""What the fixtures of this folder are: the types that tests name in their signatures."""

from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar

from gestalt.core import Handler
from gestalt.net import StreamClient, StreamServer, Wire

T = TypeVar("T")

DEADLINE = 20.0


class Serve(Protocol):
    """Starts a server on a free port; it stops at the end of the test."""

    async def __call__(
        self,
        on_message: Handler | None = None,
        *,
        wire: Wire | None = None,
        url: str = ...,
        **options: Any,
    ) -> StreamServer: ...


class Connect(Protocol):
    """Starts a client of a server; it stops at the end of the test."""

    async def __call__(
        self, server: StreamServer, *, wire: Wire | None = None, **options: Any
    ) -> StreamClient: ...


class Within(Protocol):
    """Awaits with a deadline, in seconds, so that what hangs fails by name."""

    async def __call__(self, awaitable: Awaitable[T], seconds: float = DEADLINE) -> T: ...
