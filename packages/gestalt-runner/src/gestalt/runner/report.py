"""What the runner tells: errors with their whole traceback, tasks with the place they hang at."""

import asyncio
import logging
import sys
import traceback
from collections.abc import Iterable
from typing import Any

# Without any configuration, logging writes warnings and errors to stderr.
logger = logging.getLogger("gestalt.runner")


def report_error(message: str, error: BaseException) -> None:
    """Log an error with its traceback; of an exception group, with that of every leaf."""
    if not logger.isEnabledFor(logging.ERROR):
        return
    record = logger.makeRecord(
        logger.name,
        logging.ERROR,
        __file__,
        0,
        "%s",
        (message,),
        (type(error), error, error.__traceback__),
    )
    # Formatters take this text as it is; the one they would make leaves out group members.
    record.exc_text = "".join(
        traceback.TracebackException.from_exception(
            error, max_group_width=sys.maxsize, max_group_depth=sys.maxsize
        ).format()
    ).rstrip("\n")
    logger.handle(record)


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
