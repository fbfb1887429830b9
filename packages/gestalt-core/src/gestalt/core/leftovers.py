"""What a handler leaves in the task that it ran in, for whatever would run there next."""

import asyncio
import sys
from contextvars import Context, copy_context
from typing import Any

if sys.version_info >= (3, 13):  # pragma: no cover - Python 3.13

    def is_interrupted(task: asyncio.Task[Any]) -> bool:
        """Whether a running task was asked to end, and goes on."""
        return task.cancelling() > 0
else:

    def is_interrupted(task: asyncio.Task[Any]) -> bool:
        """Whether a running task was asked to end, and goes on, or will be interrupted yet.

        Before Python 3.13, one that takes its cancellation back before it waits is interrupted all
        the same, wherever it waits next.
        """
        return task.cancelling() > 0 or task._must_cancel  # type: ignore[attr-defined]  # noqa: SLF001 - nothing public tells


def is_left_behind(task: asyncio.Task[Any], context: Context, name: str) -> bool:
    """Whether what ran in a task, which is the current one, would be noticed by what runs next.

    Args:
        task: that is to go on.
        context: a copy of its context, as it was before.
        name: what it was called before.
    """
    # Without the calls of the other two: it is asked after each message.
    try:
        return (
            task.cancelling() > 0
            or task._must_cancel  # type: ignore[attr-defined]  # noqa: SLF001 - as above
            or task.get_name() is not name
            or copy_context() != context
        )
    except Exception:
        return True


def are_different(one: Context, other: Context) -> bool:
    """Whether two contexts hold different things, or such as cannot be compared."""
    try:
        return one != other
    except Exception:
        return True
