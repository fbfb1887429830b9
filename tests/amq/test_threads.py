"""Publishers and requesters that another thread uses: refused, with the way to do it right."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gestalt.amq import Bus
from gestalt.core import WrongThread


async def elsewhere(function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine in another thread, in an event loop of its own."""
    return await asyncio.to_thread(lambda: asyncio.run(function()))


async def test_another_thread_is_refused_and_told_what_to_do_and_the_bus_goes_on(
    bus: Bus, unique: str
) -> None:
    got: asyncio.Queue[int] = asyncio.Queue()
    await bus.subscribe(unique, "#", lambda message: got.put_nowait(message.body))
    await bus.respond(unique, lambda message: message.body + 1)
    publisher, requester = bus.publisher(unique, max_unconfirmed=2), bus.requester(unique)
    await publisher.publish(1)
    assert await requester.request(1) == 2
    for _ in range(5):
        for use in (lambda: publisher.publish(0), lambda: requester.request(0)):
            with pytest.raises(WrongThread) as caught:
                await elsewhere(use)
            assert "asyncio.run_coroutine_threadsafe" in str(caught.value)
    # Nothing of it was sent, and no place among the unconfirmed is lost.
    await asyncio.gather(*(publisher.publish(number) for number in range(2, 6)))
    assert await requester.request(2) == 3
    async with asyncio.timeout(10):
        assert [await got.get() for _ in range(5)] == [1, 2, 3, 4, 5]
    assert got.empty()


async def test_the_way_that_the_error_names_works(bus: Bus, unique: str) -> None:
    got: asyncio.Queue[int] = asyncio.Queue()
    await bus.subscribe(unique, "#", lambda message: got.put_nowait(message.body))
    publisher = bus.publisher(unique)
    loop = asyncio.get_running_loop()

    def sensor() -> None:
        for number in range(100):
            asyncio.run_coroutine_threadsafe(publisher.publish(number), loop).result(10)

    await asyncio.to_thread(sensor)
    async with asyncio.timeout(10):
        assert [await got.get() for _ in range(100)] == list(range(100))
