"""What tests of applications have use for, beside `ManualClock`."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from .calling import is_awaitable, name_of
from .numbers import check_seconds

T = TypeVar("T")

_PAUSE = 0.005
"""Between two looks, in seconds."""


async def until(condition: Callable[[], T], timeout: float = 10.0) -> T:
    """Wait until a condition holds, and give what it returned.

        await until(lambda: server.stats.received == 3)

    It looks again every 5 ms. For what happens by a `ManualClock`, advance that in the test.

    Args:
        condition: a plain function; what it returns is true or not.
        timeout: for how long, in seconds.

    Raises:
        TimeoutError: it has not held within that time.
        TypeError: it is an async function.
        Exception: what the condition raises.
    """
    check_seconds("timeout", timeout)
    time = asyncio.get_running_loop().time
    deadline = time() + timeout
    while not (found := condition()):
        if time() >= deadline:
            raise TimeoutError(f"{name_of(condition)} did not hold within {timeout:g} s")
        await asyncio.sleep(_PAUSE)
    if is_awaitable(found):
        if asyncio.iscoroutine(found):
            found.close()
        raise TypeError(f"{name_of(condition)} must be a plain function, it returned an awaitable")
    return found
