"""A component that is used from another thread says so, and goes on as if nothing had been."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

from gestalt.core import Component, Group, State, StateError, Timer, WrongThread


class Worker(Component):
    async def _open(self) -> None:
        pass

    async def _close(self) -> None:
        pass

    def spawn(self) -> None:
        self._spawn(asyncio.sleep(0))

    def fail(self) -> None:
        self._fail(ValueError("lost"))


CALLS: list[Callable[[Any], Any]] = [
    lambda worker: worker.stop(),
    lambda worker: worker.request_stop(),
    lambda worker: worker.request_stop(timeout=0),
    lambda worker: worker.wait_stopped(),
    lambda worker: worker.spawn(),
    lambda worker: worker.fail(),
]


async def in_a_thread(call: Callable[[], Any]) -> None:
    """Call it where no loop runs, and where another one does."""

    async def call_in_a_loop() -> None:
        if (result := call()) is not None:
            await result

    def call_without() -> None:
        if (result := call()) is not None:
            result.send(None)

    for calling in (call_without, lambda: asyncio.run(call_in_a_loop())):
        with pytest.raises(WrongThread, match=r"run_coroutine_threadsafe"):
            await asyncio.to_thread(calling)


@pytest.mark.parametrize("make", [Worker, lambda: Group(Worker())], ids=["component", "group"])
async def test_what_another_thread_asks_of_a_component_is_refused_and_changes_nothing(
    make: Callable[[], Component],
) -> None:
    async with make() as component:
        for call in CALLS if isinstance(component, Worker) else CALLS[:4]:
            await in_a_thread(lambda call=call: call(component))  # type: ignore[misc]
        assert component.state is State.RUNNING
    assert component.state is State.STOPPED


@pytest.mark.parametrize("name", ["pause", "resume", "reset", "request_stop", "wait", "stop"])
async def test_what_another_thread_asks_of_a_timer_is_refused_and_changes_nothing(
    name: str,
) -> None:
    ticked = asyncio.Event()
    async with Timer.every(0.01, ticked.set) as timer:
        await in_a_thread(getattr(timer, name))
        ticked.clear()
        await ticked.wait()


async def test_one_that_was_left_in_a_loop_that_has_ended_is_released_in_the_next() -> None:
    worker = Worker()

    def leave() -> None:
        asyncio.run(worker.start())

    await asyncio.to_thread(leave)
    await worker.stop()
    assert worker.state is State.FAILED
    with pytest.raises(StateError, match="not stopped before its event loop was closed"):
        await worker.wait_stopped()
    await asyncio.to_thread(leave)
    with pytest.raises(StateError, match="not stopped before its event loop was closed"):
        await worker.wait_stopped()
    await asyncio.to_thread(leave)
    async with worker:
        assert worker.state is State.RUNNING
    await worker.wait_stopped()


async def test_the_time_to_drain_is_not_for_what_was_left_in_a_loop_that_has_ended() -> None:
    class Draining(Worker):
        async def _open(self) -> None:
            self.forever = asyncio.get_running_loop().create_future()

        async def _drain(self) -> None:
            await self.forever

    worker = Draining(stop_timeout=math.inf)
    await asyncio.to_thread(lambda: asyncio.run(worker.start()))
    await worker.stop()
    assert worker.state is State.FAILED
