"""Components that are started again when they fail."""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal, TypeAlias

from . import vocabulary as words
from .backoff import Backoff, Delays
from .calling import RAISED, is_awaitable, is_own_cancellation
from .component import Component
from .composite import Composite
from .errors import GestaltError, StateError, one_of
from .life import State
from .metrics import Metric, measures
from .numbers import check_seconds, kind_of
from .readiness import Readiness

logger = logging.getLogger("gestalt.core")

Restart: TypeAlias = Literal["never", "on-failure", "always"]
"""When a child is started again."""

Child: TypeAlias = Component | Callable[[], Component | Awaitable[Component]]
"""A component, or a function that makes one, plain or async."""

STOP_TIMEOUT = 10.0
"""How long a stop waits for what a factory makes, in seconds: a component's own default."""


class TooManyRestarts(GestaltError, RuntimeError):
    """A supervisor has restarted its children more often than it may, and has given up.

    `Supervisor.wait_stopped` raises it, and that of whatever the supervisor is a part of.

    Attributes:
        errors: what the restarts were for, the oldest first; they are the cause as well.
    """

    def __init__(self, message: str, errors: list[BaseException]) -> None:
        super().__init__(message)
        self.errors = errors
        self.__cause__ = one_of(message, errors)


class Supervisor(Composite, Readiness):
    """Keeps components running: one that fails is started again, after a while.

        async with Supervisor(Poller(url), lambda: Importer(connect()), max_restarts=3):
            ...

    Children start in order, each when the one before it runs; one that does not start for the first
    time ends the start, and those that run are stopped. From then on each has a life of its own:
    what becomes of one does not touch the others. What is to be restarted together, because its
    parts know each other, is one child: a `Group`, of which all stop when one fails, and start
    again.

    Restarts are for faults that come and go. One that stays, such as a wrong password, comes back
    at once, so that they are bounded: when children fail more than `max_restarts` times within
    `period`, the others are stopped, and the supervisor has failed by a TooManyRestarts. Then it is
    its owner's turn: another supervisor, or `run`, which ends the process.

    A child that ends by itself, and is not to run always, is left out from then on. When all have
    ended, the supervisor has stopped. They stop in reverse order within one deadline, as those of a
    `Group` do.

    Args:
        children: components, which are started again as they are; or functions without arguments
            that make one, plain or async, which are called for each start.
        restart: which children are started again: "on-failure", those that failed; "always", also
            those that ended by themselves; "never", none: the others go on, the error is logged,
            and the supervisor has failed by it when all have ended.
        backoff: how long to wait before each restart of one child.
        max_restarts: how many restarts of children, in all, there may be within `period`; None for
            any number.
        period: in seconds.
        together: they start side by side, and stop side by side.
        name: how the supervisor is called in messages; "Supervisor" by default.
        stop_timeout: how long a stop may drain in all, in seconds; by default as long as all
            children may, 10 s where a function makes them.

    Attributes:
        restarts: how many restarts there were since it was made.

    Raises:
        TypeError: a child is neither a component nor a function.
        ValueError: a component is there twice, or there is none; or another argument is out of its
            range.
    """

    def __init__(
        self,
        *children: Child,
        restart: Restart = "on-failure",
        backoff: Backoff | None = None,
        max_restarts: int | None = 5,
        period: float = 60.0,
        together: bool = False,
        name: str | None = None,
        stop_timeout: float | None = None,
    ) -> None:
        for child in children:
            if not (isinstance(child, Component) or callable(child)):
                raise TypeError(
                    f"a supervisor takes components and functions that make one, got "
                    f"{kind_of(child)}"
                )
        if not children:
            raise ValueError("a supervisor needs at least one child")
        components = [child for child in children if isinstance(child, Component)]
        if len(set(map(id, components))) < len(components):
            raise ValueError(f"a component has one supervisor, once, got {components}")
        if restart not in ("never", "on-failure", "always"):
            raise ValueError(
                f'restart must be "never", "on-failure" or "always", got {kind_of(restart)}'
            )
        if max_restarts is not None and max_restarts < 0:
            raise ValueError(f"max_restarts must not be negative, got {max_restarts}")
        if stop_timeout is None:
            patience = [
                child.stop_timeout if isinstance(child, Component) else STOP_TIMEOUT
                for child in children
            ]
            stop_timeout = max(patience) if together else sum(patience)
        super().__init__(name=name, stop_timeout=stop_timeout)
        self.restarts: int = 0
        self._children = [_Child(child) for child in children]
        self._restart = restart
        self._backoff = backoff or Backoff()
        self._max_restarts = max_restarts
        self._period = check_seconds("period", period)
        self._together = together
        # When a child was to be restarted within the period, and why.
        self._failures: deque[tuple[float, BaseException]] = deque()
        self._given_up: TooManyRestarts | None = None
        # What those failed by that are not started again.
        self._left: list[BaseException] = []

    @property
    def running(self) -> tuple[Component, ...]:
        """The children that run now, in their order: with functions, what they made last."""
        return tuple(
            child.component
            for child in self._children
            if child.component is not None and child.component in self._running
        )

    @property
    def factories(self) -> tuple[Callable[[], Component | Awaitable[Component]], ...]:
        """The functions among the children, in their order."""
        sources = [child.source for child in self._children]
        return tuple(source for source in sources if not isinstance(source, Component))

    @property
    def trouble(self) -> str | None:
        """Which child does not run, and is to start again; None if all are as they are to be."""
        for child in self._children:
            if not child.ended and child.component not in self._running:
                return f"{child.name} is started again"
        return None

    # The life of the component

    async def _open(self) -> None:
        self._errors = []
        self._running = set()
        self._failures.clear()
        self._given_up = None
        self._left.clear()
        children = self._children
        try:
            for batch in [children] if self._together else [[child] for child in children]:
                await self._start(batch)
        except Exception:
            self._drain_within()
            await self._stop_children()
            raise
        # What has ended before this one runs.
        self._spawn(self._look(), name="look")

    async def _drain(self) -> None:
        await self._stop_children()

    async def _close(self) -> None:
        self._until = 0.0
        await self._stop_children()
        if self._errors:
            raise self._take_error()

    async def _start(self, children: list["_Child"]) -> None:
        """Start children side by side; the first one that does not start is raised."""
        starts = set()
        for child in children:
            started = asyncio.get_running_loop().create_future()
            starts.add(started)
            child.ended = False
            child.keeper = self._spawn(self._keep(child, started), name=f"child {child.name}")
        done, _ = await asyncio.wait(starts, return_when=asyncio.FIRST_EXCEPTION)
        errors = [error for each in done if (error := each.exception()) is not None]
        if errors:
            raise errors[0]

    async def _stop_children(self) -> None:
        # Those that wait for their next start, or are at it.
        keepers = {
            child.keeper
            for child in self._children
            if child.keeper is not None
            and not child.keeper.done()
            and child.component not in self._running
        }
        for keeper in keepers:
            keeper.cancel()
        if keepers:
            await asyncio.wait(keepers)
        components = [child.component for child in reversed(self._children) if child.component]
        if self._together:
            await asyncio.gather(*(self._stop_part(each) for each in components))
        else:
            for each in components:
                await self._stop_part(each)

    @measures
    def _supervisor_metrics(self) -> Iterable[Metric]:
        yield words.PARTS("supervisor", len(self._running))
        yield words.RESTARTED("supervisor", self.restarts)

    # The life of a child

    async def _keep(self, child: "_Child", started: asyncio.Future[None]) -> None:
        """Start a child, and start it again for as long as it is to be."""
        delays = self._backoff.delays()
        while True:
            error = await self._live(child, started, delays)
            if error is not None and not started.done():
                error.add_note(f"{child} of {self!r} did not start")
                started.set_exception(error)
                return
            if self.state not in (State.STARTING, State.RUNNING):
                break
            if error is None and self._restart == "always":
                error = StateError(f"{child} has ended, and is to run always")
            if error is None or not self._may_restart(child, error):
                break
            delay = delays.next()
            self._tell_restart(f"{child} failed", error, delay)
            await asyncio.sleep(delay)
            self.restarts += 1
        child.ended = True
        await self._look()

    async def _live(
        self, child: "_Child", started: asyncio.Future[None], delays: Delays
    ) -> BaseException | None:
        """One life of a child; what it failed by."""
        try:
            component = await child.make()
            await component.start()
        except RAISED as caught:
            if is_own_cancellation(caught):
                raise
            if isinstance(caught, asyncio.CancelledError):
                return StateError(f"the start of {child} was cancelled from inside")
            return caught
        self._running.add(component)
        delays.connected()
        if not started.done():
            started.set_result(None)
        error: BaseException | None = None
        try:
            await component.wait_stopped()
        except Exception as caught:
            error = caught
            if self.state is State.STOPPING:
                self._note(component, caught, self._ending())
        # Not where this is cancelled: the component runs, and is to be stopped.
        self._running.discard(component)
        return error

    def _may_restart(self, child: "_Child", error: BaseException) -> bool:
        """Whether a child that has failed is to start again; if not, keep its error."""
        if self._restart == "never":
            self._left.append(error)
            self._report_error(error, f"{self!r}: {child} failed, and is not started again")
            return False
        if self._max_restarts is None:
            return True
        now = asyncio.get_running_loop().time()
        failures = self._failures
        failures.append((now, error))
        while failures[0][0] < now - self._period:
            failures.popleft()
        if len(failures) <= self._max_restarts:
            return True
        self._give_up(child, error)
        return False

    def _tell_restart(self, what: str, error: BaseException, delay: float) -> None:
        """Tell that a child starts again in `delay` seconds."""
        message = f"{self!r}: {what}, and starts again in {delay:.2f} s"
        self._report_error(error, message, level=logging.WARNING)

    def _give_up(self, child: "_Child", error: BaseException) -> None:
        errors = [each for _, each in self._failures]
        within = "" if math.isinf(self._period) else f" within {self._period:g} s"
        times = "once" if len(errors) == 1 else f"{len(errors)} times"
        self._given_up = TooManyRestarts(
            f"{self!r}: children failed {times}{within}, the last one {child}, "
            f"by {type(error).__name__}: {error}",
            errors,
        )
        if self.state is State.STARTING:
            self._fail(self._given_up)

    async def _look(self) -> None:
        """Stop when there is nothing to keep, or no more of that is allowed."""
        if self.state is not State.RUNNING:
            return
        if self._given_up is not None:
            logger.warning("%s; the others are stopped", self._given_up)
            self._errors.append(self._given_up)
        elif all(child.ended for child in self._children):
            self._errors += self._left
        else:
            return
        self.request_stop()


class _Child:
    """One child: where it comes from, and what it is now."""

    def __init__(self, source: Child) -> None:
        self.source = source
        self.name = (
            source.name
            if isinstance(source, Component)
            else getattr(source, "__name__", type(source).__name__)
        )
        self.component: Component | None = None
        self.keeper: asyncio.Task[None] | None = None
        self.ended = False

    async def make(self) -> Component:
        """The component to start now."""
        if isinstance(self.source, Component):
            self.component = self.source
            return self.source
        self.component = None
        made = self.source()
        if is_awaitable(made):
            made = await made
        if not isinstance(made, Component):
            raise TypeError(f"{self.name} must make a component, it returned {kind_of(made)}")
        self.component = made
        return made

    def __str__(self) -> str:
        return repr(self.name if self.component is None else self.component)
