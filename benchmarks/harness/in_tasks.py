"""The usual load: the same call, again and again, from as many tasks as are to be in flight."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.harness.model import Measured, Run, Stopwatch


async def in_tasks(run: Run, call: Callable[[], Awaitable[Any]]) -> Measured:
    """Call once, then from `in_flight` tasks, for as long as is asked for."""
    await call()
    end = time.perf_counter() + run.seconds
    count = 0

    async def work() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await call()
            count += 1

    watch = Stopwatch()
    await asyncio.gather(*(work() for _ in range(int(run.options["in_flight"]))))
    return watch.stop(count)
