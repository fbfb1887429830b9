"""The life of everything that lives long: servers, clients, timers, connections."""

import asyncio
import contextvars
import logging
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar, final

from .calling import cancellations
from .errors import StateError, WrongThread, one_of
from .life import LIVING, Life, State, inside, make_task, names_of, run_at_once, within
from .numbers import check_seconds
from .subclasses import FILLED_IN, PROVIDED, Provided, check_subclass

T = TypeVar("T")

# Releasing is meant to take no time; a close that hangs must not hang the application.
CLOSE_TIMEOUT = 5.0


class Component(ABC):
    """Something that starts, runs in the background, and stops.

        async with component:
            await component.wait_stopped()

    A component that has stopped or failed may be started again. One that was left running in an
    event loop that was closed has failed by that: its next `start`, `stop` or `wait_stopped` finds
    that out, and releases without draining.

    A subclass fills in `_open` and `_close`, and `_drain` when it has something to finish before
    it closes. It uses `_spawn` for its tasks, so that each has an owner: an exception in one of
    them fails the component, and reaches whoever waits in `wait_stopped`, else the event loop's
    exception handler. `_fail` does the same for an error that it found by other means, and
    `_report_error` tells of one that it survives. No other name is taken: what a component needs
    for itself is out of its subclasses' way.

    Where there are many of a kind, whose `_open` and `_close` wait for nothing and whose `_drain`
    has only its tasks to wait for, `class Kind(Component, at_once=True)` spares the tasks in which
    these methods run otherwise.

    Args:
        name: how the component is called in messages; the name of its class by default.
        stop_timeout: how long a stop may drain before it cuts, in seconds; infinity for as long as
            that takes.

    Raises:
        ValueError: `stop_timeout` is negative, or not a number.
        TypeError: it is neither an int nor a float; `_open` or `_close` is missing; or, on the
            definition of a subclass, that replaces what it is only to use.
    """

    name: str
    stop_timeout: float
    __life: Life
    __at_once = False

    # Made before any __init__, so that one that does not call this one's changes nothing.
    def __new__(cls, *_args: Any, **_options: Any) -> Self:
        self = super().__new__(cls)
        self.__life = Life(cls)
        self.name = cls.__name__
        self.stop_timeout = 10.0
        return self

    def __init__(self, *, name: str | None = None, stop_timeout: float = 10.0) -> None:
        self.name = name or type(self).__name__
        self.stop_timeout = check_seconds("stop_timeout", stop_timeout)

    # What a subclass fills in

    @abstractmethod
    async def _open(self) -> None:
        """Acquire what the component needs. When this raises, `_close` is called."""

    @abstractmethod
    async def _close(self) -> None:
        """Release everything, at once; also what a failed `_open` had acquired."""

    async def _drain(self) -> None:  # noqa: B027 - for those that have something to finish
        """Finish what is under way; cancelled when the time for it is over."""

    # What an owner uses

    @property
    def state(self) -> State:
        """Where the component is in its life."""
        return self.__life.state

    @property
    def reported(self) -> int:
        """How many errors it has survived and told of, since it was made."""
        return self.__life.reports.count

    async def start(self) -> None:
        """Start, and return when the component is running.

        When starting fails or is cancelled, everything that it had opened is released first.

        Raises:
            StateError: it is running already, or was stopped while it was starting.
        """
        life = self.__life
        if life.leave_closed_loop(self):
            await self.stop()
        if life.state in LIVING:
            raise StateError(f"{self!r} cannot be started: it is {life.state.value}")
        life.begin(self)
        asked_before = cancellations()
        error: BaseException | None = None
        try:
            if self.__at_once:
                inside(life).run(run_at_once, self.__run_open())
            else:
                life.opening = make_task(self.__run_open(), f"{self.name} start", inside(life))
                await life.opening
        except BaseException as caught:
            error = caught
        if error is None and life.ending is None:
            return
        stopped = life.ending is not None
        if not (stopped or isinstance(error, asyncio.CancelledError)):
            life.error = error
        try:
            await self.__wait_ended(self.__begin_end())
        except asyncio.CancelledError:
            if life.error is not None and life.error is not life.stop_error:
                self.__escalate(life.error, f"{self!r} did not start")
            raise
        if error is not None:
            cancelled_here = cancellations() > asked_before or not stopped
            if cancelled_here or not isinstance(error, asyncio.CancelledError):
                if life.stop_error is not None and life.error is life.stop_error:
                    self.__escalate(life.stop_error, f"{self!r} did not stop cleanly")
                raise error
        if life.error is not None and life.error is not life.stop_error:
            raise life.error
        raise StateError(f"{self!r} was stopped while it was starting") from life.stop_error

    async def stop(self, *, timeout: float | None = None) -> None:
        """Stop: finish what is under way, cut what is left when the time is over, and release.

        Does nothing when the component is not running. Cancelling this call cuts the drain short;
        everything is released all the same. Called from within the component, such as by one of
        its handlers or by a task that a handler has made, it begins the stop and returns at once,
        since waiting would be for itself.

        Args:
            timeout: how long the stop may drain, in seconds, when that is less than
                `stop_timeout`; of a stop that is under way, how long it may drain from now on.

        Raises:
            WrongThread: it lives in an event loop of another thread; nothing was done.
            Exception: what went wrong while draining or closing; all was released nevertheless.
        """
        life = self.__life
        life.leave_closed_loop(self)
        life.check_thread()
        from_within = life.ref in within.get()
        if self.__at_once and life.state is State.RUNNING and not (life.tasks or from_within):
            self.__end_at_once()
        else:
            self.request_stop(timeout=timeout)
            if life.ending is None or life.ending.done() or from_within:
                return
            await self.__wait_ended(life.ending)
        if life.stop_error is not None:
            raise life.stop_error

    def request_stop(self, *, timeout: float | None = None) -> None:
        """Begin to stop, without waiting for the end of it.

        Args:
            timeout: as `stop` has it.

        Raises:
            WrongThread: as `stop` does.
        """
        life = self.__life
        life.leave_closed_loop(self)
        life.check_thread()
        if life.state in (State.STARTING, State.RUNNING):
            self.__begin_end(timeout)
        elif life.state is State.STOPPING and timeout is not None:
            life.drain_until(asyncio.get_running_loop().time() + timeout)

    async def wait_stopped(self) -> None:
        """Wait until the component has stopped, for whatever reason.

        Raises:
            StateError: it was never started.
            WrongThread: it lives in an event loop of another thread.
            Exception: the error that it failed by.
        """
        life = self.__life
        if life.leave_closed_loop(self):
            self.__begin_end()
        life.check_thread()
        if life.state is State.NEW:
            raise StateError(f"{self!r} was never started")
        if life.state not in (State.STOPPED, State.FAILED):
            await life.wait()
        if life.error is not None:
            raise life.error

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
        return f"<{type(self).__name__} {self.name!r} {self.__life.state.value}>"

    # What a subclass uses

    @final
    def _spawn(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, eager: bool = False
    ) -> asyncio.Task[T]:
        """Run `coro` in a task that this component owns, from the next turn of the event loop on.

        It is cancelled before `_close`; an exception that it raises fails the component.

        Args:
            coro: what is run.
            name: how the task is called, after the name of the component.
            eager: it runs at once until it first waits, on Python 3.12 and later: what does not
                wait costs the event loop nothing.
        """
        life = self.__life
        try:
            life.check_thread()
        except WrongThread:
            coro.close()
            raise
        title = f"{self.name} {name or getattr(coro, '__name__', 'task')}"
        task = make_task(coro, title, inside(life), eager=eager)
        if task.done():  # pragma: no cover - Python 3.12
            self.__task_done(task)
        else:
            life.tasks.add(task)
            task.add_done_callback(self.__task_done)
        return task

    @final
    def _fail(self, error: BaseException) -> None:
        """The component cannot go on: release everything and end as failed by `error`."""
        life = self.__life
        life.check_thread()
        if life.state not in (State.STARTING, State.RUNNING):
            if life.state is State.STOPPING:
                life.stop_errors.append(error)
            else:
                self.__escalate(error, f"{self!r}: an error after its end")
            return
        life.error = error
        if life.state is State.RUNNING and not life.waiters:
            self.__escalate(error, f"{self!r} failed")
        self.__begin_end()

    @final
    def _report_error(
        self, error: BaseException, message: str, *, level: int = logging.ERROR
    ) -> None:
        """Tell of an error that the component survives: it is logged and counted.

        Of errors of one kind, a few lines a second are logged. None of them reaches the event
        loop's exception handler, and so none ends the application.

        Args:
            error: what was raised; its traceback goes to the log.
            message: says what happened, and to whom.
            level: the level of the line, as `logging` has it.
        """
        self.__life.reports.log(message, error, level=level)

    # The mechanism

    def __init_subclass__(cls, *, at_once: bool = False, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_subclass(cls)
        if at_once or not FILLED_IN.isdisjoint(vars(cls)):
            cls.__at_once = at_once

    def __escalate(self, error: BaseException, message: str) -> None:
        """Hand an error that nobody else hears of to the event loop's exception handler."""
        asyncio.get_running_loop().call_exception_handler(
            {"message": message, "exception": error, "component": self}
        )

    async def __run_open(self) -> None:
        await self._open()
        # A task of the component may have failed, or a stop begun, in the meantime.
        if self.__life.state is State.STARTING:
            self.__life.state = State.RUNNING

    def __task_done(self, task: asyncio.Task[Any]) -> None:
        self.__life.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def __begin_end(self, timeout: float | None = None) -> asyncio.Task[None]:
        life = self.__life
        if life.ending is None:
            drain = life.state is State.RUNNING and life.error is None
            life.state = State.STOPPING
            patience = self.stop_timeout if timeout is None else min(timeout, self.stop_timeout)
            life.deadline = asyncio.get_running_loop().time() + patience
            # Within itself alone: it waits for the components inside it, whoever asked for that.
            context = contextvars.copy_context()
            context.run(within.set, (life.ref,))
            life.ending = make_task(self.__end(drain), f"{self.name} stop", context)
        return life.ending

    async def __wait_ended(self, ending: asyncio.Task[None]) -> None:
        """Wait for the end; a cancellation cuts the drain, and is raised when all is released."""
        life = self.__life
        if ending.done():
            return
        try:
            await life.wait()
        except asyncio.CancelledError:
            if life.draining is not None:
                life.draining.cancel()
            if not ending.done():
                # What goes wrong meanwhile is heard by others who wait, or told at its end.
                await asyncio.wait([ending])
            elif life.stop_error is not None and life.error is life.stop_error:
                self.__escalate(life.stop_error, f"{self!r} did not stop cleanly")
            raise

    async def __end(self, drain: bool) -> None:
        life = self.__life
        if life.opening is not None and not life.opening.done():
            life.opening.cancel()
            await self.__settle({life.opening})
        if drain:
            await self.__run_drain()
        tasks = {task for task in life.tasks if not task.done()}
        for task in tasks:
            task.cancel()
        await self.__settle(tasks)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT) as limit:
                await self._close()
        except (Exception, asyncio.CancelledError) as error:
            late = TimeoutError(f"{self!r}: closing took more than {CLOSE_TIMEOUT} s")
            life.stop_errors.append(late if limit.expired() else error)
        self.__conclude()

    def __conclude(self) -> None:
        life = self.__life
        if life.stop_errors:
            life.stop_error = one_of(f"errors while stopping {self!r}", life.stop_errors)
            if life.error is not None or not life.waiters:
                self.__escalate(life.stop_error, f"{self!r} did not stop cleanly")
            if life.error is None:
                life.error = life.stop_error
        life.end()

    def __end_at_once(self) -> None:
        life = self.__life
        life.state = State.STOPPING
        try:
            run_at_once(self._close())
        except Exception as error:
            life.error = life.stop_error = error
        life.end()

    async def __run_drain(self) -> None:
        life = self.__life
        draining = life.draining = make_task(
            self._drain(), f"{self.name} drain", contextvars.copy_context()
        )
        try:
            async with asyncio.timeout_at(life.deadline) as life.limit:
                await asyncio.wait([draining])
        except TimeoutError:
            if not draining.done():
                left = names_of(life.tasks) or "its drain"
                life.reports.log(
                    f"{self!r}: the time to drain is over, it is cut short; still running: {left}",
                    level=logging.WARNING,
                )
        except asyncio.CancelledError:
            # The event loop is being closed under us: there is no time to drain, but to close.
            pass
        finally:
            life.draining = life.limit = None
        if not draining.done():
            draining.cancel()
            await self.__settle({draining})
        if draining.done() and not draining.cancelled() and (error := draining.exception()):
            life.stop_errors.append(error)

    async def __settle(self, cancelled: set[asyncio.Task[Any]]) -> None:
        """Wait for tasks that were cancelled; one that does not end is named, and left behind."""
        if not cancelled:
            return
        try:
            _, pending = await asyncio.wait(cancelled, timeout=CLOSE_TIMEOUT)
        except asyncio.CancelledError:
            pending = {task for task in cancelled if not task.done()}
        if pending:
            self.__life.stop_errors.append(
                TimeoutError(f"{self!r}: still running after being cancelled: {names_of(pending)}")
            )


for _name in PROVIDED - {"state"}:
    setattr(Component, _name, Provided(vars(Component)[_name]))
