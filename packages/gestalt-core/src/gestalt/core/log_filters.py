"""Filters for `logging`: lines that repeat are bounded, and lines know the trace they belong to."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Hashable
from copy import copy
from typing import Any

from .numbers import check_seconds
from .tracing import trace_ids

MOST_KINDS = 1024
"""How many kinds of lines are told apart; of more, those that were seen first are forgotten."""


class LimitRepeats(logging.Filter):
    """Lets a few lines of each kind pass in an interval, and counts the others.

        logging.getLogger("app").addFilter(LimitRepeats())

    Lines are of one kind that come from one place in the code, with one message before its
    arguments are filled in. The next line of a kind that passes says how many were left out before
    it. It is for a logger, whose own lines it bounds, or for a handler.

    Args:
        lines: how many lines of a kind pass in an interval.
        interval: in seconds.
        clock: tells the time in seconds.

    Raises:
        ValueError: `lines` is less than one, or the interval negative.

    Attributes:
        left_out: how many lines were left out in all.
    """

    def __init__(
        self,
        lines: int = 5,
        interval: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        if lines < 1:
            raise ValueError(f"lines must be at least 1, got {lines}")
        self.left_out = 0
        self._lines = lines
        self._interval = check_seconds("interval", interval, finite=True)
        self._clock = clock
        # Of each kind: since when, how many have passed, and how many have not.
        self._kinds: dict[Hashable, list[float]] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> Any:
        """Say whether a record passes."""
        with self._lock:
            missing = self._pass(record)
        if missing is None:
            return False
        if missing:
            if sys.version_info >= (3, 12):  # pragma: no cover - Python 3.12
                # Other handlers have filters of their own.
                record = copy(record)
            record.msg = (
                f"{record.getMessage()} (and {missing:.0f} more of the kind since the last line)"
            )
            record.args = None
        return record

    def _pass(self, record: logging.LogRecord) -> float | None:
        """How many were left out before a record; None if it is left out itself."""
        message = record.msg if isinstance(record.msg, str) else type(record.msg)
        kind = record.name, record.levelno, record.pathname, record.lineno, message
        now = self._clock()
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) >= MOST_KINDS:
                del self._kinds[next(iter(self._kinds))]
            known = self._kinds[kind] = [now, 0, 0]
        if now - known[0] >= self._interval:
            known[:2] = now, 0
        if known[1] >= self._lines:
            known[2] += 1
            self.left_out += 1
            return None
        known[1] += 1
        missing, known[2] = known[2], 0
        return missing


class TraceIds(logging.Filter):
    """Gives each record the trace and the span that it was logged in, for a format to show.

        handler.addFilter(TraceIds())
        handler.setFormatter(logging.Formatter("%(message)s trace=%(trace_id)s span=%(span_id)s"))

    The attributes are `trace_id` and `span_id`, in hexadecimal as W3C Trace Context writes them;
    they are empty where there is no span, or no OpenTelemetry.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the attributes; every record passes."""
        record.trace_id, record.span_id = trace_ids() or ("", "")
        return True
