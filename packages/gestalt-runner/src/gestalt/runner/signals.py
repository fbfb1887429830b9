"""Signals of the operating system, for as long as the application runs."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_HELD_BACK = {signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)}


class Signals:
    """Handlers for SIGINT, SIGTERM and SIGHUP; those that were there come back at the end.

    The handlers are Python's own, not the event loop's: they work on every platform, and the
    third signal ends the process even while the event loop is blocked.

    A forked child has the handlers that were there before, as if the application did not run.

    Off the main thread, where Python allows no handlers, none are installed.

    Args:
        loop: where the callbacks run.
        stop: called for the first SIGINT or SIGTERM.
        cut: called for the second. The third ends the process at once.
        reload: called for SIGHUP. Where that comes because the terminal was closed, which is what
            its name says, it is a signal to stop, unless the process was told to ignore it (nohup).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        stop: Callable[[], None],
        cut: Callable[[], None],
        reload: Callable[[], None],
    ) -> None:
        self.received: signal.Signals | None = None
        self._loop = loop
        # One signal may interrupt the handler of another: each takes its step in one go.
        self._steps = iter([stop, cut])
        self._reload = reload
        self._in_terminal = False
        self._previous: dict[signal.Signals, Any] = {}
        # By these a signal wakes the event loop; which descriptor did so before.
        self._wakers: tuple[socket.socket, ...] = ()
        self._previous_waker = -1

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        _installed.append(self)
        for number in STOP_SIGNALS:
            self._previous[number] = signal.signal(number, self._on_stop_signal)
        if hasattr(signal, "SIGHUP"):  # pragma: no branch - Windows
            previous = signal.signal(signal.SIGHUP, self._on_reload_signal)
            if isinstance(previous, _EarlyHangup):
                if previous.came:
                    self._loop.call_soon(self._reload)
                previous = signal.SIG_DFL
            self._previous[signal.SIGHUP] = previous
            self._in_terminal = previous is not signal.SIG_IGN and _has_terminal()
        self._wake_loop()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            # None is a handler that was not installed from Python, and cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()
        if self._wakers:
            signal.set_wakeup_fd(self._previous_waker)
            self._close_wakers()
        if self in _installed:
            _installed.remove(self)

    def leave_to_child(self) -> None:
        """In a forked child: put back what was there before, but for what was replaced since."""
        ours = (self._on_stop_signal, self._on_reload_signal)
        for number, handler in self._previous.items():
            if signal.getsignal(number) in ours:  # pragma: no branch - a child, unwritten
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()
        self._close_wakers()

    def _wake_loop(self) -> None:
        """Have every signal wake the event loop.

        Python runs a handler before the next step of the main thread. That takes no step while it
        waits for input: a signal that comes in the instant before, or to another thread, would be
        heard of when something else comes, which may be never.
        """
        reader, writer = self._wakers = socket.socketpair()
        for each in self._wakers:
            each.setblocking(False)
        try:
            self._loop.add_reader(reader, self._woken, reader)
        except NotImplementedError:  # pragma: no cover - Windows
            # The event loop of Windows sees to that by itself.
            self._close_wakers()
            return
        self._previous_waker = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    @staticmethod
    def _woken(reader: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            reader.recv(4096)

    def _close_wakers(self) -> None:
        wakers, self._wakers = self._wakers, ()
        for each in wakers:
            each.close()

    def _on_stop_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)
        step = next(self._steps, None)
        if step is None:  # pragma: no cover - a signal ends it, unwritten
            for function in _before_death:
                function()
            die_by(number)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(step)

    def _on_reload_signal(self, number: int, frame: FrameType | None) -> None:
        if self._in_terminal and not _has_terminal():
            self._on_stop_signal(number, frame)
        elif not self._loop.is_closed():  # pragma: no branch - after the end of the loop
            self._loop.call_soon_threadsafe(self._reload)


def _has_terminal() -> bool:
    """Whether the process has a terminal that signals may come from, and that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


class _EarlyHangup:
    """The handler of SIGHUP before there is an application.

    Attributes:
        came: whether a reload was asked for, which the application then makes up for.
    """

    def __init__(self) -> None:
        self.came = False
        self._in_terminal = _has_terminal()

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self._in_terminal and not _has_terminal():
            die_by(number)  # pragma: no cover - a signal ends it, unwritten
        self.came = True


def survive_hangup() -> None:
    """Have SIGHUP end nothing from now on, and be a reload of the application that runs next.

    The end of the terminal still ends the process. Where SIGHUP has a handler, or is ignored, that
    stays so.
    """
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _EarlyHangup())


_before_death: list[Callable[[], object]] = []


def before_death(function: Callable[[], object]) -> Callable[[], object]:
    """Have a function called when the third signal is about to end this process at once.

    It is called in the signal's handler, and must neither wait nor raise.
    """
    _before_death.append(function)
    return function


def hold_back(loop: asyncio.AbstractEventLoop) -> None:
    """Have a process that is started in this turn of the event loop begin with SIGINT and SIGHUP
    held back.

    A terminal sends SIGINT to all processes, and Python would tell by a traceback that it came
    before there is a command; SIGHUP, which asks for a reload, would end it. The process calls
    `let_through` as soon as there is a command.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    if not mask.issuperset(_HELD_BACK):
        loop.call_soon(let_through)


def let_through() -> None:
    """Take SIGINT and SIGHUP, also those that were held back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)


def die_by(number: int) -> NoReturn:  # pragma: no cover - a signal ends it, unwritten
    """End the process at once, by the default action of a signal."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    # The kernel spares process 1, the first one of a container, the default action.
    os._exit(128 + number)


# Between its fork and the hook below, a child has the handlers of the application. A signal that
# comes then, as from the terminate() of a pool, waits until it has its own.
_installed: list[Signals] = []
_forking = threading.local()


def _before_fork() -> None:
    if _installed:  # pragma: no branch - before there is an application
        blocked = (*STOP_SIGNALS, signal.SIGHUP)
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)


def _after_fork_in_parent() -> None:
    mask = _forking.__dict__.pop("mask", None)
    if mask is not None:  # pragma: no branch - before there is an application
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_fork_in_child() -> None:
    if _installed:
        for signals in _installed:
            signals.leave_to_child()
        _installed.clear()
        # What wakes the event loop of the parent is not for the signals of the child.
        signal.set_wakeup_fd(-1)
    elif isinstance(signal.getsignal(signal.SIGHUP), _EarlyHangup):  # pragma: no cover - at import
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    _after_fork_in_parent()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
