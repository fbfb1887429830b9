"""What the fixtures of this folder are: the types that tests name in their signatures."""

from collections.abc import Callable
from typing import Any, Protocol

from gestalt.net import Address, DatagramEndpoint, DatagramMessage, Wire


class StartEndpoint(Protocol):
    """Starts an endpoint on a free port of loopback; it stops at the end of the test."""

    async def __call__(
        self, url: str | Address | None = ..., *, wire: Wire | None = None, **options: Any
    ) -> DatagramEndpoint: ...


class Take(Protocol):
    """Gives the next messages of an endpoint without a handler."""

    async def __call__(
        self, endpoint: DatagramEndpoint, count: int = 1
    ) -> list[DatagramMessage[Any]]: ...


class Until(Protocol):
    """Waits, turn by turn of the event loop, until a condition holds."""

    async def __call__(self, condition: Callable[[], bool]) -> None: ...
