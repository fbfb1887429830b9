"""The life of everything that lives long: servers, clients, timers, connections."""

import asyncio
import enum
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from .errors import StateError

T = TypeVar("T")

# Releasing is meant to take no time; a close that hangs must not hang the application.
CLOSE_TIMEOUT = 5.0


class State(enum.Enum):
    """Where a component is in its life."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Component:
    """Something that starts, runs in the background, and stops.

        async with component:
            await component.wait_stopped()

    A subclass fills in `_open` and `_close`, and `_drain` when it has something to finish before
    it closes. It creates its tasks by `_spawn`, so that every task has an owner: an exception in
    one of them fails the component, and reaches whoever waits in `wait_stopped`, else the event
    loop's exception handler. A component that has stopped or failed may be started again.

    Args:
        name: how the component is called in messages; the name of its class by default.
        stop_timeout: how long a stop may drain before it cuts, in seconds.
    """

    def __init__(self, *, name: str | None = None, stop_timeout: float = 10.0) -> None:
        if not stop_timeout >= 0:
            raise ValueError(f"stop_timeout must not be negative, got {stop_timeout}")
        self.name = name or type(self).__name__
        self.stop_timeout = stop_timeout
        self._state = State.NEW
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opening: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        # Why it failed, while running or while stopping.
        self._error: BaseException | None = None
        # What went wrong in the stop itself: the business of whoever called stop().
        self._stop_errors: list[BaseException] = []
        self._stop_error: BaseException | None = None
        self._waiters: set[asyncio.Future[None]] = set()

    # What a subclass fills in

    async def _open(self) -> None:
        """Acquire what the component needs. When this raises, `_close` is called."""
        raise NotImplementedError

    async def _close(self) -> None:
        """Release everything, at once; also what a failed `_open` had acquired."""
        raise NotImplementedError

    async def _drain(self) -> None:
        """Finish what is under way; cancelled when `stop_timeout` is over."""

    # What an owner uses

    @property
    def state(self) -> State:
        """Where the component is in its life."""
        return self._state

    async def start(self) -> None:
        """Start, and return when the component is running.

        When starting fails or is cancelled, everything that it had opened is released first.

        Raises:
            StateError: it is running already, or was stopped while it was starting.
        """
        if self._state in (State.STARTING, State.RUNNING, State.STOPPING):
            raise StateError(f"{self!r} cannot be started: it is {self._state.value}")
        self._begin_start()
        cancellations = _cancellations()
        self._opening = asyncio.create_task(self._run_open(), name=f"{self.name} start")
        error: BaseException | None = None
        try:
            await self._opening
        except BaseException as caught:
            error = caught
        if error is None and self._ending is None:
            return
        stopped = self._ending is not None
        if not (stopped or isinstance(error, asyncio.CancelledError)):
            self._error = error
        try:
            await self._wait_ended(self._begin_end())
        except asyncio.CancelledError:
            if self._error is not None and self._error is not self._stop_error:
                self._report(self._error, f"{self!r} did not start")
            raise
        if error is not None:
            cancelled_here = _cancellations() > cancellations or not stopped
            if cancelled_here or not isinstance(error, asyncio.CancelledError):
                if self._stop_error is not None and self._error is self._stop_error:
                    self._report(self._stop_error, f"{self!r} did not stop cleanly")
                raise error
        if self._error is not None and self._error is not self._stop_error:
            raise self._error
        raise StateError(f"{self!r} was stopped while it was starting") from self._stop_error

    async def stop(self) -> None:
        """Stop: finish what is under way for up to `stop_timeout` seconds, then cut and release.

        Does nothing when the component is not running. Cancelling this call cuts the drain short;
        everything is released all the same. Called by a task of the component itself, such as a
        handler, it begins the stop and returns at once, since waiting would be for itself.

        Raises:
            Exception: what went wrong while draining or closing; all was released nevertheless.
        """
        self.request_stop()
        ending = self._ending
        if ending is None or ending.done() or self._owns_current_task():
            return
        await self._wait_ended(ending)
        if self._stop_error is not None:
            raise self._stop_error

    def request_stop(self) -> None:
        """Begin to stop, without waiting for the end of it."""
        if self._state in (State.STARTING, State.RUNNING):
            self._begin_end()

    async def wait_stopped(self) -> None:
        """Wait until the component has stopped, for whatever reason.

        Raises:
            StateError: it was never started.
            Exception: the error that it failed by.
        """
        if self._state is State.NEW:
            raise StateError(f"{self!r} was never started")
        if self._state not in (State.STOPPED, State.FAILED):
            await self._waiter()
        if self._error is not None:
            raise self._error

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self._state.value}>"

    # What a subclass uses

    def _spawn(self, coro: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Run `coro` in a task that this component owns.

        It is cancelled before `_close`; an exception that it raises fails the component.
        """
        task = asyncio.get_running_loop().create_task(
            coro, name=f"{self.name} {name or getattr(coro, '__name__', 'task')}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _fail(self, error: BaseException) -> None:
        """The component cannot go on: release everything and end as failed by `error`."""
        if self._state not in (State.STARTING, State.RUNNING):
            if self._state is State.STOPPING:
                self._stop_errors.append(error)
            else:
                self._report(error, f"{self!r}: an error after its end")
            return
        self._error = error
        if self._state is State.RUNNING and not self._waiters:
            self._report(error, f"{self!r} failed")
        self._begin_end()

    def _report(self, error: BaseException, message: str) -> None:
        """Hand an error that does not end the component to the event loop's exception handler."""
        asyncio.get_running_loop().call_exception_handler(
            {"message": message, "exception": error, "component": self}
        )

    # The mechanism

    def _begin_start(self) -> None:
        self._state = State.STARTING
        self._ending = self._error = self._stop_error = None
        self._stop_errors = []

    async def _run_open(self) -> None:
        await self._open()
        # A task of the component may have failed, or a stop begun, in the meantime.
        if self._state is State.STARTING:
            self._state = State.RUNNING

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _owns_current_task(self) -> bool:
        current = asyncio.current_task()
        return current in self._tasks or (
            current in (self._opening, self._draining, self._ending) and current is not None
        )

    def _begin_end(self) -> asyncio.Task[None]:
        if self._ending is None:
            drain = self._state is State.RUNNING and self._error is None
            self._state = State.STOPPING
            self._ending = asyncio.get_running_loop().create_task(
                self._end(drain), name=f"{self.name} stop"
            )
        return self._ending

    async def _wait_ended(self, ending: asyncio.Task[None]) -> None:
        """Wait for the end; a cancellation cuts the drain, and is raised when all is released."""
        if ending.done():
            return
        try:
            await self._waiter()
        except asyncio.CancelledError:
            if self._draining is not None:
                self._draining.cancel()
            if not ending.done():
                await asyncio.wait([ending])
            if self._stop_error is not None:
                self._report(self._stop_error, f"{self!r} did not stop cleanly")
            raise

    async def _waiter(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    async def _end(self, drain: bool) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await self._settle({self._opening})
        if drain:
            await self._run_drain()
        tasks = {task for task in self._tasks if not task.done()}
        for task in tasks:
            task.cancel()
        await self._settle(tasks)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT) as limit:
                await self._close()
        except (Exception, asyncio.CancelledError) as error:
            late = TimeoutError(f"{self!r}: closing took more than {CLOSE_TIMEOUT} s")
            self._stop_errors.append(late if limit.expired() else error)
        self._conclude()

    def _conclude(self) -> None:
        if self._stop_errors:
            self._stop_error = self._stop_errors[0]
            if len(self._stop_errors) > 1:
                self._stop_error = BaseExceptionGroup(
                    f"errors while stopping {self!r}", self._stop_errors
                )
            if self._error is not None or not self._waiters:
                self._report(self._stop_error, f"{self!r} did not stop cleanly")
            if self._error is None:
                self._error = self._stop_error
        self._state = State.STOPPED if self._error is None else State.FAILED
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _run_drain(self) -> None:
        draining = self._draining = asyncio.create_task(self._drain(), name=f"{self.name} drain")
        try:
            await asyncio.wait([draining], timeout=self.stop_timeout)
        except asyncio.CancelledError:
            # The event loop is being closed under us: there is no time to drain, but to close.
            pass
        finally:
            self._draining = None
        if not draining.done():
            draining.cancel()
            await self._settle({draining})
        if draining.done() and not draining.cancelled() and (error := draining.exception()):
            self._stop_errors.append(error)

    async def _settle(self, cancelled: set[asyncio.Task[Any]]) -> None:
        """Wait for tasks that were cancelled; one that does not end is named, and left behind."""
        if not cancelled:
            return
        try:
            _, pending = await asyncio.wait(cancelled, timeout=CLOSE_TIMEOUT)
        except asyncio.CancelledError:
            pending = {task for task in cancelled if not task.done()}
        if pending:
            names = ", ".join(sorted(task.get_name() for task in pending))
            self._stop_errors.append(
                TimeoutError(f"{self!r}: still running after being cancelled: {names}")
            )


def _cancellations() -> int:
    current = asyncio.current_task()
    return current.cancelling() if current is not None else 0
