import asyncio

import pytest

from gestalt.amq.link.window import Window


async def waiting(window: Window, name: str, order: list[str]) -> asyncio.Task[None]:
    """A task that waits for a place, and notes when it has one."""

    async def wait() -> None:
        await window.acquire()
        order.append(name)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return task


async def test_a_place_given_up_goes_to_who_has_waited_longest_and_not_to_who_comes() -> None:
    window, order = Window(1), list[str]()
    await window.acquire()
    first = await waiting(window, "first", order)
    second = await waiting(window, "second", order)
    window.release()
    assert not window.take()
    await asyncio.wait_for(first, 1)
    assert order == ["first"]
    window.release()
    await asyncio.wait_for(second, 1)
    assert order == ["first", "second"]
    window.release()
    assert window.take()
    assert not window.take()


@pytest.mark.parametrize("given_first", [False, True])
async def test_a_waiter_that_is_cancelled_takes_no_place_with_it(given_first: bool) -> None:
    window, order = Window(1), list[str]()
    await window.acquire()
    cancelled = await waiting(window, "cancelled", order)
    other = await waiting(window, "other", order)
    if given_first:
        window.release()
    cancelled.cancel()
    if not given_first:
        window.release()
    await asyncio.wait_for(other, 1)
    assert cancelled.cancelled()
    assert order == ["other"]


async def test_a_place_given_up_while_only_cancelled_ones_wait_is_free_at_once() -> None:
    window, order = Window(1), list[str]()
    await window.acquire()
    cancelled = await waiting(window, "cancelled", order)
    cancelled.cancel()
    window.release()
    await asyncio.wait_for(window.acquire(), 1)
    assert not window.take()
    await asyncio.wait({cancelled})
    assert order == []
