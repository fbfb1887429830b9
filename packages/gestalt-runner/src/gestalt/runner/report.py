"""What the runner tells: errors with their whole traceback, tasks with the place they hang at."""

import asyncio
import logging
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any

from gestalt.core import TooManyRestarts

from .errors import CannotListen, WorkerDied

# Without any configuration, logging writes warnings and errors to stderr.
logger = logging.getLogger("gestalt.runner")

# Characters of an error's text that stand in a line before its traceback.
MOST_OF_REASON = 300


def report_error(message: str, error: BaseException) -> None:
    """Tell of an error that ends the application, with the traceback of every leaf of a group.

    It is the only answer to why the application ended, so that it always gets out: to the handlers
    of the logger, whether that is disabled or asked for severer things only, or to stderr when
    none of them takes it.
    """
    sentences = _sentences(error)
    if sentences is not None:
        # They say all that there is to know; where it was noticed is of no interest.
        message = "\n  ".join([f"{message}:", *sentences])
    record = logger.makeRecord(
        logger.name,
        logging.ERROR,
        __file__,
        0,
        "%s",
        (message,),
        (type(error), error, error.__traceback__) if sentences is None else None,
    )
    if sentences is None:
        # Formatters take this text as it is; the one they would make leaves out group members.
        record.exc_text = "".join(
            traceback.TracebackException.from_exception(
                error, max_group_width=sys.maxsize, max_group_depth=sys.maxsize
            ).format()
        ).rstrip("\n")
    try:
        taken = _handle(record)
    except Exception as failed:
        why = "".join(traceback.format_exception(failed, chain=False)).rstrip("\n")
        record.exc_text = f"{record.exc_text or ''}\n\nA handler of the logger failed:\n{why}"
        taken = False
    if not taken:
        (logging.lastResort or logging.StreamHandler()).emit(record)


def describe_start(name: str, error: BaseException) -> str:
    """That something did not start, and why: the cause stands at the end of a long traceback."""
    if _sentences(error) is not None:
        return f"{name} did not start"
    reason = (str(error).splitlines() or [""])[0][:MOST_OF_REASON]
    kind = type(error).__name__
    return f"{name} did not start: {f'{kind}: {reason}' if reason else kind}"


def _handle(record: logging.LogRecord) -> bool:
    """Give a record to all handlers, whatever the logger itself thinks of it; does one take it?"""
    if not logger.filter(record):
        return False
    taken = False
    source: logging.Logger | None = logger
    while source is not None:
        for handler in source.handlers:
            # Handlers that do nothing, of libraries, return None.
            if record.levelno >= handler.level and handler.handle(record):
                taken = True
        source = source.parent if source.propagate else None
    return taken


def _sentences(error: BaseException) -> list[str] | None:
    """What there is to say where an error is nothing but the death of workers, or the like."""
    if isinstance(error, (CannotListen, WorkerDied)):
        return [str(error)]
    inner: Sequence[BaseException] = ()
    if isinstance(error, TooManyRestarts):
        inner = error.errors
    elif isinstance(error, BaseExceptionGroup):
        inner = error.exceptions
    found = [_sentences(each) for each in inner]
    if not found or None in found:
        return None
    return [line for lines in found if lines is not None for line in lines]


def describe_tasks(tasks: Iterable[asyncio.Task[Any]]) -> str:
    """The names of tasks, each with the line that it waits at."""
    return "\n".join(sorted(f"  {task.get_name()}: {_place(task)}" for task in tasks))


def _place(task: asyncio.Task[Any]) -> str:
    frames = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            name = frame.f_code.co_name
            frames.append(f"{name} ({frame.f_code.co_filename}:{frame.f_lineno})")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return " > ".join(frames) or "not started"
