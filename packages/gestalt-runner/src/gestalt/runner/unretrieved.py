"""Failed tasks whose exception nobody has asked for."""

import asyncio
import gc


def unretrieved_failures(
    loop: asyncio.AbstractEventLoop,
) -> list[tuple[asyncio.Task[object], BaseException]]:
    """The tasks of `loop` that failed unseen, and their exceptions, which count as seen after it.

    asyncio reports such a task when it is collected; one that something still refers to would
    never be reported, and the application end as if nothing had happened.

    The event loop knows no tasks that are done, so that they are looked for among all objects.
    That an exception was not asked for is a mark that asyncio keeps for itself, `_log_traceback`;
    there is no public one. To follow every task from its start by a task factory would take the
    factory from the application, and time for every task.
    """
    gc.collect()
    failures = []
    for task in [found for found in gc.get_objects() if isinstance(found, asyncio.Task)]:
        if task.get_loop() is loop and getattr(task, "_log_traceback", False):
            error = task.exception()
            if error is not None:  # pragma: no branch - for type checkers
                failures.append((task, error))
    return failures
