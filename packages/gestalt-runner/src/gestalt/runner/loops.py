"""The choice of an event loop."""

import asyncio
from collections.abc import Callable
from typing import Literal

from .errors import LoopNotAvailable

Loop = Literal["auto", "asyncio", "uvloop"]


def loop_factory(loop: Loop) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop; None stands for asyncio's own."""
    if loop == "asyncio":
        return None
    if loop not in ("auto", "uvloop"):
        raise ValueError(f"loop must be 'auto', 'asyncio' or 'uvloop', got {loop!r}")
    try:
        import uvloop
    except ImportError as error:
        if loop == "auto":
            return None
        raise LoopNotAvailable(
            "uvloop is not installed: pip install 'gestalt-runner[uvloop]', or use loop='auto'"
        ) from error
    return uvloop.new_event_loop
