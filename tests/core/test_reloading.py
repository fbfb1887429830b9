"""Components take anew what they can, without a restart."""

import asyncio
import logging

import pytest

from gestalt.core import Component
from gestalt.core import reloading as module
from gestalt.core.reloading import reload_components, reloads


class Part(Component):
    def __init__(self, name="part"):
        super().__init__(name=name)
        self.calls = []

    async def _open(self):
        pass

    async def _close(self):
        pass

    @reloads
    def _read(self):
        self.calls.append("plain")


class Further(Part):
    @reloads
    async def _read(self):
        await asyncio.sleep(0)
        self.calls.append("async")


async def test_what_runs_is_reloaded_by_the_methods_of_its_class_and_of_those_below_it():
    stopped, base, further = Part(), Part(), Further()
    async with stopped:
        pass
    async with base, further:
        await reload_components()
    assert (stopped.calls, base.calls, further.calls) == ([], ["plain"], ["plain", "async"])


async def test_one_that_has_not_started_yet_is_left_alone():
    class Slow(Part):
        async def _open(self):
            opening.set()
            await opened.wait()

    opening, opened = asyncio.Event(), asyncio.Event()
    part = Slow()
    starting = asyncio.create_task(part.start())
    await opening.wait()
    await reload_components()
    opened.set()
    await starting
    assert part.calls == []
    await reload_components()
    await part.stop()
    assert part.calls == ["plain"]


async def test_an_unmarked_method_of_the_same_name_takes_the_place_of_none():
    class Unaware(Part):
        def _read(self):
            raise AssertionError("not meant for this")

    async with Unaware() as part:
        await reload_components()
    assert part.calls == ["plain"]


@pytest.mark.parametrize("error", [OSError("no such file"), asyncio.CancelledError()])
async def test_one_that_fails_is_logged_and_the_others_are_reloaded(caplog, error):
    class Failing(Component):
        async def _open(self):
            pass

        async def _close(self):
            pass

        @reloads
        def _read(self):
            raise error

    async with Failing(name="first"), Part() as other:
        await reload_components()
    assert other.calls == ["plain"]
    [record] = caplog.records
    assert record.getMessage() == (
        "a component of type Failing did not reload; it goes on as it was"
    )
    assert record.exc_info[1] is error
    assert record.levelno == logging.ERROR


async def test_one_that_hangs_is_cut_and_logged(caplog, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.01)

    class Hanging(Part):
        @reloads
        async def _hang(self):
            await asyncio.Event().wait()

    async with Hanging(), Part() as other:
        await reload_components()
    assert other.calls == ["plain"]
    assert isinstance(caplog.records[0].exc_info[1], TimeoutError)


async def test_the_caller_may_be_cancelled():
    class Hanging(Part):
        @reloads
        async def _hang(self):
            reached.set()
            await asyncio.Event().wait()

    reached = asyncio.Event()
    async with Hanging():
        task = asyncio.create_task(reload_components())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_what_is_no_method_is_refused():
    with pytest.raises(TypeError, match="@reloads is for methods"):
        reloads(3)
