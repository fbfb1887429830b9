"""What a component begins from within itself: its stop, and further components."""

import asyncio
from typing import Any

import pytest

from gestalt.core import Component, State


class Handling(Component):
    """Runs a handler in a task of its own, and drains until the handler has ended."""

    def __init__(self, handler: Any) -> None:
        super().__init__(stop_timeout=30.0)
        self._handler = handler
        self._started = asyncio.Event()
        self._handled = asyncio.Event()

    async def _open(self) -> None:
        self._spawn(self._handle())

    async def start(self) -> None:
        await super().start()
        self._started.set()

    async def _handle(self) -> None:
        await self._started.wait()
        await self._handler(self)
        self._handled.set()

    async def _drain(self) -> None:
        await self._handled.wait()

    async def _close(self) -> None:
        pass


async def _direct(component: Component) -> None:
    await component.stop()


async def _by_wait_for(component: Component) -> None:
    await asyncio.wait_for(component.stop(), 30)


async def _by_gather(component: Component) -> None:
    await asyncio.gather(component.stop(), component.stop())


async def _by_a_task(component: Component) -> None:
    await asyncio.create_task(component.stop())


async def _by_a_task_of_a_callback(component: Component) -> None:
    made: asyncio.Future[asyncio.Task[None]] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(
        lambda: made.set_result(asyncio.ensure_future(component.stop()))
    )
    await (await made)


async def _by_a_component_inside(component: Component) -> None:
    async with Handling(lambda _: component.stop()):
        pass


WAYS = [
    _direct,
    _by_wait_for,
    _by_gather,
    _by_a_task,
    _by_a_task_of_a_callback,
    _by_a_component_inside,
]


def eagerly(loop: asyncio.AbstractEventLoop) -> None:
    if not hasattr(asyncio, "eager_task_factory"):
        pytest.skip("eager tasks came with Python 3.12")
    loop.set_task_factory(asyncio.eager_task_factory)


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("way", WAYS)
async def test_a_stop_from_within_begins_the_stop_and_returns_whoever_asks(
    way: Any, eager: bool, reported: list[Any]
) -> None:
    if eager:
        eagerly(asyncio.get_running_loop())
    component = Handling(way)
    await component.start()
    async with asyncio.timeout(10):
        await component.wait_stopped()
    assert component.state is State.STOPPED
    assert not reported


async def test_a_stop_that_an_inner_handler_began_waits_for_the_components_inside() -> None:
    begin = asyncio.Event()
    release = asyncio.Event()
    done = asyncio.Event()

    async def handler(_: Component) -> None:
        await begin.wait()
        await outer.stop()
        await release.wait()
        done.set()

    inner = Handling(handler)

    class Outer(Component):
        async def _open(self) -> None:
            await inner.start()

        async def _drain(self) -> None:
            await inner.stop()

        async def _close(self) -> None:
            assert done.is_set()

    outer = Outer()
    await outer.start()
    begin.set()
    while inner.state is not State.STOPPING:
        await asyncio.sleep(0)
    assert outer.state is State.STOPPING
    release.set()
    await outer.wait_stopped()


@pytest.mark.parametrize("eager", [False, True])
async def test_a_task_that_fails_at_once_fails_its_component(eager: bool) -> None:
    if eager:
        eagerly(asyncio.get_running_loop())

    async def handler(_: Component) -> None:
        raise OSError("boom")

    component = Handling(handler)
    with pytest.raises(OSError, match="boom"):
        async with component:
            await component.wait_stopped()
    assert component.state is State.FAILED


async def test_what_a_component_starts_within_another_in_a_chain_stays_short() -> None:
    """A component that each time starts its successor and ends must not grow with each."""
    import gestalt.core.life as module

    depths: list[int] = []

    async def handler(component: Component) -> None:
        depths.append(len(module.within.get()))
        component.request_stop()
        if len(depths) < 50:
            successors.append(asyncio.create_task(begin_after(component)))

    async def begin_after(component: Component) -> None:
        await component.wait_stopped()
        await Handling(handler).start()

    successors: list[asyncio.Task[None]] = []
    await Handling(handler).start()
    while len(depths) < 50:
        await asyncio.sleep(0)
    await asyncio.gather(*successors)
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)
    assert max(depths) <= 2
