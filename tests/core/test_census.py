"""Which components live, and which started which."""

import asyncio
import contextvars
import gc
from collections.abc import Iterator

import pytest

from gestalt.core import Component, Group, Timer
from gestalt.core.census import component_in, components, parent_of
from gestalt.core.identity import IdentityMap

_before: list[Component] = []


@pytest.fixture(autouse=True)
def others() -> Iterator[None]:
    """Other tests may have left components that still live."""
    _before[:] = components()
    yield
    _before.clear()


def living() -> list[Component]:
    return [each for each in components() if not any(each is other for other in _before)]


class Part(Component):
    async def _open(self) -> None:
        pass

    async def _close(self) -> None:
        pass


class Unhashable(Part):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


async def test_components_are_those_that_live_in_the_order_of_their_starts() -> None:
    one, two, three = Part(name="one"), Part(name="two"), Part(name="three")
    for part in (two, one, three):
        await part.start()
    assert living() == [two, one, three]
    await two.stop()
    assert living() == [one, three]
    await two.start()
    assert living() == [one, three, two]
    for part in (one, two, three):
        await part.stop()
    assert living() == []


async def test_one_that_is_starting_and_one_that_is_stopping_live() -> None:
    class Slow(Part):
        async def _open(self) -> None:
            seen.append(living())

        async def _close(self) -> None:
            seen.append(living())

    seen: list[list[Component]] = []
    async with Slow() as slow:
        pass
    assert seen == [[slow], [slow]]


async def test_one_that_does_not_start_or_fails_lives_no_more() -> None:
    class Broken(Part):
        async def _open(self) -> None:
            raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        await Broken().start()
    assert living() == []
    timer = Timer.after(0, lambda: 1 / 0)
    await timer.start()
    assert living() == [timer]
    with pytest.raises(ZeroDivisionError):
        await timer.wait()
    assert living() == []


async def test_those_without_a_hash_that_equal_all_others_are_told_apart() -> None:
    async with Unhashable() as one, Unhashable() as two:
        assert [id(each) for each in living()] == [id(one), id(two)]
        await one.stop()
        assert [id(each) for each in living()] == [id(two)]


async def test_one_that_nobody_holds_any_more_is_not_kept_alive() -> None:
    await Part().start()
    gc.collect()
    assert living() == []


async def test_the_parent_is_the_innermost_component_that_started_it() -> None:
    inner, beside = Part(name="inner"), Part(name="beside")
    async with Group(Group(inner, name="middle"), beside, name="outer") as outer:
        middle = outer.parts[0]
        assert parent_of(inner) is middle
        assert parent_of(middle) is outer
        assert parent_of(beside) is outer
        assert parent_of(outer) is None
    assert parent_of(inner) is None


async def test_what_a_call_of_a_timer_starts_has_the_timer_as_its_parent() -> None:
    part = Part()

    async def begin() -> None:
        await part.start()
        started.set()

    started = asyncio.Event()
    async with Timer.after(0, begin, name="begin") as timer:
        await started.wait()
        assert parent_of(part) is timer
        await timer.wait()
    assert living() == [part]
    assert parent_of(part) is None
    await part.stop()


async def test_a_component_that_restarts_itself_is_not_its_own_parent() -> None:
    class Restarting(Part):
        async def again(self) -> None:
            self.request_stop()
            await self.start()

    part = Restarting()
    async with part:
        pass
    async with part:
        assert parent_of(part) is None


def test_a_map_by_identity_forgets_who_dies_and_keeps_who_took_its_place() -> None:
    class Thing:
        pass

    items: IdentityMap[Thing, int] = IdentityMap()
    one, two = Thing(), Thing()
    items.set(one, 1)
    items.set(two, 2)
    items.set(one, 3)
    assert (items.get(one), items.get(two), items.present()) == (3, 2, [one, two])
    del one
    gc.collect()
    assert items.present() == [two]
    items.pop(two)
    assert (items.get(two), items.present()) == (None, [])


async def test_a_context_tells_within_which_component_its_code_runs() -> None:
    contexts: list[contextvars.Context] = []
    called = asyncio.Event()

    def note() -> None:
        contexts.append(contextvars.copy_context())
        called.set()

    assert component_in(contextvars.copy_context()) is None
    timer = Timer.every(1000.0, note, delay=0.0)
    async with Group(timer, Part()):
        await called.wait()
        assert component_in(contexts[0]) is timer
    assert component_in(contexts[0]) is None
