"""Signals of the operating system, for as long as the application runs."""

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Handlers for SIGINT, SIGTERM and SIGHUP; those that were there come back at the end.

    The handlers are Python's own, not the event loop's: they work on every platform, and the
    third signal ends the process even while the event loop is blocked.

    Off the main thread, where Python allows no handlers, none are installed.

    Args:
        loop: where the callbacks run.
        stop: called for the first SIGINT or SIGTERM.
        cut: called for the second. The third ends the process at once.
        reload: called for SIGHUP; None leaves SIGHUP as it is.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        stop: Callable[[], None],
        cut: Callable[[], None],
        reload: Callable[[], None] | None,
    ) -> None:
        self.received: signal.Signals | None = None
        self._loop = loop
        self._steps = [stop, cut]
        self._reload = reload
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in STOP_SIGNALS:
            self._previous[number] = signal.signal(number, self._on_stop_signal)
        if self._reload is not None and hasattr(signal, "SIGHUP"):
            self._previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._on_reload_signal)
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

    def _on_stop_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)
        if self._steps:
            self._loop.call_soon_threadsafe(self._steps.pop(0))
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _on_reload_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._reload is not None:
            self._loop.call_soon_threadsafe(self._reload)
