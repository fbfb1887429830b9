"""`run`: from a plain program into an event loop, and out of it with an exit status."""

import asyncio
import contextlib
import math
import signal
from collections.abc import Callable, Sequence

from gestalt.core import StateError

from .application import Application, OnException
from .loops import Loop, loop_factory
from .parts import Main, MainPart, as_part
from .signals import Signals


def run(
    *mains: Main,
    finalize: Callable[[], object] | Sequence[Callable[[], object]] = (),
    on_exception: OnException = "stop",
    on_reload: Callable[[], object] | None = None,
    shutdown_timeout: float = 10.0,
    loop: Loop = "auto",
    debug: bool | None = None,
    reraise_signals: bool = True,
) -> None:
    """Run an application until it ends, and leave with a status that tells how.

    The parts start in the order given and stop in reverse. The application ends when all its
    coroutines have returned; one that has components only, when all of them have stopped. It ends
    at once when a part fails, on an unhandled error in any task or callback, and on a signal.

    The first SIGINT or SIGTERM stops gracefully, the second cuts what drains, the third ends the
    process at once. Off the main thread there are no signals.

    Args:
        mains: components, coroutines and async functions without arguments, in any mixture.
        finalize: plain or async functions, called in this order when all parts have stopped. Each
            is called, whatever the others do.
        on_exception: what an unhandled error does: "stop" (reported, status 1), "continue"
            (reported), or a function of the exception and the event loop's context, which
            reports by itself; when it raises, the application stops.
        on_reload: a plain or async function, called on SIGHUP.
        shutdown_timeout: how long the stop may take, finalizers included, in seconds. What is
            left then is named in the report and cut; for all of that together there is one more
            second.
        loop: "auto" takes uvloop when it is installed; "asyncio" and "uvloop" insist.
        debug: asyncio's debug mode; by default as PYTHONASYNCIODEBUG says.
        reraise_signals: after a stop by signal, raise it again for the handler that was there
            before: KeyboardInterrupt for SIGINT, death by SIGTERM. When false, return.

    Raises:
        SystemExit: 1 after any error, all of which are reported, with the error (or a group of
            them) as its cause; or as the application itself raised it.
        KeyboardInterrupt: it was stopped by SIGINT.
        StateError: an event loop is running in this thread.
        LoopNotAvailable: uvloop was insisted on, and is not installed.
    """
    if not mains:
        raise TypeError("run() needs at least one component, coroutine or async function")
    if not 0 <= shutdown_timeout < math.inf:
        raise ValueError(f"shutdown_timeout must be finite and >= 0, got {shutdown_timeout}")
    if not (on_exception in ("stop", "continue") or callable(on_exception)):
        raise ValueError(
            f"on_exception must be 'stop', 'continue' or a function, got {on_exception!r}"
        )
    parts = [as_part(main) for main in mains]
    try:
        if _loop_runs():
            raise StateError("run() starts an event loop, and one is running in this thread")
        with asyncio.Runner(debug=debug, loop_factory=loop_factory(loop)) as runner:
            event_loop = runner.get_loop()
            application = Application(
                event_loop,
                parts,
                finalizers=[finalize] if callable(finalize) else list(finalize),
                on_exception=on_exception,
                on_reload=on_reload,
                shutdown_timeout=shutdown_timeout,
            )
            event_loop.set_exception_handler(application.handle_exception)
            with Signals(
                event_loop,
                stop=application.request_stop,
                cut=application.cut,
                reload=application.reload if on_reload is not None else None,
            ) as signals:
                _run(event_loop, application)
                _close(runner, application)
    finally:
        for part in parts:
            if isinstance(part, MainPart):
                part.discard()
    _leave(application, signals.received if reraise_signals else None)


def _run(event_loop: asyncio.AbstractEventLoop, application: Application) -> None:
    course = event_loop.create_task(application.run(), name="gestalt.runner")
    while not course.done():
        try:
            event_loop.run_until_complete(course)
        except (SystemExit, KeyboardInterrupt) as error:
            # Raised by some task, it stops the event loop itself; the shutdown goes on.
            application.fail("the application leaves", error)
    course.result()


def _close(runner: asyncio.Runner, application: Application) -> None:
    event_loop = runner.get_loop()
    left = asyncio.all_tasks(event_loop)
    if not left:
        runner.close()
        return
    application.abandoned |= left
    # The runner waits for tasks without end. When the event loop is stopped under it, it gives up
    # by a RuntimeError, and closes the event loop all the same.
    event_loop.call_soon(event_loop.stop)
    with contextlib.suppress(RuntimeError):
        runner.close()


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _leave(application: Application, received: signal.Signals | None) -> None:
    if application.errors:
        cause = application.errors[0]
        if len(application.errors) > 1:
            cause = BaseExceptionGroup("the application failed", application.errors)
        raise SystemExit(1) from cause
    if application.leaving is not None:
        raise application.leaving
    if received is not None:
        signal.raise_signal(received)
