"""How long handlers of a subscription may take: one timer for all of them."""

import asyncio
from math import inf
from types import TracebackType

from gestalt.core.calling import own_task


class Deadlines:
    """The deadlines of what is handled at once, each of which may take as long.

    A timer for each, as `asyncio.timeout` has it, is a sixth of what a message costs.

    Args:
        timeout: in seconds; None for any time.
    """

    def __init__(self, timeout: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = inf if timeout is None else timeout
        # By the loop's clock, the earliest first.
        self._due: dict[Limit, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, limit: "Limit") -> None:
        """A handler begins."""
        self._due[limit] = due = self._loop.time() + self._timeout
        if self._timer is None and due < inf:
            self._timer = self._loop.call_at(due, self._look)

    def end(self, limit: "Limit") -> bool:
        """It has ended; whether that was by its deadline."""
        return self._due.pop(limit, None) is not None

    def stop(self) -> None:
        """Nothing begins any more; what goes on nevertheless is ended by its deadline."""
        if self._timer is not None and not self._due:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for limit, due in list(self._due.items()):
            if due > now:
                self._timer = self._loop.call_at(due, self._look)
                break
            del self._due[limit]
            limit.task.cancel()


class Limit:
    """That of each handler in the current task, in which they follow one another.

    It does what `asyncio.timeout` does.

    Raises:
        TimeoutError: the deadline has passed, and the handler was cancelled for it alone.
    """

    __slots__ = ("_deadlines", "task")

    def __init__(self, deadlines: Deadlines) -> None:
        self.task = own_task()
        self._deadlines = deadlines

    def __enter__(self) -> None:
        self._deadlines.begin(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._deadlines.end(self):
            return
        # Unless it was cancelled by others, too.
        if self.task.uncancel() == 0 and isinstance(
            error, asyncio.CancelledError
        ):  # pragma: no branch - cancelled by others in this turn, too
            raise TimeoutError from error
