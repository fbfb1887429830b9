"""What ties a process to the one that started it: a pipe, on which that asks it to stop.

Signals count: the second cuts what drains, the third ends at once. A process whose terminal has
sent it one already must not get a second one from its parent. What the pipe says may be said
again, and its end, also by the death of the parent, stops the process gracefully.
"""

import os

from .attendants import Attendant, View

VARIABLE = "GESTALT_LIFELINE"
"""The environment variable that tells a process the descriptor of its lifeline."""

STOP, CUT = b"s", b"c"


class Lifeline(Attendant):
    """The end of the child: it stops the application when the parent says so, or is gone.

    Args:
        descriptor: where it is read; it is open as long as the process lives.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._view: View | None = None

    async def begin(self, view: View) -> None:
        """Begin to listen."""
        os.set_blocking(self._descriptor, False)
        self._view = view
        view.loop.add_reader(self._descriptor, self._read, view)

    async def end(self) -> None:
        """Listen no longer."""
        if self._view is not None:
            self._view.loop.remove_reader(self._descriptor)

    def _read(self, view: View) -> None:
        try:
            said = os.read(self._descriptor, 64)
        except BlockingIOError:
            return
        if not said:
            view.loop.remove_reader(self._descriptor)
        if CUT in said:
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
