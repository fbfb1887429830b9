"""What the log says of messages that failed."""

import logging
from typing import Protocol

from gestalt.amq.errors import AmqError
from gestalt.amq.headers import error_name, error_text
from gestalt.amq.message import describe_message
from gestalt.amq.wire import Delivery
from gestalt.core import Outcome

logger = logging.getLogger("gestalt.amq")

# How much of a reason a line of the log has, in characters.
LOGGED_REASON = 500


class Report(Protocol):
    """Tells of an error that the subscription survives."""

    def __call__(self, error: BaseException, message: str, *, level: int = ...) -> None: ...


class FailureLog:
    """Tells which message failed, why, and what becomes of it.

    Args:
        name: of the subscription.
        report: takes each line.
    """

    def __init__(self, name: str, report: Report) -> None:
        self._name = name
        self._report = report

    def failed(self, delivery: Delivery, error: BaseException, fate: str, level: int) -> None:
        """A message failed, and has a fate."""
        name, reason = error_name(error), error_text(error)
        if len(reason) > LOGGED_REASON:
            # A traceback has the whole text, which may be megabytes; or none can be had.
            reason = reason[:LOGGED_REASON]
            error = RuntimeError(f"{name}: {reason}...").with_traceback(error.__traceback__)
        elif isinstance(error, Outcome):
            # Where the handler has decided says nothing about a fault.
            error = error.with_traceback(None)
        self._report(
            error,
            f"{self._name}: {describe_message(delivery)} {fate}: {name}: {reason}",
            level=level,
        )

    def discarded(self, delivery: Delivery, error: BaseException) -> None:
        """A message was dropped as its handler has decided, which is no error."""
        if logger.isEnabledFor(logging.DEBUG):
            about = describe_message(delivery)
            logger.debug("%s: %s discarded: %s", self._name, about, error_text(error))

    def failed_together(self, count: int, error: BaseException) -> None:
        """So many messages failed together, and are handled one at a time."""
        self._report(
            error,
            f"{self._name}: a batch of {count} messages failed, and they are handled one at a "
            f"time: {error_name(error)}: {error_text(error)[:LOGGED_REASON]}",
            level=logging.WARNING,
        )

    def given_back(self, delivery: Delivery, queue: str, error: AmqError) -> None:
        """A message went back to its queue, since it could not be moved to another."""
        self._report(
            error,
            f"{self._name}: {describe_message(delivery)} given back to its queue: it could "
            f"not be moved to queue {queue!r} in time",
        )
