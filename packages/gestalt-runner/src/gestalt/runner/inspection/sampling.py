"""What the event loop does: looked at some times a second, while somebody watches.

A look costs some microseconds, from a thread that needs the interpreter for them. Whose steps the
loop was found in, and how often, tells how much of its time they take.
"""

import asyncio
import inspect
import sys
from collections import Counter
from types import CodeType, FrameType
from typing import Any

INTERVAL = 0.05
"""Time between two looks, in seconds."""

MOST_HOLDERS = 20
"""How many of those who hold the loop are told of."""


class Sampler:
    """Looks what an event loop does.

    Made within the event loop, by a coroutine that it runs.

    Args:
        loop: the event loop.
        thread: the thread that it runs in.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        self._loop = loop
        self._thread = thread
        self._base = _base()
        self._looks = 0
        self._held: Counter[str] = Counter()

    def look(self) -> None:
        """Look once; in any thread."""
        # There is no public way to look into another thread.
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001
        if frame is None:  # pragma: no cover - its thread has ended
            return
        self._looks += 1
        if not self._is_idle(frame):
            self._held[self._holder(frame)] += 1

    def take(self) -> dict[str, Any]:
        """What was found since the last call: shares of the time, from 0 to 1."""
        looks, held = self._looks, self._held
        self._looks, self._held = 0, Counter()
        return {
            "looks": looks,
            "busy": held.total() / looks if looks else None,
            "holders": [
                {"name": name, "share": count / looks}
                for name, count in held.most_common(MOST_HOLDERS)
            ],
        }

    def holder(self) -> str | None:
        """Who holds the loop at this instant; None when it waits for something to do."""
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001
        return None if frame is None or self._is_idle(frame) else self._holder(frame)

    def _is_idle(self, frame: FrameType) -> bool:
        # A loop in C has no frame: what called it is the innermost one while it waits.
        return frame.f_code is self._base or frame.f_globals.get("__name__") == "selectors"

    def _holder(self, frame: FrameType) -> str:
        task = asyncio.current_task(self._loop)
        if task is not None:
            return task.get_name()
        # A callback: its first function.
        first, around = frame, frame.f_back
        while around is not None and around.f_code is not self._base:
            first, around = around, around.f_back
        return "the event loop" if around is None else f"callback {first.f_code.co_qualname}"


def _base() -> CodeType | None:
    """What calls all that the event loop runs: the first frame below the coroutines."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_flags & inspect.CO_COROUTINE == 0:
        frame = frame.f_back
    while frame is not None and frame.f_code.co_flags & inspect.CO_COROUTINE:
        frame = frame.f_back
    return None if frame is None else frame.f_code
