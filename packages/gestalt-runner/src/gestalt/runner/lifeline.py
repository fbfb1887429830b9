"""What ties a process to the one that started it: a pipe, on which that asks it to stop.

Signals count: the second cuts what drains, the third ends at once. A process whose terminal has
sent it one already must not get a second one from its parent. What the pipe says may be said
again, and its end, also by the death of the parent, stops the process gracefully.
"""

import contextlib
import os
import signal
import threading
import time

from .attendants import Attendant, View

VARIABLE = "GESTALT_LIFELINE"
"""The environment variable that tells a process the descriptor of its lifeline."""

STOP, CUT = b"s", b"c"


class Lifeline(Attendant):
    """The end of the child: it stops the application when the parent says so, or is gone.

    A thread listens, so that a process whose event loop is blocked does not outlive the parent,
    either. Before the application begins, it is stopped by SIGTERM, as by its user at that time.

    Args:
        descriptor: where it is read; it is open as long as the process lives.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._view: View | None = None
        self._begun = self._asked = self._cut = False
        self._lock = threading.Lock()

    def listen(self, patience: float) -> None:
        """Begin to listen.

        Args:
            patience: how long the process may live when the parent is gone, in seconds; when what
                drains was to be cut before, it is killed at once.
        """
        threading.Thread(
            target=self._listen, args=(patience,), name="lifeline", daemon=True
        ).start()

    async def begin(self, view: View) -> None:
        """Pass on what the parent says, also what it has said before."""
        with self._lock:
            self._view = view
            self._begun = True
        if self._asked:
            self._pass_on(view)  # pragma: no cover - the parent asks before it begins

    async def end(self) -> None:
        """Pass on nothing any more."""
        with self._lock:
            self._view = None

    def _listen(self, patience: float) -> None:
        while said := os.read(self._descriptor, 64):
            self._cut = self._cut or CUT in said
            self._ask()
        self._ask()
        time.sleep(0.0 if self._cut else patience)
        os.kill(os.getpid(), signal.SIGKILL)  # pragma: no cover - a signal ends it, unwritten

    def _ask(self) -> None:
        with self._lock:
            self._asked = True
            if self._view is not None:
                # It is closed where the application has ended in the meantime.
                with contextlib.suppress(RuntimeError):
                    self._view.loop.call_soon_threadsafe(self._pass_on, self._view)
            elif not self._begun:
                # The application is being imported, which may hang, and nothing of it runs.
                os.kill(os.getpid(), signal.SIGTERM)

    def _pass_on(self, view: View) -> None:
        if self._cut:
            view.cut()
        else:
            view.request_stop()


def take_lifeline() -> Lifeline | None:
    """The lifeline that this process was started with; None when nobody holds one.

    The processes that it starts itself are not told of it.
    """
    text = os.environ.pop(VARIABLE, "")
    try:
        descriptor = int(text)
        os.set_inheritable(descriptor, False)
    except (ValueError, OSError):
        return None
    return Lifeline(descriptor)


def is_held() -> bool:
    """Whether this process was started by one that has a lifeline to it."""
    return VARIABLE in os.environ
