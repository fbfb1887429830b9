"""Runs the handlers of requests: many that do not wait in one task, each that waits in its own."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

from gestalt.amq.link.consumer import Receiver
from gestalt.amq.link.in_flight import InFlight
from gestalt.amq.link.interface import Channel
from gestalt.amq.link.spawn import Spawn
from gestalt.amq.wire import Delivery
from gestalt.core.calling import own_task
from gestalt.core.leftovers import are_different, is_left_behind

from .work import Work

# How long handlers may follow one another without giving way to the event loop, in seconds.
TURN = 0.005


class Runner:
    """A task that runs handlers.

    Attributes:
        work: what it works on.
        task: it; None until it has begun, which is at once on Python 3.12 and later.
    """

    __slots__ = ("task", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.task: asyncio.Task[Any] | None = None


class Runners:
    """Begins what was delivered, in its order, as far as it may run at once.

    A task of its own for each request would cost as much as all the rest of it. So a runner goes on
    with the next one, unless its handler has waited: then that has the task to itself, and another
    runner goes on. A handler that leaves something in it, such as a changed
    context, has no other after it, either.

    Args:
        backlog: what was delivered and not begun, each with the channel that it came by.
        concurrency: how many asynchronous handlers run at once.
        ready: whether anything is to be begun now.
        begin: begins a request, at a time by the loop's clock; gives what is to be finished in a
            task, if anything is.
        finish: finishes that, and gives the request its outcome.
        cancelled: gives its outcome to a request whose task never ran.
        spawn: makes a task.
        name: how tasks are called, up to the request.

    Attributes:
        running: what asynchronous handlers work on.
    """

    def __init__(
        self,
        backlog: deque[tuple[Receiver, Delivery]],
        concurrency: int,
        *,
        ready: Callable[[], bool],
        begin: Callable[[Receiver, Delivery, float], tuple[Work, Any] | None],
        finish: Callable[[Work, Any], Coroutine[Any, Any, None]],
        cancelled: Callable[[Work], None],
        spawn: Spawn,
        name: str,
    ) -> None:
        self.running: set[Work] = set()
        self._backlog = backlog
        self._concurrency = concurrency
        self._ready = ready
        self._begin = begin
        self._finish = finish
        self._cancelled = cancelled
        self._spawn = spawn
        self._name = name
        self._deadlines = InFlight(self._expire)
        self._idle = asyncio.Event()
        # In which each request is begun, whoever has happened to cause that.
        self._context = Context()
        self._scheduled = False
        self._until = 0.0
        # By which it came that something is to be begun.
        self._channel: Channel | None = None
        # Has begun a handler, of which is not known whether it waits.
        self._current: Runner | None = None
        # Whether the last one waited: then the next is not expected to leave its task to others.
        self._waits = False

    def start(self) -> None:
        """Begin anew, in the event loop that runs now."""
        self._backlog.clear()
        self._idle = asyncio.Event()
        self._context = copy_context()
        self._scheduled = False
        self._current = None

    def stop(self) -> None:
        """Begin nothing that was delivered, and end none of them at its deadline any more."""
        self._backlog.clear()
        self._deadlines.stop()

    async def wait_idle(self) -> None:
        """Wait until no asynchronous handler runs."""
        while self.running:
            self._idle.clear()
            await self._idle.wait()

    def find(self, correlation_id: str | None) -> Work | None:
        """What is worked on under a correlation id; nothing is by none."""
        if correlation_id is None:
            return None  # pragma: no cover - asked by who is no requester
        return next((work for work in self.running if work.correlation_id == correlation_id), None)

    def cancel(self, correlation_id: str | None) -> bool:
        """Cancel the handler of a request; False when there is none."""
        work = self.find(correlation_id)
        if work is None or work.task is None:
            return False
        work.cancelled = True
        work.task.cancel()
        return True

    def resume(self, receiver: Receiver, delivery: Delivery) -> bool:
        """Whether a redelivered request is worked on here, and goes on by its new delivery."""
        for work in self.running:
            # Ids are the callers' to choose, and other callers' may be the same, or none.
            if work.receiver.channel.closed.done() and _equal(work.delivery, delivery):
                work.receiver, work.delivery = receiver, delivery
                return True
        return False

    def end_streams(self) -> None:
        """Abandon what streams to its caller: with the connection, replies and credit were lost."""
        for work in self.running:
            if work.streams and work.task is not None and work.receiver.channel.closed.done():
                work.task.cancel()

    def schedule(self, channel: Channel) -> None:
        """Begin what was delivered, at the end of the turn in which that came."""
        if not self._scheduled:
            self._scheduled = True
            self._channel = channel
            channel.before_flush(self._turn)

    def _turn(self) -> None:
        if self._current is not None:
            self._note_waiting(self._current)
        # Also where what ends the event loop is raised: it may go on.
        go_on = True
        try:
            go_on = self._ready() and self._begin_some()
        finally:
            # What ended meanwhile did not schedule: that would have been within this turn.
            self._scheduled = go_on
            if go_on and self._channel is not None:
                self._channel.in_next_turn(self._turn)

    def _begin_some(self) -> bool:
        """Begin what may run in this turn; whether more is to be begun in the next."""
        clock = asyncio.get_running_loop().time
        now = clock()
        self._until = now + TURN
        go_on = False
        context = self._context.copy()
        while self._backlog and len(self.running) < self._concurrency:
            begun = context.run(self._begin, *self._backlog.popleft(), now)
            if begun is not None and not context.run(self._start, *begun):
                # It runs in the next turn. Unless it waits, it goes on with all others.
                go_on = True
                if not self._waits:
                    break
            if are_different(context, self._context):
                context = self._context.copy()
            now = clock()
            if now > self._until:
                return True
        return go_on

    def _start(self, work: Work, result: Any) -> bool:
        """Run it in a task of its own; whether that has begun."""
        runner = Runner(work)
        self.running.add(work)
        # Whose it is, is said when one waits: until then it is one after the other.
        task = work.task = self._spawn(self._run(runner, result), name="requests", eager=True)
        if not task.done():  # pragma: no branch - Python 3.12
            task.add_done_callback(lambda _: self._ended(runner, result))
            if self._current is runner:  # pragma: no cover - Python 3.12
                self._note_waiting(runner)
        return runner.task is not None

    def _note_waiting(self, runner: Runner) -> None:
        self._current = None
        self._waits = True
        if runner.task is not None:  # pragma: no branch - for type checkers
            runner.task.set_name(f"{self._name} request {runner.work.correlation_id}")

    async def _run(self, runner: Runner, result: Any) -> None:
        task = own_task()
        runner.task = task
        if self._current is not None:
            self._note_waiting(self._current)
        self._current = runner
        # Not what it begins with: a handler may have changed that before it gave what to await.
        context, name = self._context, task.get_name()
        following: tuple[Work, Any] | None = runner.work, result
        try:
            while following is not None:
                work, result = following
                runner.work = work
                work.task = task
                self.running.add(work)
                self._deadlines.add(task, work.deadline)
                await self._finish(work, result)
                self.running.discard(work)
                if self._current is not runner or is_left_behind(task, context, name):
                    return
                following = self._next(task, context, name)
        finally:
            self.running.discard(runner.work)
            self._deadlines.remove(task)
            if self._current is runner:
                self._current = None
                self._waits = False
            self._done()

    def _next(
        self, task: asyncio.Task[Any], context: Context, name: str
    ) -> tuple[Work, Any] | None:
        """The next asynchronous handler that may run in the same task, and finds it as it was."""
        clock = task.get_loop().time
        while self._backlog and len(self.running) < self._concurrency:
            now = clock()
            if now > self._until:
                return None
            begun = self._begin(*self._backlog.popleft(), now)
            if begun is not None:
                return begun
            if is_left_behind(task, context, name):  # pragma: no cover - left by a plain function
                return None
        return None

    def _ended(self, runner: Runner, result: Any) -> None:  # pragma: no cover - it never ran
        if runner.task is not None:
            return
        # A task that is cancelled before its first step runs nothing of itself.
        work = runner.work
        self.running.discard(work)
        if isinstance(result, Coroutine):
            result.close()
        self._cancelled(work)
        self._done()

    def _done(self) -> None:
        if self._backlog and self._channel is not None:
            self.schedule(self._channel)
        if not self.running:
            self._idle.set()

    def _expire(self, task: asyncio.Future[Any]) -> None:
        for work in self.running:
            if work.task is task:
                work.late = True
                task.cancel()


def _equal(one: Delivery, other: Delivery) -> bool:
    return (
        one.properties.correlation_id == other.properties.correlation_id
        and one.properties.reply_to == other.properties.reply_to
        and one.body == other.body
    )
