"""What a component knows of its own life, apart from the component itself."""

import asyncio
import contextvars
import enum
import logging
import sys
import weakref
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from .errors import StateError
from .identity import IdentityMap
from .reporting import Reports
from .telling import first_of
from .threads import check_thread

T = TypeVar("T")


class State(enum.Enum):
    """Where a component is in its life."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


LIVING = (State.STARTING, State.RUNNING, State.STOPPING)


class Life:
    """What a component knows of itself. An object of its own, which no name of a subclass hits."""

    __slots__ = (
        "__weakref__",
        "component",
        "deadline",
        "draining",
        "ending",
        "error",
        "limit",
        "loop",
        "opening",
        "ref",
        "reports",
        "state",
        "stop_error",
        "stop_errors",
        "tasks",
        "waiters",
    )

    def __init__(self, cls: type) -> None:
        # What contexts hold of it: they live on in timers that were cancelled, and the like.
        self.ref = weakref.ref(self)
        # That whose life this is, from its first start on.
        self.component: weakref.ref[Any] | None = None
        # That in which it lives.
        self.loop: asyncio.AbstractEventLoop | None = None
        self.state = State.NEW
        self.tasks: set[asyncio.Task[Any]] = set()
        self.waiters: set[asyncio.Future[None]] = set()
        self.opening: asyncio.Task[None] | None = None
        self.reports = Reports(_logger_of(cls))
        self.reset(State.NEW)

    def begin(self, component: object) -> None:
        """Note that the component of this life starts, and within which other one."""
        self.loop = asyncio.get_running_loop()
        self.reset(State.STARTING)
        self.component = weakref.ref(component)
        around = within.get()
        parent = next((ref for ref in reversed(around) if ref is not self.ref), None)
        living.set(component, parent)

    def check_thread(self) -> None:
        """Refuse a call from another thread than that of its event loop.

        Raises:
            WrongThread: it lives in an event loop of another thread.
        """
        if self.loop is not None and self.state in LIVING:
            check_thread(self.loop, self.component and self.component())

    def reset(self, state: State) -> None:
        self.state = state
        self.draining: asyncio.Task[None] | None = None
        self.ending: asyncio.Task[None] | None = None
        # When the drain is cut, in the event loop's time, and what cuts it.
        self.deadline = 0.0
        self.limit: asyncio.Timeout | None = None
        # Why it failed, while running or while stopping.
        self.error: BaseException | None = None
        # What went wrong in the stop itself: the business of whoever called stop().
        self.stop_errors: list[BaseException] = []
        self.stop_error: BaseException | None = None

    def leave_closed_loop(self, component: object) -> bool:
        """Where the event loop is closed in which it ran, it has failed; what it holds is left.

        Returns:
            whether that is so, and it is to be released in the loop that runs now.
        """
        if self.loop is None or self.state not in LIVING or not self.loop.is_closed():
            return False
        error = StateError(f"{component!r} was not stopped before its event loop was closed")
        # Nothing of that loop runs any more, or can be waited for.
        self.tasks.clear()
        self.waiters.clear()
        self.opening = None
        self.reset(State.RUNNING)
        self.error = error
        self.loop = asyncio.get_running_loop()
        return True

    def drain_until(self, deadline: float) -> None:
        """Let the drain of a stop that is under way end by `deadline`, if that is sooner."""
        if deadline < self.deadline:
            self.deadline = deadline
            if self.limit is not None and not self.limit.expired():
                self.limit.reschedule(deadline)

    async def wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self.waiters.add(waiter)
        try:
            await waiter
        finally:
            self.waiters.discard(waiter)

    def end(self) -> None:
        self.reports.flush()
        if self.component is not None:  # pragma: no branch - for type checkers
            living.pop(self.component())
        self.loop = None
        self.state = State.STOPPED if self.error is None else State.FAILED
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)


# The components within which the present code runs: in a task of theirs, or in what such a task,
# or a callback that it registered, has begun.
within: contextvars.ContextVar[tuple[weakref.ref[Life], ...]] = contextvars.ContextVar(
    "gestalt.core.within", default=()
)


# The components that live, each with the innermost one within which it was started.
living: IdentityMap[object, weakref.ref[Life] | None] = IdentityMap()


def inside(life: Life) -> contextvars.Context:
    """The present context, as it is within the component of `life`."""
    context = contextvars.copy_context()
    around = within.get()
    if life.ref not in around:
        # Without those that have ended, so that what one component starts in another stays short.
        alive = [each for each in around if lives(each())]
        context.run(within.set, (*alive, life.ref))
    return context


def lives(life: Life | None) -> bool:
    return life is not None and life.state not in (State.STOPPED, State.FAILED)


def make_task(
    coro: Coroutine[Any, Any, T], name: str, context: contextvars.Context, *, eager: bool = False
) -> asyncio.Task[T]:
    # Not by the loop's factory: an eager one runs it before anybody holds the task.
    loop = asyncio.get_running_loop()
    if eager and sys.version_info >= (3, 12):  # pragma: no cover - Python 3.12
        return asyncio.Task(coro, loop=loop, name=name, context=context, eager_start=True)
    return asyncio.Task(coro, loop=loop, name=name, context=context)


def names_of(tasks: Iterable[asyncio.Task[Any]]) -> str:
    """What tasks are called, for a line of a log."""
    return first_of(sorted(task.get_name() for task in tasks))


def run_at_once(coro: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that waits for nothing, without a task."""
    try:
        coro.send(None)
    except StopIteration:
        return
    coro.close()
    raise RuntimeError("_open or _close waits, though the class is declared with at_once=True")


def _logger_of(cls: type) -> logging.Logger:
    """The logger of the distribution that the class, or the nearest of its bases, comes from."""
    modules = (base.__module__.split(".") for base in cls.__mro__)
    return logging.getLogger(
        next(".".join(parts[:2]) for parts in modules if parts[0] == "gestalt")
    )
