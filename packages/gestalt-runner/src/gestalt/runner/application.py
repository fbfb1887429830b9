"""The course of an application: start, watch, stop, finalize."""

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from .errors import ShutdownTimeout, UnhandledError
from .parts import ComponentPart, MainPart, Part
from .report import describe_tasks, report_error
from .unretrieved import unretrieved_failures

# After the deadline of the stop, all that is left has this long, in seconds, to release what it
# holds. It is one budget: whoever is waited for may use up half of what the others left, so that
# nothing goes without, and the sum is bounded.
GRACE = 1.0

OnException = Literal["stop", "continue"] | Callable[[BaseException, dict[str, Any]], object]


class Application:
    """Starts parts in order, stops them in reverse, and collects what goes wrong on the way."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        parts: Sequence[Part],
        *,
        finalizers: Sequence[Callable[[], object]],
        on_exception: OnException,
        on_reload: Callable[[], object] | None,
        shutdown_timeout: float,
    ) -> None:
        self.errors: list[BaseException] = []
        # A SystemExit or KeyboardInterrupt that the application raised itself.
        self.leaving: BaseException | None = None
        self._loop = loop
        self._parts = parts
        self._finalizers = finalizers
        self._on_exception = on_exception
        self._on_reload = on_reload
        self._shutdown_timeout = shutdown_timeout
        self._deadline = 0.0
        # Given up: they were cancelled and named, and still ran when their time was over.
        self.abandoned: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()
        self._cutting = asyncio.Event()
        self._running = set(parts)
        self._watchers: set[asyncio.Task[None]] = set()
        self._reloading: asyncio.Task[None] | None = None
        self._reload_again = False

    def request_stop(self) -> None:
        """Begin the graceful stop."""
        if not self._stopping.is_set():
            self._deadline = self._loop.time() + self._shutdown_timeout
            self._stopping.set()

    def cut(self) -> None:
        """Cut what drains. Clean-up and finalizers still run."""
        self._cutting.set()
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
        """Call `on_reload`; during a reload, once more after it."""
        if self._reloading is not None:
            self._reload_again = True
        elif self._on_reload is not None and not self._stopping.is_set():
            self._reloading = self._loop.create_task(self._reload(self._on_reload), name="reload")

    def handle_exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The event loop's exception handler."""
        if context.get("task") in self.abandoned:
            # It is destroyed now; that it hangs was reported.
            return
        message = context.get("message") or "Unhandled error"
        source = context.get("task") or context.get("future") or context.get("component")
        if isinstance(source, asyncio.Task):
            message = f"{message} (task {source.get_name()!r})"
        error = context.get("exception") or UnhandledError(message)
        if self._on_exception == "stop" or not isinstance(error, Exception):
            self.fail(message, error)
        elif self._on_exception == "continue":
            report_error(message, error)
        else:
            try:
                self._on_exception(error, context)
            except BaseException as raised:
                self.fail(f"on_exception did not handle: {message}", raised)

    async def run(self) -> None:
        """Run from the first start to the last finalizer; at most `GRACE` beyond the deadline."""
        # asyncio's own default executor cannot be waited for with a deadline on Python 3.11.
        executor = ThreadPoolExecutor(thread_name_prefix="asyncio")
        self._loop.set_default_executor(executor)
        for part in self._parts:
            if self._stopping.is_set():
                break
            await self._start(part)
        await self._stopping.wait()
        for part in reversed([part for part in self._parts if part.started]):
            await self._stop(part)
        await self._end_tasks()
        for finalizer in self._finalizers:
            await self._finalize(finalizer)
        await self._end_tasks()
        await self._within(self._loop.shutdown_asyncgens(), "asynchronous generators")
        await self._within(self._join(executor), "threads of the default executor")
        self._loop.set_default_executor(ThreadPoolExecutor())
        for task, error in unretrieved_failures(self._loop):
            message = "Task exception was never retrieved"
            context = {"message": message, "exception": error, "task": task}
            self.handle_exception(self._loop, context)

    async def _start(self, part: Part) -> None:
        starting = self._loop.create_task(part.start(), name=f"{part.name} start")
        stopping = self._loop.create_task(self._stopping.wait(), name="stop requested")
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
            await asyncio.wait([starting], timeout=self._patience())
        if not starting.done():
            self._fail_late(f"the start of {part.name}", {starting})
            self.abandoned.add(starting)
        elif starting.cancelled():
            if not self._stopping.is_set():
                cancelled = UnhandledError("its start was cancelled from inside")
                self.fail(f"{part.name} did not start", cancelled)
        elif (error := starting.exception()) is not None:
            self.fail(f"{part.name} did not start", error)
        else:
            part.started = True
            watcher = self._loop.create_task(self._watch(part), name=f"{part.name} watch")
            self._watchers.add(watcher)
            watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, part: Part) -> None:
        try:
            await part.wait()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.fail(f"{part.name} failed", error)
        self._running.discard(part)
        mains = [part for part in self._parts if isinstance(part, MainPart)]
        if self._running.isdisjoint(mains or self._parts):
            self.request_stop()

    async def _stop(self, part: Part) -> None:
        part.request_stop()
        stopping = self._loop.create_task(part.stop(), name=f"{part.name} stop")
        cutting = self._loop.create_task(self._cutting.wait(), name="cut requested")
        # A coroutine that was cancelled is cleaning up, which nothing but the deadline cuts.
        waited = [stopping, cutting] if isinstance(part, ComponentPart) else [stopping]
        # The stop has to be under way before it can be cut.
        await asyncio.sleep(0)
        in_time = self._remaining() > 0
        await asyncio.wait(waited, timeout=self._remaining(), return_when=asyncio.FIRST_COMPLETED)
        cut = cutting in waited and cutting.done()
        cutting.cancel()
        if not stopping.done():
            # One whose turn comes after the deadline is not to blame for that.
            if in_time and not cut:
                self._fail_late(part.name, self._others() - {stopping, cutting})
            if isinstance(part, ComponentPart):
                stopping.cancel()
            elif in_time:
                part.request_stop()
            await asyncio.wait([stopping], timeout=self._patience())
        if stopping.done() and not stopping.cancelled() and (error := stopping.exception()):
            self.fail(f"{part.name} did not stop cleanly", error)

    async def _end_tasks(self) -> None:
        """Cancel what is left, and name what does not end."""
        left = self._others()
        if not left:
            return
        for task in left:
            task.cancel()
        _, pending = await asyncio.wait(left, timeout=self._patience())
        if pending:
            self._fail_late(f"{len(pending)} cancelled task(s)", pending)
            self.abandoned |= pending

    async def _finalize(self, finalizer: Callable[[], object]) -> None:
        name = getattr(finalizer, "__name__", repr(finalizer))
        try:
            result = finalizer()
        except BaseException as error:
            self.fail(f"finalizer {name} failed", error)
            return
        if inspect.isawaitable(result):
            await self._within(result, f"finalizer {name}")

    async def _within(self, awaitable: Any, name: str) -> None:
        """Wait for `awaitable`, as long as there is time, in a task that cannot hurt this one."""

        async def wait() -> None:
            await awaitable

        task = self._loop.create_task(wait(), name=name)
        await asyncio.wait([task], timeout=self._patience())
        late = not task.done()
        if late:
            self._fail_late(name, {task})
            task.cancel()
            await asyncio.wait([task], timeout=self._patience())
        if not task.done():
            self.abandoned.add(task)
        elif not task.cancelled():
            if (error := task.exception()) is not None:
                self.fail(f"{name} failed", error)
        elif not late:
            self.fail(f"{name} failed", UnhandledError("it was cancelled from inside"))

    async def _join(self, executor: ThreadPoolExecutor) -> None:
        joined = asyncio.Event()

        def join() -> None:
            executor.shutdown(cancel_futures=True)
            # The event loop may be closed by the time that a late thread ends.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(joined.set)

        threading.Thread(target=join, name="join executor", daemon=True).start()
        await joined.wait()

    async def _reload(self, on_reload: Callable[[], object]) -> None:
        try:
            while True:
                self._reload_again = False
                result = on_reload()
                if inspect.isawaitable(result):
                    await result
                if not self._reload_again:
                    return
        except Exception as error:
            self._loop.call_exception_handler({"message": "reload failed", "exception": error})
        finally:
            self._reloading = None

    def _fail_late(self, name: str, tasks: set[asyncio.Task[Any]]) -> None:
        self.fail(
            f"{name} did not end in time; still running:\n{describe_tasks(tasks)}",
            ShutdownTimeout(f"{name} did not end within {self._shutdown_timeout} s"),
        )

    def _others(self) -> set[asyncio.Task[Any]]:
        return asyncio.all_tasks() - self._watchers - self.abandoned - {asyncio.current_task()}

    def _remaining(self) -> float:
        return max(self._deadline - self._loop.time(), 0.0)

    def _patience(self) -> float:
        """How long to wait for what ends by itself, or was cut, without taking all from others."""
        grace_left = max(self._deadline + GRACE - self._loop.time(), 0.0) / 2
        return max(self._remaining(), grace_left)
