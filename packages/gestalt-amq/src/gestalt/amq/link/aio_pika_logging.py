"""Keeps what the client library logs of our connections from an application's log.

What it logs as warnings and errors, some with tracebacks, the bus tells by itself: as events, as
one line each, and by what it raises. The library's lines about connections that an application
makes with it, beside the bus, stay as they are.
"""

import contextvars
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from gestalt.core.calling import is_awaitable
from gestalt.core.telling import said_by

T = TypeVar("T")

_LOGGERS = (
    "aio_pika",
    "aio_pika.connection",
    "aio_pika.channel",
    "aiormq",
    "aiormq.connection",
    "aiormq.channel",
)
# Whether the present code is the library's, called by a link.
_ours: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "gestalt.amq.link.quiet", default=False
)


class _Demote(logging.Filter):
    """Turns the lines that a link has caused into ones for debugging."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not _ours.get() or record.levelno <= logging.DEBUG:
            return True
        if record.exc_info and record.name.endswith(".channel"):
            # What an application's callback has raised, on a channel that it was lent.
            return True
        if not logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
            return False
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        if record.exc_info:  # pragma: no branch - lines of debugging that tell no error
            # Where the library was when a connection ended tells nobody anything.
            error = record.exc_info[1]
            what = "" if error is None else said_by(error)
            record.msg, record.args = f"{record.getMessage()}: {what}", ()
            record.exc_info = record.exc_text = None
        return True


def install() -> None:
    """Put the filter on the library's loggers; once for a process is enough."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(each, _Demote) for each in logger.filters):
            logger.addFilter(_Demote())


async def quietly(call: Callable[[], Awaitable[T]]) -> T:
    """Call into the library, in a task that does nothing else.

    What the library starts meanwhile, such as the tasks that read and write, stays marked.
    """
    _ours.set(True)
    return await call()


def loudly(callback: Callable[[T], Any]) -> Callable[[T], Awaitable[Any]]:
    """Make a callback of an application, called by the library, log as all else of it."""

    async def call(argument: T) -> Any:
        token = _ours.set(False)
        try:
            result = callback(argument)
            return await result if is_awaitable(result) else result
        finally:
            _ours.reset(token)

    return call
