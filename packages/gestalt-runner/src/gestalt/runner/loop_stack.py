"""What an event loop does at this moment, seen from another thread."""

import asyncio
import contextvars
import sys
import traceback
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple

from gestalt.core.census import component_in

# asyncio calls every callback, a step of a task among them, by this one.
_CALLS: CodeType = vars(asyncio.Handle)["_run"].__code__
# It waits for input in here.
_TURN: CodeType = vars(asyncio.BaseEventLoop)["_run_once"].__code__
# Whoever stands at a breakpoint does not want to be told that the program does.
_DEBUGGERS = frozenset({"bdb", "pdb", "pydevd", "debugpy"})


class Step(NamedTuple):
    """One step of an event loop: a callback, or what a task does until it waits again.

    Attributes:
        task: its name, if it is a task's.
        component: what it belongs to, if that can be said; from Python 3.12 on.
        place: the innermost line, as `function (file:line)`.
        stack: from what the event loop has called to the innermost line, as tracebacks show it.
        debugged: whether it stands at a breakpoint.
    """

    task: str | None
    component: str | None
    place: str
    stack: str
    debugged: bool


class LoopStack:
    """Looks at the thread that an event loop runs in.

    Args:
        loop: the event loop.
        thread: the identifier of its thread.
        caller: the code that calls what the event loop runs; `caller_of_callbacks` gives it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: int, caller: CodeType) -> None:
        self._loop = loop
        self._thread = thread
        self._caller = caller

    def waits(self) -> bool:
        """Whether it certainly waits for input; of asyncio's own loops alone this can be said."""
        for frame in _inside_out(self._frame()):
            if frame.f_code is _CALLS:
                return False
            if frame.f_code is _TURN:
                return frame is not self._frame()
        return False

    def look(self) -> Step | None:
        """Say what it does; None when its thread is gone."""
        frame = self._frame()
        if frame is None:  # pragma: no cover - its thread has ended
            return None
        frames: list[FrameType] = []
        for each in _inside_out(frame):  # pragma: no branch - nothing but the event loop
            if each.f_code is self._caller:
                break
            frames.append(each)
        # The event loop itself, or what is not written in Python and was called by it.
        frames = frames or [frame]
        task = self._task()
        summary = traceback.StackSummary.extract(
            ((each, each.f_lineno) for each in reversed(frames)), lookup_lines=True
        )
        return Step(
            task=None if task is None else task.get_name(),
            component=_component(self._context(frame, task)),
            place=_place(frames),
            stack="".join(summary.format()).rstrip("\n"),
            debugged=any(_module(each).split(".")[0] in _DEBUGGERS for each in frames),
        )

    def _frame(self) -> FrameType | None:
        return sys._current_frames().get(self._thread)  # noqa: SLF001 - documented, for debuggers

    def _context(
        self, frame: FrameType, task: asyncio.Task[Any] | None
    ) -> contextvars.Context | None:
        """The context of a task or a callback, where Python tells it."""
        source: Any = task
        if task is None:
            calls = next((each for each in _inside_out(frame) if each.f_code is _CALLS), None)
            source = None if calls is None else calls.f_locals.get("self")
        get: Any = getattr(source, "get_context", None)
        found = None if get is None else get()
        return found if isinstance(found, contextvars.Context) else None

    def _task(self) -> asyncio.Task[Any] | None:
        return asyncio.current_task(self._loop)


def caller_of_callbacks() -> CodeType:
    """The code that has called the callback that calls this: asyncio's handle, or, where the event
    loop is not written in Python, whoever runs that."""
    return sys._getframe(2).f_code  # noqa: SLF001 - documented, for debuggers


def _component(context: contextvars.Context | None) -> str | None:
    found = None if context is None else component_in(context)
    return None if found is None else repr(found)


def _inside_out(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _place(frames: list[FrameType]) -> str:
    """The innermost line outside the standard library, which is what the application can change."""
    frame = next((each for each in frames if not _is_standard(each)), frames[0])
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"


def _is_standard(frame: FrameType) -> bool:
    return _module(frame).split(".")[0] in sys.stdlib_module_names
