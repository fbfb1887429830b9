"""The choice of an event loop, and what it stands on."""

import asyncio
import os
from collections.abc import Callable
from typing import Literal

from gestalt.core.numbers import choice_of

from .errors import LoopNotAvailable

Loop = Literal["auto", "asyncio", "uvloop"]


def loop_factory(loop: Loop) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop; None stands for asyncio's own."""
    if loop == "asyncio":
        return None
    if loop not in ("auto", "uvloop"):
        raise ValueError(f"loop must be 'auto', 'asyncio' or 'uvloop', got {choice_of(loop)}")
    try:
        import uvloop
    except ImportError as error:
        if loop == "auto":
            return None
        raise LoopNotAvailable(
            "uvloop is not installed: pip install 'gestalt-runner[uvloop]', or use loop='auto'"
        ) from error
    return uvloop.new_event_loop


def fill_standard_descriptors() -> None:
    """Put /dev/null where standard input, output or error is closed.

    A socket would take its number, and get what C code writes to stderr; uvloop aborts the process
    when it closes one of them.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # What is opened takes the lowest number that is free, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
