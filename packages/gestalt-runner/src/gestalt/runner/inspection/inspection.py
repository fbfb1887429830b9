"""A view into a running application, by a unix socket: what it is made of, and what it does."""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from gestalt.core import Component
from gestalt.core.calling import RAISED, is_awaitable
from gestalt.runner.attendants import Attendant, View
from gestalt.runner.errors import InspectionError
from gestalt.runner.page import own_page

from . import places
from .logs import LogTail
from .present import present
from .process import WORKER, command, process
from .sampling import INTERVAL, Sampler
from .server import Server

logger = logging.getLogger("gestalt.runner")

VERSION = 1
"""Of what requests and answers look like."""

PATIENCE = 0.3
"""How long the event loop may take to begin a snapshot, in seconds; then it counts as blocked."""

LOOP_PATIENCE = 1.0
"""How long it may take to begin any other answer: there is nothing to say in its place."""

ASYNC_PATIENCE = 10.0
"""How long an async answer may take, in seconds."""

WATCHED = 5.0
"""For how long after the last snapshot somebody counts as watching, in seconds."""

Answer: TypeAlias = Callable[[dict[str, Any]], object]


class Inspection(Attendant):
    """Answers what people and probes ask about an application, at a unix socket.

    The socket is for the user of the process alone. It answers in a thread of its own, so that it
    has something to say while the event loop is blocked, too. Nothing is done, and nothing is
    counted, before somebody asks. Where it cannot be had, such as on Windows, a line of the log
    says why, and the application runs without it.

    A request is a line of JSON with `ask`, the name of what is asked for; its answer is a line of
    JSON with `answer` or `error`. `snapshot`, `stacks`, `logs`, `application` and `metrics`, the
    page for Prometheus, are always there.

    Args:
        public: whether there is a socket.
        connection: one that whoever has started the process asks on.
        metrics: makes the page; by default that of this process.

    Attributes:
        path: where the socket is; None while there is none.
        view: the application; None before it begins.
    """

    def __init__(
        self,
        *,
        public: bool = True,
        connection: socket.socket | None = None,
        metrics: Callable[[], Awaitable[bytes]] = own_page,
    ) -> None:
        self.path: Path | None = None
        self._public = public
        self._connection = connection
        self._metrics = metrics
        self._in_loop: dict[str, Answer] = {"snapshot": self._snapshot, "metrics": self._page}
        self._anywhere: dict[str, Answer] = {
            "application": self._application,
            "stacks": self._stacks,
            "logs": self._logs,
        }
        self.view: View | None = None
        self._loop: asyncio.AbstractEventLoop
        self._loop_thread = 0
        self._pid = 0
        self._began = 0.0
        self._server: Server | None = None
        self._sampler: Sampler
        self._log_tail = LogTail()
        self._waiting: dict[Future[object], _Waiting] = {}
        # The last snapshot, when it was taken, and when one was last asked for.
        self._last: dict[str, Any] = {
            "components": [],
            "components_total": 0,
            "measured": [],
            "tasks": [],
            "tasks_total": 0,
        }
        self._take: Callable[[], dict[str, Any]] | None = None
        self._taken = self._asked = 0.0
        self._lag: float | None = None
        # How much processor time the last snapshot took in the event loop, in seconds.
        self._cost = 0.0
        # Since when the event loop has not taken up what it was asked.
        self._unheard: float | None = None

    def answer(self, name: str, function: Answer, *, anywhere: bool = False) -> None:
        """Have requests for `name` answered by a function.

        Args:
            name: what is asked for.
            function: called with the request; what it returns, or what that comes to when it is
                awaited, is the answer, of types that JSON has. An exception becomes an error whose
                text is told.
            anywhere: it may be called outside the event loop, and is, in the thread of the socket:
                it answers while the event loop is blocked, and must not wait.

        Raises:
            ValueError: there is an answer of that name already.
        """
        if name in self._in_loop or name in self._anywhere:
            raise ValueError(f"inspection answers {name!r} already")
        (self._anywhere if anywhere else self._in_loop)[name] = function

    # What an application tells its attendants

    async def begin(self, view: View) -> None:
        self.view = view
        self._loop = view.loop
        self._loop_thread = threading.get_ident()
        self._pid = os.getpid()
        self._began = time.monotonic()
        self._sampler = Sampler(view.loop, self._loop_thread)
        listener = self._listen() if self._public else None
        connection, self._connection = self._connection, None
        if listener is None and connection is None:
            return
        self._server = Server(listener, self, _is_allowed, connection)
        self._server.start()
        present.add(self)

    async def end(self) -> None:
        present.discard(self)
        server, self._server = self._server, None
        # A child that was forked has neither the thread nor the right to remove the socket.
        if server is None or os.getpid() != self._pid:
            return
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self.path = None
        if server.pause(0.2):  # pragma: no branch - its thread is busy
            server.close()
        self._log_tail.detach()

    def before_fork(self) -> None:
        """End the thread: a child of a process with several threads may hang at their locks."""
        if self._server is not None:  # pragma: no branch - for type checkers
            self._server.pause(1.0)

    def after_fork(self) -> None:
        """Go on, in the parent."""
        if self._server is not None:  # pragma: no branch - for type checkers
            self._server.start()

    def in_child(self) -> None:
        """Forget the socket, which is the parent's."""
        server, self._server, self.path = self._server, None, None
        if server is not None:  # pragma: no branch - for type checkers
            server.forget()

    def _listen(self) -> socket.socket | None:
        if not places.supported():
            logger.info("No inspection: this system has no unix sockets")
            return None
        try:
            folder = places.make_folder()
            places.clean(folder)
            listener, self.path = places.listen(folder)
        except (InspectionError, OSError) as error:
            logger.warning("No inspection: %s", error)
            return None
        return listener

    # What the server asks, in its thread

    def ask(self, request: dict[str, Any]) -> "Future[object]":
        """Begin to answer a request."""
        future: Future[object] = Future()
        name = request.get("ask")
        name = name if isinstance(name, str) else ""
        if (function := self._anywhere.get(name)) is not None:
            _settle(future, partial(function, request))
        elif (function := self._in_loop.get(name)) is not None:
            now = time.monotonic()
            if name == "snapshot":
                self._asked = now
                self._prepare()
            self._waiting[future] = _Waiting(name, now)
            try:
                self._loop.call_soon_threadsafe(self._begin_answer, future, function, request)
            except RuntimeError:  # pragma: no cover - the loop is closed while it is asked
                del self._waiting[future]
                future.set_exception(InspectionError("the application has ended"))
            if self._unheard is None:
                self._unheard = now
        else:
            known = ", ".join(sorted([*self._anywhere, *self._in_loop]))
            future.set_exception(InspectionError(f"there is no such answer; there are: {known}"))
        return future

    def _prepare(self) -> None:
        if self._take is None:
            # Most applications are never asked: what it takes is imported only here.
            from .snapshot import Snapshots

            self._take = Snapshots(self._loop, self._of_others).take

    def _of_others(self) -> list[Component]:
        """The parts of other applications of this process."""
        views = [each.view for each in list(present) if each is not self]
        return [part for view in views if view is not None for part in view.components]

    def overdue(self) -> float | None:
        """Look what the event loop does, and give up what it does not answer."""
        now = time.monotonic()
        for future, waiting in list(self._waiting.items()):
            if future.done():
                self._waiting.pop(future, None)
            elif now - waiting.since > waiting.patience():
                del self._waiting[future]
                _settle(future, partial(self._late, waiting))
        if self._log_tail.attached:
            self._log_tail.detach_if_unread(now)
        if self._waiting or now - self._asked < WATCHED:
            self._sampler.look()
            return INTERVAL
        return None

    def _begin_answer(
        self, future: "Future[object]", function: Answer, request: dict[str, Any]
    ) -> None:
        """Answer within the event loop."""
        self._unheard = None
        waiting = self._waiting.get(future)
        if waiting is None:
            # It was given up.
            return
        waiting.begun = True
        self._lag = time.monotonic() - waiting.since
        try:
            result = function(request)
        except RAISED as error:
            _fail(future, error)
            return
        if not is_awaitable(result):
            _succeed(future, result)
            return

        async def finish() -> None:
            try:
                _succeed(future, await result)
            except RAISED as error:
                _fail(future, error)

        if self.view is not None:  # pragma: no branch - for type checkers
            self.view.attend(finish(), f"inspection {waiting.name}")

    def _late(self, waiting: "_Waiting") -> object:
        """What to say in place of an answer that the event loop does not give."""
        seconds = time.monotonic() - waiting.since
        if waiting.begun:  # pragma: no cover - an answer that takes ten seconds
            raise InspectionError(f"{waiting.name} was not answered within {seconds:.0f} s")
        if waiting.name != "snapshot":
            raise InspectionError(
                f"the event loop did not answer within {waiting.patience():g} s: it is blocked by "
                f"{self._sampler.holder() or 'nothing that is known'}"
            )
        return self._around(blocked=True)  # pragma: no cover - what is blocked is killed, unwritten

    # The answers

    def _snapshot(self, _request: dict[str, Any]) -> Callable[[], object]:
        began = time.thread_time()
        if self._take is not None:  # pragma: no branch - for type checkers
            self._last = self._take()
        self._cost = time.thread_time() - began
        self._taken = time.monotonic()
        # What is asked of the system is asked in the thread.
        return partial(self._around, blocked=False)

    def _around(self, *, blocked: bool) -> dict[str, Any]:
        """The last snapshot of the event loop, and what can be told without that."""
        return {
            "version": VERSION,
            "time": time.time(),
            # To make it JSON takes as long again as to take it.
            "cost": 2 * self._cost,
            "age": time.monotonic() - self._taken if self._taken else None,
            "application": self._application({}),
            "process": process(),
            "loop": {
                "kind": type(self._loop).__module__.partition(".")[0],
                "debug": self._loop.get_debug(),
                "lag": self._lag,
                "blocked": self._holding() if blocked else None,
                **self._sampler.take(),
            },
            **self._last,
        }

    def _holding(self) -> dict[str, Any]:  # pragma: no cover - what is blocked is killed, unwritten
        """Who holds the event loop, for how long at least, and where that is."""
        from .stacks import thread_stack

        return {
            "name": self._sampler.holder(),
            "seconds": time.monotonic() - (self._unheard or time.monotonic()),
            "stack": thread_stack(self._loop_thread),
        }

    def _application(self, _request: dict[str, Any]) -> dict[str, Any]:
        view = self.view
        return {
            "pid": self._pid,
            "command": command(),
            "worker": os.environ.get(WORKER),
            "state": view.state if view is not None else "starting",
            "parts": [each.name for each in view.components] if view is not None else [],
            "errors": len(view.errors) if view is not None else 0,
            "uptime": time.monotonic() - self._began,
        }

    async def _page(self, _request: dict[str, Any]) -> str:
        return (await self._metrics()).decode()

    def _stacks(self, _request: dict[str, Any]) -> dict[str, Any]:
        from .stacks import stacks

        return {
            "application": self._application({}),
            "loop": {"holder": self._sampler.holder(), "lag": self._lag},
            **stacks(self._loop, self._loop_thread),
        }

    def _logs(self, request: dict[str, Any]) -> dict[str, Any]:
        after = request.get("after", 0)
        return self._log_tail.read(after if isinstance(after, int) else 0)


class _Waiting:
    """A request that the event loop is to answer.

    Attributes:
        name: what is asked for.
        since: when it was asked for.
        begun: the event loop has taken it up.
    """

    def __init__(self, name: str, since: float) -> None:
        self.name = name
        self.since = since
        self.begun = False

    def patience(self) -> float:
        """How long it may take from `since` on, in seconds."""
        if self.begun:
            return ASYNC_PATIENCE
        return PATIENCE if self.name == "snapshot" else LOOP_PATIENCE


def _is_allowed(uid: int | None) -> bool:
    """Whether the process of a user may ask; where that is not known, the modes of files decide."""
    return uid in (None, 0, os.geteuid())


def _settle(future: "Future[object]", function: Callable[[], object]) -> None:
    """Answer by what a function returns or raises."""
    try:
        _succeed(future, function())
    except RAISED as error:
        _fail(future, error)


def _succeed(future: "Future[object]", result: object) -> None:
    with contextlib.suppress(InvalidStateError):
        future.set_result(result)


def _fail(future: "Future[object]", error: BaseException) -> None:
    with contextlib.suppress(InvalidStateError):
        future.set_exception(error)
