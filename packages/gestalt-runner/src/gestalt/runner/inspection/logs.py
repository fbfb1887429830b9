"""The last lines of the log, kept while somebody reads them."""

import itertools
import logging
import time
from collections import deque
from typing import Any

MOST_LINES = 500
"""How many lines are kept."""

LONGEST_LINE = 2000
"""In characters; of a longer one, the rest is left out."""

MOST_A_SECOND = 1000
"""How many lines a second are kept; of more, how many there were."""

UNREAD = 10.0
"""After how many seconds without a reader nothing is kept any more."""


class LogTail:
    """Keeps what the process logs, for as long as somebody asks for it again and again.

    It sees records where they are made, and is no handler: one at the root would silence Python's
    own last resort, and make an application's `basicConfig` void.
    """

    def __init__(self) -> None:
        self.attached = False
        self._lines: deque[dict[str, Any]] = deque(maxlen=MOST_LINES)
        self._numbers = itertools.count(1)
        self._read_at = 0.0
        self._second = 0.0
        self._in_second = 0
        self._left_out = 0
        self._factory: Any = None

    def read(self, after: int) -> dict[str, Any]:
        """The lines since a number; from the first call on, they are kept."""
        self._read_at = time.monotonic()
        if not self.attached:
            self._attach()
        left_out, self._left_out = self._left_out, 0
        lines = [line for line in list(self._lines) if line["number"] > after]
        return {"lines": lines, "left_out": left_out}

    def detach_if_unread(self, now: float) -> None:
        """Keep nothing any more, where nobody has read for a while."""
        if now - self._read_at > UNREAD:
            self.detach()  # pragma: no cover - nobody reads for ten seconds

    def detach(self) -> None:
        """Keep nothing any more."""
        self.attached = False
        self._lines.clear()
        # Whoever has put a factory over this one goes on to call it: then it passes on.
        if logging.getLogRecordFactory() == self._make:
            logging.setLogRecordFactory(self._factory)
            self._factory = None

    def _attach(self) -> None:
        self.attached = True
        if self._factory is None:  # pragma: no branch - another factory lies over it
            self._factory = logging.getLogRecordFactory()
            logging.setLogRecordFactory(self._make)

    def _make(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._factory(*args, **kwargs)
        if self.attached:  # pragma: no branch - another factory lies over it
            self._keep(record)
        return record

    def _keep(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now - self._second >= 1.0:
            self._second, self._in_second = now, 0
        self._in_second += 1
        if self._in_second > MOST_A_SECOND:  # pragma: no cover - a thousand within a second
            self._left_out += 1
            return
        try:
            text = record.getMessage()
        except Exception:
            # Its handlers tell of that.
            text = str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            text = f"{text} ({type(error).__name__}: {error})"
        self._lines.append(
            {
                "number": next(self._numbers),
                "time": record.created,
                "level": record.levelname,
                "logger": record.name,
                "text": text[:LONGEST_LINE],
            }
        )
