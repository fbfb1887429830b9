"""Telling the application what went wrong, without letting those who send garbage cost much."""

import asyncio
import logging
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from .address import Address
from .endpoint import OnError
from .errors import (
    DatagramDropped,
    FrameTooLarge,
    FramingError,
    HandlerError,
    IncompleteFrame,
    NetError,
)

if TYPE_CHECKING:
    from .datagram import DatagramEndpoint

logger = logging.getLogger("gestalt.net")

TELLING = 100
"""How many asynchronous calls of `on_error` may be under way."""

LOG_INTERVAL = 1.0
"""How many seconds have to pass between two lines in the log."""


class DatagramTeller:
    """Hands errors to `on_error`, or where there is none, to the event loop and the log."""

    __slots__ = ("_endpoint", "_log_again", "_on_error", "_stats", "_telling")

    def __init__(self, endpoint: "DatagramEndpoint", on_error: OnError | None) -> None:
        self._endpoint = endpoint
        self._on_error = on_error
        self._stats = endpoint.stats
        self._telling = 0
        self._log_again = 0.0

    def tell(self, error: NetError) -> None:
        """Tell of an error that does not end the endpoint."""
        if self._on_error is None:
            if isinstance(error, HandlerError):
                self._endpoint._report(error, str(error))
            else:
                self._log(error)
        elif self._telling >= TELLING:
            self._stats.untold += 1
        else:
            try:
                result = self._on_error(error)
            except Exception as second:
                self._failed(second, error)
            else:
                if isawaitable(result):
                    self._telling += 1
                    self._endpoint._spawn(self._finish(result, error), name="on_error")

    def tell_dropped(self, source: Address, error: Exception) -> None:
        """Count a datagram that is no message because of `error`, and tell of it."""
        cause = _cause(error)
        setattr(self._stats, cause, getattr(self._stats, cause) + 1)
        dropped = DatagramDropped(f"a datagram from {source} was dropped: {error}", source)
        dropped.__cause__ = error
        self.tell(dropped)

    def _log(self, error: NetError) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._log_again:
            self._stats.untold += 1
        else:
            self._log_again = now + LOG_INTERVAL
            logger.warning("%s: %s", self._endpoint.name, error)

    async def _finish(self, result: Any, error: NetError) -> None:
        try:
            await result
        except Exception as second:
            self._failed(second, error)
        finally:
            self._telling -= 1

    def _failed(self, second: Exception, error: NetError) -> None:
        self._endpoint._report(
            second, f"{self._endpoint!r}: on_error raised while it was given: {error}"
        )


def _cause(error: Exception) -> str:
    """Why a datagram is no message, as `DatagramStats` has it."""
    if isinstance(error, IncompleteFrame):
        return "truncated"
    if isinstance(error, FrameTooLarge):
        return "too_large"
    if isinstance(error, FramingError):
        return "malformed"
    from gestalt.codecs import ContentNotAllowed

    return "disallowed" if isinstance(error, ContentNotAllowed) else "undecodable"
