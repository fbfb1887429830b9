"""What makes tasks that have an owner."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Spawn(Protocol):
    """Runs a coroutine in a task that a component owns."""

    def __call__(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, eager: bool = False
    ) -> asyncio.Task[T]: ...
