"""How tests wait: for a condition, with a limit, and for brokers that are away, not for long."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

from gestalt.core import Backoff

QUICK = Backoff(initial=0.02, maximum=0.2)

Reported: TypeAlias = list[dict[str, Any]]
"""What reached an event loop's exception handler, each with its context."""


async def until(condition: Callable[[], object], limit: float = 10) -> None:
    """Wait until a condition holds, for up to `limit` seconds."""
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.005)
