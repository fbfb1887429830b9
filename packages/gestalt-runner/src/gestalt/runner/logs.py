"""What the `gestalt` command does to logging: as little as it can."""

import logging
import sys
import warnings
from types import TracebackType
from typing import Any, TextIO

from .options.option import Settings
from .options.table import LOG_FORMAT, LOG_LEVEL
from .report import report_error


class Logs:
    """Log to stderr for as long as the application has not configured logging.

    No handler is added: one at the root would make the application's `basicConfig` void.

    Args:
        worker: the number of this worker, which every record then has as `worker`, so that a format
            of the application's own may have `%(worker)s`; None for a process that is none.
    """

    def __init__(self, *, worker: int | None = None) -> None:
        self._level: int | None = None
        self._worker = worker
        if worker is not None:
            make = logging.getLogRecordFactory()

            def make_with_worker(*args: Any, **options: Any) -> logging.LogRecord:
                record = make(*args, **options)
                record.worker = worker
                return record

            logging.setLogRecordFactory(make_with_worker)

    def configure(self, settings: Settings) -> None:
        """Take the level and the format of the settings; again after a reload."""
        root = logging.getLogger()
        # A level that the application has set in the meantime is its own.
        if self._level is None or root.level == self._level:  # pragma: no branch - it has its own
            root.setLevel(settings[LOG_LEVEL].upper())
            self._level = root.level
        if logging.lastResort is not None:  # pragma: no branch - an application has taken it away
            logging.lastResort.setLevel(logging.NOTSET)
            logging.lastResort.setFormatter(_formatter(settings[LOG_FORMAT], self._worker))


def _formatter(kind: str, worker: int | None) -> logging.Formatter:
    if kind == "json":
        from .json_lines import JsonFormatter

        _log_what_python_tells()
        return JsonFormatter()
    who = "" if worker is None else f" worker {worker}"
    return logging.Formatter(f"%(asctime)s{who} %(levelname)s %(name)s: %(message)s")


def _log_what_python_tells() -> None:
    """Have warnings, and the error that ends the interpreter, logged in place of written plainly.

    `logging.captureWarnings` would give them a handler that does nothing, so that they vanish where
    nobody has configured logging.
    """
    warnings.showwarning = _log_warning
    sys.excepthook = _log_error


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - as Python calls it
    line: str | None = None,  # noqa: ARG001
) -> None:
    place = {"file": filename, "line": lineno}
    logging.getLogger("py.warnings").warning("%s: %s", category.__name__, message, extra=place)


def _log_error(  # pragma: no cover - what `run` has not reported
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        report_error("the application cannot be run", error)
