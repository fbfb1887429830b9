"""What components that are made of others have in common: one deadline, and whose error it was."""

import asyncio

from .component import Component
from .errors import one_of
from .life import State


class Composite(Component):
    """A component whose parts stop within one deadline.

    Each part may drain for as long as its own `stop_timeout` says, and no longer than what those
    before it have left. A subclass puts what runs into `_running`, and calls `_stop_part` for each.
    """

    def __init__(self, *, name: str | None, stop_timeout: float) -> None:
        super().__init__(name=name, stop_timeout=stop_timeout)
        self._errors: list[BaseException] = []
        # Those that it has started and that have not ended.
        self._running: set[Component] = set()
        # When what drains is cut, in the event loop's time.
        self._until = 0.0

    def request_stop(self, *, timeout: float | None = None) -> None:
        """Begin to stop, without waiting for the end of it.

        Args:
            timeout: as `stop` has it.
        """
        state = self.state
        super().request_stop(timeout=timeout)
        if state in (State.STARTING, State.RUNNING):
            self._drain_within(timeout)
        elif state is State.STOPPING and timeout is not None:
            self._until = min(self._until, asyncio.get_running_loop().time() + timeout)
            for part in self._running:
                if part.state is State.STOPPING:
                    part.request_stop(timeout=timeout)

    def _drain_within(self, timeout: float | None = None) -> None:
        """Begin the time in which all parts are to stop: `stop_timeout`, if not less."""
        patience = self.stop_timeout if timeout is None else min(timeout, self.stop_timeout)
        self._until = asyncio.get_running_loop().time() + patience

    async def _stop_part(self, part: Component) -> None:
        """Stop a part, if it runs, within what is left of the time; what it raises is noted."""
        if part not in self._running:
            return
        try:
            left = self._until - asyncio.get_running_loop().time()
            await part.stop(timeout=max(0.0, left))
        except Exception as error:
            self._note(part, error, self._ending())

    def _note(self, part: Component, error: BaseException, what: str) -> bool:
        """Keep an error, with a note that says whose it is; False when it is known already."""
        if any(error is known for known in self._errors):
            return False
        error.add_note(f"{part!r} of {self!r} {what}")
        self._errors.append(error)
        return True

    def _ending(self) -> str:
        return "did not stop cleanly" if self.state is State.STOPPING else "failed"

    def _take_error(self) -> BaseException:
        """What it has failed by."""
        errors, self._errors = self._errors, []
        return one_of(f"{self!r}: several parts failed", errors)
