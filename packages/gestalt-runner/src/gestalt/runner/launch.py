"""`run`: from a plain program into an event loop, and out of it with an exit status."""

import asyncio
import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from inspect import CORO_CREATED, getcoroutinestate, iscoroutine

from gestalt.core import StateError
from gestalt.core.errors import one_of
from gestalt.core.numbers import check_seconds, choice_of, kind_of

from .application import Application, OnException
from .attendants import Attendant, check_attendants
from .defaults import CLEAN_UP, SHUTDOWN_TIMEOUT
from .loops import Loop, fill_standard_descriptors, loop_factory
from .parts import Main, as_part
from .signals import Signals


def run(
    *mains: Main,
    finalize: Callable[[], object] | Sequence[Callable[[], object]] = (),
    on_exception: OnException = "stop",
    on_reload: Callable[[], object] | None = None,
    shutdown_timeout: float = SHUTDOWN_TIMEOUT,
    drain_delay: float = 0.0,
    attendants: Sequence[Attendant] = (),
    inspect: bool = False,
    loop: Loop = "auto",
    debug: bool | None = None,
    reraise_signals: bool = True,
) -> None:
    """Run an application until it ends, and leave with a status that tells how.

    The parts start in the order given and stop in reverse; a `Group` of `gestalt.core` is one part
    with a deadline of its own. The application ends when all its
    coroutines have returned; one that has components only, when all of them have stopped. It ends
    at once when a part fails, on an unhandled error in any task or callback, and on a signal.

    The first SIGINT or SIGTERM stops gracefully, the second cuts what drains, the third ends the
    process at once. Off the main thread there are no signals. Forked children have the signal
    handlers that were there before.

    Args:
        mains: components, coroutines and async functions without arguments, in any mixture; and
            functions without arguments that make a component, such as a `Group`, within the event
            loop. What a plain function returns starts before the next part does. What an async
            function returns starts then; those behind it do not wait for that.
        finalize: plain or async functions, called in this order when all parts have stopped. Each
            is called, whatever the others do.
        on_exception: what an unhandled error does: "stop" (reported, status 1), "continue"
            (logged), or a function of the exception and the event loop's context, which
            reports by itself; when it raises, the application stops. What an event loop tells of
            a single connection, such as an accept that the system refuses, is no such error: it
            is logged.
        on_reload: a plain or async function, called on SIGHUP. Without one, SIGHUP ends nothing
            either.
        shutdown_timeout: how long the stop may take, finalizers included, in seconds. It is one
            deadline for all: a component drains until then, if its own `stop_timeout` is not over
            sooner. What is left then is named in a warning and cut. What does not end even so, and
            a finalizer that has not finished, is an error. There is a second more for that, one
            for the finalizers, and one for what the event loop itself has to close.
        drain_delay: how long all parts go on after the first signal, in seconds, while readiness
            says already that the application stops: whoever sends it work may hear of that late.
            It is part of the time of the stop. The second signal ends it.
        attendants: what accompanies the application and is told of each step in its life, such as
            a probe or a watchdog: subclasses of `gestalt.runner.attendants.Attendant`.
        inspect: let `gestalt top`, `gestalt stacks` and the like look into the process, by a unix
            socket for its user alone.
        loop: "auto" takes uvloop when it is installed; "asyncio" and "uvloop" insist.
        debug: asyncio's debug mode; by default as PYTHONASYNCIODEBUG says.
        reraise_signals: after a stop by signal, raise it again for the handler that was there
            before: KeyboardInterrupt for SIGINT, death by SIGTERM. When false, return.

    Raises:
        SystemExit: 1 after any error, all of which are reported, with the error (or a group of
            them) as its cause; or as the application itself raised it; or 128 and the number of
            the signal, where the process is the first of a container, which no signal kills.
        KeyboardInterrupt: it was stopped by SIGINT.
        StateError: an event loop is running in this thread.
        LoopNotAvailable: uvloop was insisted on, and is not installed.
    """
    try:
        parts = [as_part(main) for main in mains]
        if not parts:
            raise TypeError("run() needs at least one component, coroutine or async function")
        seconds = check_seconds("shutdown_timeout", shutdown_timeout, finite=True)
        finalizers = _functions(finalize)
        _check_functions(on_exception, on_reload)
        company = check_attendants(attendants)
        if inspect:
            from .inspection import Inspection

            # The first to begin is the last to end.
            company.insert(0, Inspection())
        if _loop_runs():
            raise StateError("run() starts an event loop, and one is running in this thread")
        fill_standard_descriptors()
        with asyncio.Runner(debug=debug, loop_factory=loop_factory(loop)) as runner:
            event_loop = runner.get_loop()
            application = Application(
                event_loop,
                parts,
                attendants=company,
                finalizers=finalizers,
                on_exception=on_exception,
                on_reload=on_reload,
                shutdown_timeout=seconds,
                drain_delay=_drain_delay(drain_delay, seconds),
            )
            event_loop.set_exception_handler(application.handle_exception)
            with Signals(
                event_loop,
                stop=application.stop_by_signal,
                cut=application.cut,
                reload=application.reload,
            ) as signals:
                _run(event_loop, application)
                _close(runner, application)
    finally:
        for main in mains:
            # One that was never run is given up, so that nothing warns of it.
            if iscoroutine(main) and getcoroutinestate(main) == CORO_CREATED:
                main.close()
    _leave(application, signals.received if reraise_signals else None)


def _drain_delay(delay: object, shutdown_timeout: float) -> float:
    seconds = check_seconds("drain_delay", delay, finite=True)
    if seconds and seconds >= shutdown_timeout:
        raise ValueError(
            f"drain_delay is part of shutdown_timeout, which must be longer, got {seconds:g} of "
            f"{shutdown_timeout:g} s"
        )
    return seconds


def _functions(finalize: object) -> list[Callable[[], object]]:
    if callable(finalize):
        return [finalize]
    if not isinstance(finalize, Iterable):
        raise TypeError(f"finalize must be a function or several, got {kind_of(finalize)}")
    functions = list(finalize)
    for function in functions:
        if not callable(function):
            raise TypeError(f"finalize takes functions, got {kind_of(function)}")
    return functions


def _check_functions(on_exception: object, on_reload: object) -> None:
    if not (on_exception in ("stop", "continue") or callable(on_exception)):
        raise ValueError(
            f"on_exception must be 'stop', 'continue' or a function, got {choice_of(on_exception)}"
        )
    if not (on_reload is None or callable(on_reload)):
        raise TypeError(f"on_reload must be a function, got {kind_of(on_reload)}")


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
        raise SystemExit(1) from one_of("the application failed", application.errors)
    if application.leaving is not None:
        raise application.leaving
    if received is not None:
        if signal.getsignal(received) is signal.SIG_DFL:
            _clean_up(received)
        signal.raise_signal(received)
        if signal.getsignal(received) is signal.SIG_DFL:
            # The kernel spares process 1, the first one of a container, the default action.
            raise SystemExit(128 + received)  # pragma: no cover - process 1 of a container


def _clean_up(number: signal.Signals) -> None:
    """Do what the interpreter does at its end: death by a signal would leave that out.

    Temporary folders are removed then, and daemonic child processes ended. It has a time: a child
    that is waited for may never end.
    """

    def end() -> None:
        time.sleep(CLEAN_UP)
        os.kill(os.getpid(), number)  # pragma: no cover - a signal ends it, unwritten
        # The kernel spares process 1, the first one of a container, the default action.
        os._exit(128 + number)  # pragma: no cover - process 1 of a container

    threading.Thread(target=end, name="end of the clean-up", daemon=True).start()
    atexit._run_exitfuncs()  # noqa: SLF001 - nothing public does it
    for stream in (sys.stdout, sys.stderr):  # pragma: no cover - after what writes it
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
