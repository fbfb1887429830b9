"""Waiting in tests."""

import asyncio

import pytest

from gestalt.core.testing import until


async def test_what_the_condition_gave_is_returned_once_it_is_true() -> None:
    seen: list[int] = []

    def third() -> list[int]:
        seen.append(len(seen))
        return seen if len(seen) == 3 else []

    assert await until(third) is seen
    assert seen == [0, 1, 2]


async def test_a_condition_that_never_holds_is_named() -> None:
    def never() -> bool:
        return False

    with pytest.raises(TimeoutError, match=r"^never did not hold within 0.01 s$"):
        await until(never, timeout=0.01)


async def test_what_the_condition_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await until(lambda: 1 / 0)


async def test_an_async_condition_is_refused() -> None:
    async def ready() -> bool:
        return False

    with pytest.raises(TypeError, match="ready must be a plain function"):
        await until(ready)


async def test_a_condition_that_gives_a_future_is_refused() -> None:
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(TypeError, match="it returned an awaitable"):
        await until(lambda: future)
    assert not future.done()


async def test_a_condition_is_looked_at_once_even_without_time() -> None:
    assert await until(lambda: "now", timeout=0) == "now"
    task = asyncio.ensure_future(until(lambda: False))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
