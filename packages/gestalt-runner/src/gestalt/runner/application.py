"""The course of an application: start, watch, stop, finalize."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

from gestalt.core import Component, Reports
from gestalt.core.calling import call_plain, is_awaitable, is_own_cancellation, name_of

from .attendants import Attendant, Stage
from .contexts import describe_context, is_survived
from .defaults import GRACE
from .delay import DrainDelay
from .errors import ShutdownTimeout, UnhandledError
from .executors import join
from .parts import ComponentPart, MainPart, Part
from .reloads import Reloads
from .report import describe_start, describe_tasks, logger, report_error
from .stop_time import StopTime
from .unretrieved import unretrieved_failures

T = TypeVar("T")

OnException = Literal["stop", "continue"] | Callable[[BaseException, dict[str, Any]], object]


class Application:
    """Starts parts in order, stops them in reverse, and collects what goes wrong on the way."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        parts: Sequence[Part],
        *,
        attendants: Sequence[Attendant],
        finalizers: Sequence[Callable[[], object]],
        on_exception: OnException,
        on_reload: Callable[[], object] | None,
        shutdown_timeout: float,
        drain_delay: float,
    ) -> None:
        self.loop = loop
        self.errors: list[BaseException] = []
        # A SystemExit or KeyboardInterrupt that the application raised itself.
        self.leaving: BaseException | None = None
        self._parts = list(parts)
        self._attendants = attendants
        # Those that are to end, and the tasks of theirs that the stop leaves alone.
        self._begun: list[Attendant] = []
        self._attending: set[asyncio.Task[None]] = set()
        self._finalizers = finalizers
        self._on_exception = on_exception
        self._shutdown_timeout = shutdown_timeout
        self._drain_delay = DrainDelay(drain_delay)
        self._time = StopTime(loop.time, shutdown_timeout)
        # Given up: they were cancelled and named, and still ran when their time was over.
        self.abandoned: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()
        self._started = False
        self._cutting = False
        # The part whose turn it is to stop.
        self._ending: Part | None = None
        self._running = set(parts)
        self._watchers: set[asyncio.Task[None]] = set()
        # Starts of what async functions have made.
        self._made: set[asyncio.Task[None]] = set()
        self._reloads = Reloads(
            on_reload,
            begin=self._tell_reloading,
            done=self._tell_reloaded,
        )
        self._reloads_after_start = False
        self._reports = Reports(logger)

    @property
    def state(self) -> Stage:
        """Where the application is in its life."""
        if self._stopping.is_set():
            return "stopping"
        return "running" if self._started else "starting"

    @property
    def components(self) -> list[Component]:
        """The components that are parts, in the order of their start."""
        return [part.component for part in self._parts if isinstance(part, ComponentPart)]

    def attend(self, coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `coro` in a task that the stop leaves alone, for an attendant."""
        task = self._task(coro, name)
        self._attending.add(task)
        task.add_done_callback(self._attended)
        return task

    def stop_by_signal(self) -> None:
        """Begin the graceful stop; the parts go on for the drain delay, if all of them run."""
        if self.state == "running":
            self._drain_delay.begin()
        self.request_stop()

    def request_stop(self) -> None:
        """Begin the graceful stop; during the drain delay, end that."""
        if self._stopping.is_set():
            self._drain_delay.end()
        else:
            self._time.begin()
            self._stopping.set()
            self._tell("stopping", lambda each: each.stopping(self._shutdown_timeout))

    def cut(self) -> None:
        """Cut what drains. Clean-up and finalizers still run."""
        self._cutting = True
        # A coroutine that was cancelled is cleaning up, which nothing but the deadline cuts.
        if isinstance(self._ending, ComponentPart):
            self._ending.request_stop(0.0)
        self.request_stop()

    def fail(self, message: str, error: BaseException) -> None:
        """Note an error, report it once, and stop; SystemExit and KeyboardInterrupt just stop."""
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            self.leaving = self.leaving or error
        elif not any(error is known for known in self.errors):
            self.errors.append(error)
            report_error(message, error)
        self.request_stop()

    def reload(self) -> None:
        """Reload what can be; during a reload, once more after it.

        During the start, attendants are told at once. The rest comes after it: what is about to
        start may have read by now what is old, and cannot reload yet.
        """
        if self._stopping.is_set():  # pragma: no cover - SIGHUP during the stop
            return
        if self._started:
            self._reloads.request(self.loop)
        else:
            self._reloads_after_start = True
            self._tell_reloading()
            self._tell_reloaded()

    def handle_exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The event loop's exception handler."""
        if context.get("task") in self.abandoned:  # pragma: no cover - collected before the end
            # It is destroyed now; that it hangs was reported.
            return
        message = describe_context(context)
        error = context.get("exception") or UnhandledError(message)
        if not isinstance(error, Exception):
            self.fail(message, error)
        elif is_survived(context) or self._on_exception == "continue":
            told = context.get("exception")
            self._reports.log(message, told, cause=message if told is None else None)
        elif self._on_exception == "stop":
            self.fail(message, error)
        else:
            try:
                call_plain("on_exception", self._on_exception, error, context)
            except BaseException as raised:
                self.fail(f"on_exception did not handle: {message}", raised)

    async def run(self) -> None:
        """Run from the first start to the last finalizer; at most 3 `GRACE` beyond the deadline."""
        # asyncio's own default executor cannot be waited for with a deadline on Python 3.11.
        executor = ThreadPoolExecutor(thread_name_prefix="asyncio")
        self.loop.set_default_executor(executor)
        await self._begin()
        for part in list(self._parts):
            if self._stopping.is_set():
                break
            await self._start(part)
        self._started = True
        # An attendant that fails then begins the stop, after which nobody is told of a start.
        self._tell("started", self._tell_started)
        if self._reloads_after_start:
            self.reload()
        await self._stopping.wait()
        await self._drain_delay.wait()
        if self._made:
            # They are given up by now.
            await asyncio.wait(self._made)
        for part in reversed([part for part in self._parts if part.started]):
            await self._stop(part)
        await self._end_tasks()
        self._time.begin_grace()
        for number, finalizer in enumerate(self._finalizers, 1):
            last = number == len(self._finalizers)
            await self._finalize(finalizer, share=0.9 if last else 0.5)
        self._time.begin_grace()
        for attendant in reversed(self._begun):
            await self._within(attendant.end(), f"{_kind(attendant)} end", share=0.3, most=GRACE)
        self._attending.clear()
        await self._end_tasks()
        await self._within(self.loop.shutdown_asyncgens(), "asynchronous generators")
        await self._within(join(executor), "threads of the default executor")
        self.loop.set_default_executor(ThreadPoolExecutor())
        for task, error in unretrieved_failures(self.loop):
            message = "Task exception was never retrieved"
            context = {"message": message, "exception": error, "task": task}
            self.handle_exception(self.loop, context)
        self._reports.flush()

    async def _begin(self) -> None:
        for attendant in self._attendants:
            if not self._stopping.is_set():
                self._begun.append(attendant)
                await self._until_stop(attendant.begin(self), _kind(attendant))

    async def _until_stop(
        self, starting: Coroutine[Any, Any, T], name: str
    ) -> asyncio.Task[T] | None:
        """Let something start; None when it did not, which the stop or a failure is behind."""
        task = self._task(starting, f"{name} start")
        stopping = self._task(self._stopping.wait(), "stop requested")
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=self._time.patience())
        if not task.done():
            self._fail_late(f"the start of {name}", {task})
            self.abandoned.add(task)
        elif task.cancelled():
            if not self._stopping.is_set():  # pragma: no cover - an attendant cancels itself
                cancelled = UnhandledError("its start was cancelled from inside")
                self.fail(describe_start(name, cancelled), cancelled)
        elif (error := task.exception()) is not None:
            self.fail(describe_start(name, error), error)
        else:
            return task
        return None

    async def _start(self, part: Part) -> None:
        started = await self._until_stop(part.start(), part.name)
        if started is None:
            return
        if (made := started.result()) is not None:
            await self._replace(part, made)
        else:
            part.started = True
            watcher = self._task(self._watch(part), f"{part.name} watch")
            self._watchers.add(watcher)
            watcher.add_done_callback(self._watchers.discard)

    async def _replace(self, part: Part, made: Part) -> None:
        """Start what a part has made, in its place."""
        self._parts[self._parts.index(part)] = made
        self._running.remove(part)
        self._running.add(made)
        await self._start(made)

    async def _watch(self, part: Part) -> None:
        made: Part | None = None
        try:
            made = await part.wait()
        except BaseException as error:
            if is_own_cancellation(error):
                raise
            self.fail(f"{part.name} failed", error)
        if made is not None and not self._stopping.is_set():
            starting = self._task(self._replace(part, made), f"{part.name} made {made.name}")
            self._made.add(starting)
            starting.add_done_callback(self._made.discard)
            await asyncio.wait([starting])
        self._running.discard(part)
        mains = [part for part in self._parts if isinstance(part, MainPart)]
        if self._running.isdisjoint(mains or self._parts):
            self.request_stop()

    async def _stop(self, part: Part) -> None:
        self._ending = part
        part.request_stop(0.0 if self._cutting else self._time.draining())
        stopping = self._task(part.stop(), f"{part.name} stop")
        await asyncio.wait([stopping], timeout=self._time.patience())
        if not stopping.done():
            left = describe_tasks(self._others() - {stopping})
            part.request_stop(0.0)
            await asyncio.wait([stopping], timeout=self._time.patience())
            # A component has told by itself what it cut.
            if stopping.done() and isinstance(part, MainPart):
                self._warn_cut(part.name, left)
        self._ending = None
        if not stopping.done():
            self._fail_late(part.name, self._others() - {stopping})
            stopping.cancel()
        elif not stopping.cancelled() and (error := stopping.exception()):
            self.fail(f"{part.name} did not stop cleanly", error)

    async def _end_tasks(self) -> None:
        """Cancel what is left; at the deadline once more, and give up what does not end then."""
        left = self._others()
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=self._time.patience())
        late = {task: describe_tasks([task]) for task in left if not task.done()}
        if not late:
            return
        for task in late:
            task.cancel()
        ended, pending = await asyncio.wait(late, timeout=self._time.patience())
        if ended:
            named = "\n".join(sorted(late[task] for task in ended))
            self._warn_cut(f"{len(ended)} cancelled task(s)", named)
        if pending:
            self._fail_late(f"{len(pending)} cancelled task(s)", pending)
            self.abandoned |= pending

    async def _finalize(self, finalizer: Callable[[], object], *, share: float) -> None:
        name = name_of(finalizer)
        try:
            result = finalizer()
        except BaseException as error:
            self.fail(f"finalizer {name} failed", error)
            return
        if is_awaitable(result):
            await self._within(result, f"finalizer {name}", share=share)

    async def _within(
        self, awaitable: Any, name: str, *, share: float = 0.5, most: float = math.inf
    ) -> None:
        """Wait for `awaitable`, as long as there is time, in a task that cannot hurt this one."""

        async def wait() -> None:
            await awaitable

        task = self._task(wait(), name)
        await asyncio.wait([task], timeout=min(most, self._time.patience(share)))
        late = not task.done()
        if late:
            # What it was to do remains undone, which nobody else can know.
            self._fail_late(name, {task})
            task.cancel()
            await asyncio.wait([task], timeout=min(most, self._time.patience(share)))
        if not task.done():
            self.abandoned.add(task)
        elif not task.cancelled():
            if (error := task.exception()) is not None:
                self.fail(f"{name} failed", error)
        elif not late:
            self.fail(f"{name} failed", UnhandledError("it was cancelled from inside"))

    def _tell_reloading(self) -> None:
        self._tell("reloading", lambda each: each.reloading())

    def _tell_reloaded(self) -> None:
        self._tell("reloaded", lambda each: each.reloaded())

    def _tell_started(self, attendant: Attendant) -> None:
        if not self._stopping.is_set():
            attendant.started()

    def _tell(self, step: str, tell: Callable[[Attendant], object]) -> None:
        for attendant in list(self._begun):
            try:
                tell(attendant)
            except BaseException as error:
                self.fail(f"{_kind(attendant)} failed when told: {step}", error)

    def _attended(self, task: asyncio.Task[None]) -> None:
        self._attending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            message = f"{task.get_name()} failed"
            context = {"message": message, "exception": error, "task": task}
            self.loop.call_exception_handler(context)

    def _task(self, coro: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        # Not by the event loop's factory, which is the application's: an eager one would run the
        # coroutine before the task is known here.
        return asyncio.Task(coro, loop=self.loop, name=name)

    def _warn_cut(self, name: str, left: str) -> None:
        logger.warning(
            "%s did not end within the %s s for the stop, and was cut short at\n%s",
            name,
            self._shutdown_timeout,
            left,
        )

    def _fail_late(self, name: str, tasks: set[asyncio.Task[Any]]) -> None:
        self.fail(
            f"{name} did not end in time; still running:\n{describe_tasks(tasks)}",
            ShutdownTimeout(f"{name} did not end within {self._shutdown_timeout} s"),
        )

    def _others(self) -> set[asyncio.Task[Any]]:
        spared = self._watchers | self._attending | self.abandoned
        return asyncio.all_tasks() - spared - {asyncio.current_task()}


def _kind(attendant: Attendant) -> str:
    return type(attendant).__name__
