"""What runs and what waits: tasks with their stacks in await order, and threads.

Everything here may be called in any thread, also while the event loop is blocked.
"""

import asyncio
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

MOST_TASKS = 1000
"""How many tasks an answer tells of; of more, how many there are."""

MOST_FRAMES = 60
"""How many frames of a stack are told: of a deeper one, those at its end."""

_LIBRARY = str(Path(asyncio.__file__).parents[1] / "asyncio")


def stack_of(task: "asyncio.Task[Any]") -> list[dict[str, Any]]:
    """The frames of a task that waits, from its coroutine down to what it awaits."""
    frames: list[dict[str, Any]] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(frames) < 10 * MOST_FRAMES:
        frame = (
            getattr(awaited, "cr_frame", None)
            or getattr(awaited, "gi_frame", None)
            or getattr(awaited, "ag_frame", None)
        )
        if frame is not None:
            frames.append(_frame(frame))
        awaited = (
            getattr(awaited, "cr_await", None)
            or getattr(awaited, "gi_yieldfrom", None)
            or getattr(awaited, "ag_await", None)
        )
    return frames[-MOST_FRAMES:]


def place_of(task: "asyncio.Task[Any]") -> dict[str, Any] | None:
    """Where a task waits, or runs: the last frame that is not of Python's own library."""
    frames = stack_of(task)
    own = [each for each in frames if not each["file"].startswith(_LIBRARY)] or frames
    return own[-1] if own else None


def waits_for(task: "asyncio.Task[Any]") -> str:
    """What a task that is suspended waits for, in a word or two."""
    # asyncio keeps it for itself, and there is no public name before Python 3.14.
    waiter = getattr(task, "_fut_waiter", None)
    if isinstance(waiter, asyncio.Task):
        return f"task {waiter.get_name()}"
    return "" if waiter is None else type(waiter).__name__.lstrip("_").lower()


def state_of(task: "asyncio.Task[Any]", current: "asyncio.Task[Any] | None") -> str:
    """Whether a task runs, is to run next, waits, or is being cancelled."""
    if task is current:
        return "running"
    if task.cancelling():
        return "cancelling"  # pragma: no cover - asked while one is
    return "waiting" if getattr(task, "_fut_waiter", None) is not None else "ready"


def thread_stack(identifier: int) -> list[dict[str, Any]]:
    """The frames of a thread, from its first function to what runs."""
    # There is no public way to look into another thread.
    frame = sys._current_frames().get(identifier)  # noqa: SLF001
    return [] if frame is None else frames_of(frame)


def frames_of(frame: FrameType | None) -> list[dict[str, Any]]:
    """The frames from the outermost to `frame`."""
    frames: list[dict[str, Any]] = []
    while frame is not None and len(frames) < MOST_FRAMES:
        frames.append(_frame(frame))
        frame = frame.f_back
    return frames[::-1]


def stacks(loop: asyncio.AbstractEventLoop, loop_thread: int) -> dict[str, Any]:
    """All tasks of an event loop, and all threads of the process."""
    tasks = asyncio.all_tasks(loop)
    current = asyncio.current_task(loop)
    running = thread_stack(loop_thread)
    listed = sorted(tasks, key=lambda task: (task is not current, task.get_name()))[:MOST_TASKS]
    return {
        "tasks": [
            {
                "id": id(task),
                "name": task.get_name(),
                "state": state_of(task, current),
                "waits_for": waits_for(task),
                "stack": running if task is current else stack_of(task),
            }
            for task in listed
        ],
        "tasks_total": len(tasks),
        "threads": [
            {
                "name": thread.name,
                "loop": thread.ident == loop_thread,
                "daemon": thread.daemon,
                "stack": thread_stack(thread.ident),
            }
            for thread in threading.enumerate()
            if thread.ident is not None and thread is not threading.current_thread()
        ],
    }


def _frame(frame: FrameType) -> dict[str, Any]:
    code = frame.f_code
    return {
        "file": code.co_filename,
        # A frame that has not begun, or is between two lines, has none.
        "line": frame.f_lineno or code.co_firstlineno,
        "function": code.co_qualname,
    }
