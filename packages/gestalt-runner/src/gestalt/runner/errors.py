"""The errors of the runner.

GestaltError
├── UnhandledError (RuntimeError)        the event loop reported a problem that has no exception
├── ShutdownTimeout (TimeoutError)       something did not end in the time that shutdown has
└── LoopNotAvailable (ImportError)       the event loop that was insisted on is not installed
"""

from gestalt.core import GestaltError


class UnhandledError(GestaltError, RuntimeError):
    """The event loop reported a problem that has no exception of its own."""


class ShutdownTimeout(GestaltError, TimeoutError):  # noqa: N818 - reads as what happened
    """Something did not end in the time that shutdown has."""


class LoopNotAvailable(GestaltError, ImportError):  # noqa: N818 - reads as what happened
    """The event loop that was insisted on is not installed."""
