"""Turning a clock by hand."""

import asyncio

from gestalt.core import ManualClock


async def settle() -> None:
    """Let every task run until it waits for something."""
    for _ in range(10):
        await asyncio.sleep(0)


async def advance(clock: ManualClock, seconds: float, step: float = 0.5) -> None:
    """Advance in steps, so that async calls run in between."""
    for _ in range(round(seconds / step)):
        clock.advance(step)
        await settle()
