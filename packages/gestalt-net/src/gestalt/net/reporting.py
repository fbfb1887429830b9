"""Telling of what an endpoint survives, without letting those who provoke it cost much."""

import asyncio
import logging
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Protocol, TypeAlias

from gestalt.core import HandlerNotFound, Message, Reports
from gestalt.core.calling import ENDS, is_awaitable, is_end, is_own_cancellation

from .errors import HandlerError, NetError

logger = logging.getLogger("gestalt.net")

OnError: TypeAlias = Callable[[NetError], Any]

UNDER_WAY = 100
"""How many asynchronous calls of `on_error` may be under way."""


class Counters(Protocol):
    """What is counted here, in the endpoint's own statistics."""

    unreported: int


class Owner(Protocol):
    """What is asked of the endpoint that errors are told of."""

    name: str

    @property
    def stats(self) -> Counters:
        """Its counters."""


class Reporting:
    """Hands errors to `on_error`, or where there is none, to the log.

    What `on_error` cannot be given, since it is too slow, is counted and logged as well.
    """

    __slots__ = ("_lines", "_on_error", "_owner", "_report", "_spawn", "_under_way")

    def __init__(
        self,
        owner: Owner,
        on_error: OnError | None,
        *,
        report: Callable[[BaseException, str], None],
        spawn: Callable[..., asyncio.Task[Any]],
    ) -> None:
        self._owner = owner
        self._on_error = on_error
        self._report = report
        self._spawn = spawn
        self._lines = Reports(logger)
        self._under_way = 0

    def tell(self, error: NetError, log: Callable[[NetError], None] | None = None) -> None:
        """Tell of an error that does not end the endpoint.

        Args:
            error: what has happened.
            log: takes it where `on_error` does not; None for a line that is bounded in rate.
        """
        if self._on_error is None:
            (log or self._log)(error)
        elif self._under_way >= UNDER_WAY:
            self._owner.stats.unreported += 1
            (log or self._log)(error)
        else:
            try:
                # Whatever caused it may go on, with the next message or connection.
                result = copy_context().run(self._on_error, error)
            except ENDS:
                raise
            except BaseException as second:
                self._failed(second, error)
            else:
                if is_awaitable(result):
                    self._under_way += 1
                    task = self._spawn(self._finish(result, error), name="on_error")
                    task.add_done_callback(self._ended)

    def flush(self) -> None:
        """Say in the log what was left out of it."""
        self._lines.flush()

    def _log(self, error: NetError) -> None:
        if isinstance(error, HandlerError):
            self._report(error, str(error))
            return
        cause = error.__cause__
        # What our own errors say needs no traceback; a codec's may.
        foreign = cause is not None and not isinstance(cause, NetError | OSError)
        self._lines.log(
            f"{self._owner.name}: {error}",
            error if foreign else None,
            level=logging.WARNING,
            cause=(type(error), type(cause)),
        )

    async def _finish(self, result: Any, error: NetError) -> None:
        try:
            await result
        except BaseException as second:
            if is_end(second) or is_own_cancellation(second):
                raise
            self._failed(second, error)

    def _ended(self, _: object) -> None:
        self._under_way -= 1

    def _failed(self, second: BaseException, error: NetError) -> None:
        self._report(second, f"{self._owner!r}: on_error raised while it was given: {error}")


def is_sender_at_fault(error: BaseException, message: Message[Any]) -> bool:
    """Whether whoever sent `message` is at fault, not its handler: nothing takes such a message.

    A table of handlers may be called from within a handler, and counts all the same; but not one
    that was given another message than this.
    """
    return isinstance(error, HandlerNotFound) and error.message in (None, message)
