"""How late the event loop is: what keeps it from its work keeps all components from theirs."""

import asyncio
import weakref

from gestalt.core.metrics import Histogram, register

INTERVAL = 1.0
"""How often it is looked at, in seconds."""

_watches: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch]"
_watches = weakref.WeakKeyDictionary()
_lag: list[Histogram] = []


class _Watch:
    """Looks at the lag of one event loop, by one timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lag: Histogram) -> None:
        # The loop holds this by its timer; it is to be forgotten when the loop is.
        self._loop = weakref.ref(loop)
        self._lag = lag
        self._due = 0.0
        self._set()

    def _look(self) -> None:
        loop = self._loop()
        if loop is not None:  # pragma: no branch - the loop is collected before its timer
            self._lag.record(max(0.0, loop.time() - self._due))
            self._set()

    def _set(self) -> None:
        loop = self._loop()
        if loop is not None:  # pragma: no branch - for type checkers
            self._due = loop.time() + INTERVAL
            loop.call_at(self._due, self._look)


def watch_lag() -> Histogram:
    """Note once a second how late the running event loop is; an exporter does so by itself.

    Returns:
        The histogram, `gestalt_process_loop_lag_seconds`; one for all event loops of the process.

    Raises:
        RuntimeError: no event loop runs in this thread.
    """
    loop = asyncio.get_running_loop()
    if not _lag:
        text = "How late the event loop is, looked at once a second."
        _lag.append(register(Histogram("loop_lag", help=text, subsystem="process")))
    if loop not in _watches:
        _watches[loop] = _Watch(loop, _lag[0])
    return _lag[0]
