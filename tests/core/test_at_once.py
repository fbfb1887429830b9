"""Components whose start and stop wait for nothing, and so need no tasks."""

import asyncio

import pytest

from gestalt.core import Component, State, Timer


class Plain(Component, at_once=True):
    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.release = asyncio.Event()

    async def _open(self) -> None:
        self.done.append(f"open, {self.state.value}")

    async def _drain(self) -> None:
        self.done.append("drain")
        self.release.set()

    async def _close(self) -> None:
        self.done.append(f"close, {self.state.value}")

    def work(self) -> None:
        self._spawn(self._work())

    async def _work(self) -> None:
        await self.release.wait()
        self.done.append("worked")


async def test_it_opens_and_closes_within_the_same_turn() -> None:
    plain = Plain()
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "turn")
    for _ in range(2):
        async with plain:
            assert plain.state is State.RUNNING
        assert plain.state is State.STOPPED
    assert plain.done == ["open, starting", "close, stopping"] * 2
    assert not turns


async def test_with_a_task_under_way_it_drains_as_any_other() -> None:
    plain = Plain()
    async with plain:
        plain.work()
        await asyncio.sleep(0)
    assert plain.done == ["open, starting", "drain", "worked", "close, stopping"]


async def test_stopped_from_within_it_begins_the_stop_and_returns() -> None:
    class Stopping(Plain, at_once=True):
        async def _work(self) -> None:
            await self.stop()
            self.done.append(f"returned, {self.state.value}")

    plain = Stopping()
    async with plain:
        plain.work()
        await plain.wait_stopped()
    assert plain.done[1] == "returned, stopping"


async def test_whoever_waits_for_its_end_is_told() -> None:
    plain = Plain()
    await plain.start()
    waiting = asyncio.create_task(plain.wait_stopped())
    await asyncio.sleep(0)
    await plain.stop()
    await asyncio.wait_for(waiting, 1.0)


async def test_one_that_waits_all_the_same_is_refused_and_closed() -> None:
    class Waiting(Plain, at_once=True):
        async def _open(self) -> None:
            await asyncio.sleep(0)

    plain = Waiting()
    with pytest.raises(RuntimeError, match="_open or _close waits, though the class"):
        await plain.start()
    assert plain.state is State.FAILED
    assert plain.done == ["close, stopping"]


async def test_a_subclass_that_fills_in_a_method_may_wait_in_it_again() -> None:
    class Waiting(Plain):
        async def _close(self) -> None:
            await asyncio.sleep(0)
            await super()._close()

    plain = Waiting()
    async with plain:
        pass
    assert plain.state is State.STOPPED
    assert plain.done == ["open, starting", "drain", "close, stopping"]


async def test_a_close_that_fails_is_raised_by_the_stop() -> None:
    class Failing(Plain, at_once=True):
        async def _close(self) -> None:
            raise OSError("stuck")

    plain = Failing()
    await plain.start()
    with pytest.raises(OSError, match="stuck"):
        await plain.stop()
    assert plain.state is State.FAILED


async def test_a_stop_by_a_task_that_a_plain_function_made_and_returned_is_from_within() -> None:
    def tick() -> asyncio.Task[None]:
        return asyncio.create_task(timer.stop())

    timer = Timer.every(0.001, tick, stop_timeout=30.0)
    await timer.start()
    async with asyncio.timeout(10):
        await timer.wait()
    assert timer.state is State.STOPPED
