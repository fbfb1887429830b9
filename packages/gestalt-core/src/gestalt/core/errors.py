"""The errors of the core, and the root of all others.

GestaltError
├── StateError (RuntimeError)            a component is asked for what its state does not allow
│   └── WrongThread                      it is used from another thread than its event loop's
├── TooManyRestarts (RuntimeError)       a supervisor has given up
├── ExtraNotInstalled (ImportError)      an optional library is missing; the error names the extra
├── HandlerNotFound (LookupError)        no handler takes the message
├── Outcome                              raised by a handler, to decide about its message
│   ├── Park                             put it aside
│   ├── RetryLater                       handle it again after a while
│   └── Discard                          drop it
└── ReplyNotPossible (TypeError)         the message came from where nothing can be sent to

Every distribution keeps a small family of its own below GestaltError. Each error derives from the
standard exception that a caller would expect, too.
"""

from collections.abc import Sequence


class GestaltError(Exception):
    """The root of every error that Gestalt raises by itself."""


class StateError(GestaltError, RuntimeError):
    """A component was asked for something that its present state does not allow."""


class WrongThread(StateError):
    """Something was used from another thread than that of its event loop; nothing was done."""


class ReplyNotPossible(GestaltError, TypeError):
    """A message came from a source that cannot be answered."""


def one_of(message: str, errors: Sequence[BaseException]) -> BaseException:
    """The error that stands for several: the only one, or a group of them by this message."""
    return errors[0] if len(errors) == 1 else BaseExceptionGroup(message, errors)
