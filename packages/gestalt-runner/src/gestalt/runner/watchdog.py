"""A thread that tells when the event loop is blocked, while it is."""

import asyncio
import contextlib
import threading
import time
from types import CodeType

from .attendants import Attendant, View
from .defaults import BLOCKED_AFTER
from .loop_stack import LoopStack, Step, caller_of_callbacks
from .report import logger

LOOKS = 2
"""How often it is looked at in that time."""


class Watchdog(Attendant):
    """Tells when the event loop is blocked: after a time, and again with growing pauses.

    It is told while it happens, with the stack of what blocks; and how long it took, when it is
    over. What holds the interpreter's lock all the while, such as a regular expression that takes
    for ever, stops this thread as well: it is told when that is over. What stands at a breakpoint
    of a debugger is not told of, nor is a process that was stopped or suspended as a whole.

    A thread looks twice in `blocked_after`. An event loop of asyncio that waits for input is left
    alone, so that an idle application is not woken; else it is asked for a sign of life, which
    costs it one callback.

    Args:
        blocked_after: how long the event loop may do one thing, in seconds.
        tell: whether to log it; `blocked_for` says it in any case.
    """

    def __init__(self, blocked_after: float = BLOCKED_AFTER, *, tell: bool = True) -> None:
        self.blocked_after = blocked_after
        self._tell = tell
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        # What it was asked, and has not answered.
        self._question: _Question | None = None

    async def begin(self, view: View) -> None:
        """Watch the event loop of an application, from its next turn on."""
        self._question = None
        self._ended = threading.Event()
        view.loop.call_soon(self._begin, view.loop, threading.get_ident())

    async def end(self) -> None:
        """Watch no more."""
        self._ended.set()
        if self._thread is not None:  # pragma: no branch - it ends in its first turn
            # It may be in a handler of a logger, whose lock is taken by whatever blocks.
            self._thread.join(0.5)
            self._thread = None

    def blocked_for(self) -> float:
        """How long the event loop has been blocked now, in seconds; 0.0 when it is not.

        Other threads may ask.
        """
        question = self._question
        if question is None:
            return 0.0
        seconds = time.monotonic() - question.at
        return seconds if seconds >= self.blocked_after else 0.0

    # In the event loop

    def _begin(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        if not self._ended.is_set():  # pragma: no branch - it has ended in its first turn
            self._watch(loop, thread, caller_of_callbacks())

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int, caller: CodeType) -> None:
        stack = LoopStack(loop, thread, caller)
        self._thread = threading.Thread(
            target=self._run, args=(loop, stack), name="watch the event loop", daemon=True
        )
        self._thread.start()

    def _answer(self, question: "_Question") -> None:
        self._question = None
        if question.told:
            seconds = time.monotonic() - question.at
            logger.warning("The event loop goes on; it was blocked for at least %.1f s", seconds)

    # In the thread

    def _run(self, loop: asyncio.AbstractEventLoop, stack: LoopStack) -> None:
        pause = self.blocked_after / LOOKS
        looked_at, worked = time.monotonic(), time.process_time()
        while not self._ended.wait(pause):
            now, working = time.monotonic(), time.process_time()
            late = now - looked_at - pause
            # Stopped or suspended; else kept out by what holds the interpreter's lock, and works.
            suspended = late > pause and working - worked < late / 50
            looked_at, worked = now, working
            if late >= self.blocked_after and not suspended and self._tell:
                self._report_held(late, stack)
            question = self._question
            if question is None:
                if not stack.waits():
                    self._question = question = _Question(now)
                    # It is closed when nobody has stopped this.
                    with contextlib.suppress(RuntimeError):
                        loop.call_soon_threadsafe(self._answer, question)
            elif late > pause:
                # It is told already, or was nothing that the event loop did.
                question.at += late
            elif self._tell:
                self._report(question, stack)

    def _report(self, question: "_Question", stack: LoopStack) -> None:
        seconds = time.monotonic() - question.at
        if seconds < max(self.blocked_after, 2 * question.told):
            return
        step = stack.look()
        if step is None or step.debugged or self._question is not question:
            return
        question.told = seconds
        logger.warning(
            "The event loop has been blocked for at least %.1f s%s", seconds, _describe(step)
        )

    def _report_held(self, seconds: float, stack: LoopStack) -> None:
        """Tell of what has kept all threads from running, which it may be about to return from."""
        step = None if stack.waits() else stack.look()
        if step is None or not step.debugged:  # pragma: no branch - at a breakpoint
            logger.warning(
                "No thread ran for %.1f s: the interpreter's lock was held, or the machine is "
                "overloaded; the event loop is now%s",
                seconds,
                " waiting" if step is None else f" busy{_describe(step)}",
            )


def _describe(step: Step) -> str:
    task = "" if step.task is None else f" by the task {step.task!r}"
    within = "" if step.component is None else f" within {step.component}"
    return f"{task}{within}, at {step.place}\n{step.stack}"


class _Question:
    """Whether the event loop is alive.

    Attributes:
        at: when it was asked.
        told: how long it had waited for the answer when that was last told.
    """

    __slots__ = ("at", "told")

    def __init__(self, at: float) -> None:
        self.at = at
        self.told = 0.0
