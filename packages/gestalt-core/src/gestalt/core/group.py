"""Several components as one: started in order, stopped in reverse, failing together."""

import asyncio
import logging
from collections.abc import Iterable

from . import vocabulary as words
from .calling import is_own_cancellation
from .component import Component
from .composite import Composite
from .errors import StateError
from .life import State
from .metrics import Metric, measures
from .numbers import kind_of

logger = logging.getLogger("gestalt.core")


class Group(Composite):
    """A component of components, which start and stop together, and fail together.

        async with Group(bus, server, Timer.every(1.0, sample)) as group:
            await group.wait_stopped()

    They start in order, each when the one before it runs. When one does not start, or fails
    meanwhile, those that run are stopped in reverse and the error is raised. They stop in reverse,
    too, within one deadline: each may drain for as long as its own `stop_timeout` says, and no
    longer than what those before it have left. When one fails, the others stop, and the group has
    failed by its error, which a note says whose it is. One that ends by itself, such as a timer
    after its last call, is left out from then on; when all have ended, the group has stopped.

    Args:
        parts: components, groups among them; each belongs to one group.
        together: they start side by side, and stop side by side.
        name: how the group is called in messages; "Group" by default.
        stop_timeout: how long a stop may drain in all, in seconds; by default as long as all parts
            together may.

    Attributes:
        parts: what it was made of.

    Raises:
        TypeError: a part is no component.
        ValueError: one is there twice, or there is none.
    """

    def __init__(
        self,
        *parts: Component,
        together: bool = False,
        name: str | None = None,
        stop_timeout: float | None = None,
    ) -> None:
        for part in parts:
            if not isinstance(part, Component):
                raise TypeError(f"a group is made of components, got {kind_of(part)}")
        if not parts:
            raise ValueError("a group needs at least one component")
        if len({id(part) for part in parts}) < len(parts):
            raise ValueError(f"a component is in a group once, got {list(parts)}")
        if stop_timeout is None:
            patience = [part.stop_timeout for part in parts]
            stop_timeout = max(patience) if together else sum(patience)
        super().__init__(name=name, stop_timeout=stop_timeout)
        self.parts = parts
        self._together = together
        # Those whose start is under way.
        self._starting: dict[Component, asyncio.Task[None]] = {}
        self._changed: asyncio.Future[None] | None = None

    async def _open(self) -> None:
        self._errors = []
        self._starting = {}
        self._running = set()
        for batch in [self.parts] if self._together else [[part] for part in self.parts]:
            for part in batch:
                self._starting[part] = self._spawn(self._live(part), name=f"part {part.name}")
            while self._starting and not self._errors:
                self._changed = asyncio.get_running_loop().create_future()
                await self._changed
            if self._errors:
                self._drain_within()
                await self._roll_back()
                raise self._take_error()
        # What has ended before this one runs.
        self._spawn(self._look(), name="look")

    async def _drain(self) -> None:
        await self._stop_parts()

    async def _close(self) -> None:
        self._until = 0.0
        await self._stop_parts()
        if self._errors:
            raise self._take_error()

    @measures
    def _group_metrics(self) -> Iterable[Metric]:
        yield words.PARTS("group", len(self._running))

    async def _live(self, part: Component) -> None:
        """Start a part, and hear of its end."""
        try:
            await part.start()
        except (Exception, asyncio.CancelledError) as error:
            if is_own_cancellation(error):
                raise
            if isinstance(error, asyncio.CancelledError):
                error = StateError(f"the start of {part!r} was cancelled from inside")
            self._note_failure(part, error, "did not start")
            return
        finally:
            self._starting.pop(part, None)
            self._change()
        self._running.add(part)
        try:
            await part.wait_stopped()
        except Exception as error:
            self._note_failure(part, error, self._ending())
        self._running.discard(part)
        await self._look()

    async def _look(self) -> None:
        """Stop when a part has failed, or all have ended."""
        if self.state is State.RUNNING and (self._errors or not self._running):
            self.request_stop()

    def _note_failure(self, part: Component, error: BaseException, what: str) -> None:
        """Keep an error, once, and stop for it."""
        if self._note(part, error, what):  # pragma: no branch - the stop of it may hear first
            self._change()
            if self.state is State.RUNNING:
                logger.warning(
                    "%r: %r %s, by %s: %s; the others are stopped",
                    self, part, what, type(error).__name__, error,
                )  # fmt: skip

    def _change(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def _roll_back(self) -> None:
        """Give up what starts, and stop what runs."""
        starting = list(self._starting.values())
        for task in starting:
            task.cancel()
        if starting:
            await asyncio.wait(starting)
        await self._stop_parts()

    async def _stop_parts(self) -> None:
        if self._together:
            await asyncio.gather(*(self._stop_part(part) for part in self.parts))
        else:
            for part in reversed(self.parts):
                await self._stop_part(part)
