"""The errors of the runner.

GestaltError
├── UnhandledError (RuntimeError)        a problem that has no exception of its own
├── ShutdownTimeout (TimeoutError)       something did not end in the time that shutdown has
├── LoopNotAvailable (ImportError)       the event loop that was insisted on is not installed
├── CannotListen (OSError)               the health endpoint cannot have its address
├── WorkerDied (RuntimeError)            a worker did not start, ended unasked, or was killed
├── InspectionError (RuntimeError)       an application cannot be inspected, or gives no answer
└── OptionError (ValueError)             an option of a command is wrong, or said wrongly
"""

from gestalt.core import GestaltError


class UnhandledError(GestaltError, RuntimeError):
    """A problem without an exception: told by the event loop, or a cancellation from inside.

    It is reported, and is the cause of the SystemExit of `run`, or among its causes.
    """


class ShutdownTimeout(GestaltError, TimeoutError):
    """Something did not end in the time that shutdown has.

    It is reported, and is the cause of the SystemExit of `run`, or among its causes.
    """


class LoopNotAvailable(GestaltError, ImportError):
    """The event loop that was insisted on is not installed."""


class CannotListen(GestaltError, OSError):
    """The health endpoint cannot listen at its address, which the message names with the reason."""


class WorkerDied(GestaltError, RuntimeError):
    """A worker did not get ready, ended without having been asked to, or had to be killed.

    Attributes:
        status: of one that did not get ready: how it ended, negative for a signal.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class InspectionError(GestaltError, RuntimeError):
    """An application cannot be inspected, or does not answer."""


class OptionError(GestaltError, ValueError):
    """An option of a command is wrong; the message names where it was said."""
