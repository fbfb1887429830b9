import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from gestalt.core import Component, GestaltError, State, StateError


class Recorder(Component):
    """Notes what is called, and waits or fails where a test asks for it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: list[str] = []
        self.entered = asyncio.Event()
        self.gate: dict[str, asyncio.Event] = {}
        self.errors: dict[str, BaseException] = {}

    async def _step(self, name: str) -> None:
        self.calls.append(name)
        self.entered.set()
        if name in self.gate:
            try:
                await self.gate[name].wait()
            except asyncio.CancelledError:
                self.calls.append(f"{name} cancelled")
                raise
        if name in self.errors:
            raise self.errors[name]

    async def _open(self) -> None:
        await self._step("open")

    async def _drain(self) -> None:
        await self._step("drain")

    async def _close(self) -> None:
        await self._step("close")

    def spawn(self, coro: Any, name: str | None = None) -> asyncio.Task[Any]:
        return self._spawn(coro, name=name)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def fail(error: BaseException) -> None:
    raise error


async def test_a_component_opens_drains_and_closes_in_this_order() -> None:
    component = Recorder()
    assert component.state is State.NEW
    async with component as entered:
        assert entered is component
        assert component.state is State.RUNNING
    assert component.state is State.STOPPED
    assert component.calls == ["open", "drain", "close"]


async def test_its_name_and_state_are_in_its_repr() -> None:
    assert repr(Recorder()) == "<Recorder 'Recorder' new>"
    assert repr(Recorder(name="gateway")) == "<Recorder 'gateway' new>"


def test_a_negative_stop_timeout_is_refused() -> None:
    with pytest.raises(ValueError, match="stop_timeout must not be negative, got -1"):
        Recorder(stop_timeout=-1)


def test_a_component_that_cannot_open_or_close_is_refused_when_it_is_made() -> None:
    class Halfway(Component):
        async def _open(self) -> None: ...

    with pytest.raises(TypeError, match="_close"):
        Halfway()  # type: ignore[abstract]


async def test_starting_twice_is_an_error_and_opens_once() -> None:
    async with Recorder() as component:
        with pytest.raises(StateError, match="it is running"):
            await component.start()
        assert component.calls == ["open"]


async def test_a_failing_start_releases_what_it_opened_and_raises(reported: list[Any]) -> None:
    component = Recorder()
    component.errors["open"] = OSError("address in use")
    with pytest.raises(OSError, match="address in use"):
        await component.start()
    assert component.calls == ["open", "close"]
    assert component.state is State.FAILED
    with pytest.raises(OSError, match="address in use"):
        await component.wait_stopped()
    assert not reported


async def test_a_failing_start_reports_a_failing_release_as_well(reported: list[Any]) -> None:
    component = Recorder()
    component.errors = {"open": OSError("first"), "close": ValueError("second")}
    with pytest.raises(OSError, match="first"):
        await component.start()
    assert [str(context["exception"]) for context in reported] == ["second"]


async def test_a_cancelled_start_releases_what_it_opened() -> None:
    component = Recorder()
    component.gate["open"] = asyncio.Event()
    starting = asyncio.create_task(component.start())
    await component.entered.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert component.calls == ["open", "open cancelled", "close"]
    assert component.state is State.STOPPED


async def test_a_cancelled_start_reports_a_failing_release(reported: list[Any]) -> None:
    component = Recorder()
    component.gate["open"] = asyncio.Event()
    component.errors["close"] = ValueError("stuck")
    starting = asyncio.create_task(component.start())
    await component.entered.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert [str(context["exception"]) for context in reported] == ["stuck"]


async def test_why_a_start_failed_is_reported_when_its_caller_is_cancelled_meanwhile(
    reported: list[Any],
) -> None:
    component = Recorder()
    component.errors["open"] = OSError("address in use")
    component.gate["close"] = asyncio.Event()
    starting = asyncio.create_task(component.start())
    while "close" not in component.calls:
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.sleep(0)
    component.gate["close"].set()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert [str(context["exception"]) for context in reported] == ["address in use"]


async def test_stop_while_starting_ends_both_calls() -> None:
    component = Recorder()
    component.gate["open"] = asyncio.Event()
    starting = asyncio.create_task(component.start())
    await component.entered.wait()
    await component.stop()
    assert component.state is State.STOPPED
    with pytest.raises(StateError, match="stopped while it was starting"):
        await starting
    assert component.calls == ["open", "open cancelled", "close"]


async def test_stop_in_the_moment_that_opening_succeeds_still_ends_both_calls() -> None:
    component = Recorder()
    component.gate["open"] = asyncio.Event()
    starting = asyncio.create_task(component.start())
    await component.entered.wait()
    component.gate["open"].set()
    component.request_stop()
    with pytest.raises(StateError, match="stopped while it was starting"):
        await starting
    assert component.state is State.STOPPED
    assert component.calls[-1] == "close"


async def test_stop_does_nothing_before_start_and_after_the_end() -> None:
    component = Recorder()
    await component.stop()
    assert component.state is State.NEW
    async with component:
        pass
    await component.stop()
    component.request_stop()
    assert component.calls == ["open", "drain", "close"]


async def test_concurrent_stops_share_one_end() -> None:
    component = Recorder()
    await component.start()
    await asyncio.gather(*(component.stop() for _ in range(5)))
    assert component.calls == ["open", "drain", "close"]


async def test_a_stopped_component_starts_again() -> None:
    component = Recorder()
    for _ in range(2):
        async with component:
            assert component.state is State.RUNNING
    assert component.calls == ["open", "drain", "close"] * 2


async def test_a_failed_component_starts_again_without_the_old_error() -> None:
    component = Recorder()
    component.errors["open"] = OSError()
    with pytest.raises(OSError):
        await component.start()
    component.errors.clear()
    async with component:
        pass
    await component.wait_stopped()
    assert component.state is State.STOPPED


async def test_a_drain_beyond_the_stop_timeout_is_cut() -> None:
    component = Recorder(stop_timeout=0.01)
    component.gate["drain"] = asyncio.Event()
    async with component:
        pass
    assert component.calls == ["open", "drain", "drain cancelled", "close"]
    assert component.state is State.STOPPED


async def test_cancelling_stop_cuts_the_drain_and_closes_all_the_same() -> None:
    component = Recorder(stop_timeout=60)
    component.gate["drain"] = asyncio.Event()
    await component.start()
    component.entered.clear()
    stopping = asyncio.create_task(component.stop())
    await component.entered.wait()
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert component.calls == ["open", "drain", "drain cancelled", "close"]
    assert component.state is State.STOPPED


async def test_an_error_while_draining_is_raised_by_stop_after_closing() -> None:
    component = Recorder()
    component.errors["drain"] = ConnectionError("lost")
    await component.start()
    with pytest.raises(ConnectionError, match="lost"):
        await component.stop()
    assert component.calls == ["open", "drain", "close"]
    assert component.state is State.FAILED
    await component.stop()


async def test_several_errors_while_stopping_are_raised_together() -> None:
    component = Recorder()
    component.errors = {"drain": ConnectionError("lost"), "close": OSError("busy")}
    await component.start()
    with pytest.raises(BaseExceptionGroup) as caught:
        await component.stop()
    assert [type(error) for error in caught.value.exceptions] == [ConnectionError, OSError]


async def test_an_error_while_stopping_that_nobody_awaits_is_reported(reported: list[Any]) -> None:
    component = Recorder()
    component.errors["close"] = OSError("busy")
    await component.start()
    component.request_stop()
    while component.state is State.STOPPING:
        await asyncio.sleep(0)
    assert [str(context["exception"]) for context in reported] == ["busy"]
    assert reported[0]["component"] is component


async def test_a_failing_task_fails_the_component_and_reaches_its_owner(
    reported: list[Any],
) -> None:
    component = Recorder()
    await component.start()
    waiting = asyncio.create_task(component.wait_stopped())
    await asyncio.sleep(0)
    component.spawn(fail(RuntimeError("broken")))
    with pytest.raises(RuntimeError, match="broken"):
        await waiting
    assert component.state is State.FAILED
    assert component.calls == ["open", "close"]
    assert not reported


async def test_a_failing_task_that_nobody_waits_for_reaches_the_loops_handler(
    reported: list[Any],
) -> None:
    component = Recorder()
    async with component:
        component.spawn(fail(RuntimeError("broken")))
        while component.state is not State.FAILED:
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="broken"):
            await component.wait_stopped()
    assert [str(context["exception"]) for context in reported] == ["broken"]


async def test_a_task_failing_while_starting_fails_the_start() -> None:
    class Spawning(Recorder):
        async def _open(self) -> None:
            self.spawn(fail(OSError("no route")))
            await super()._open()

    component = Spawning()
    component.gate["open"] = asyncio.Event()
    with pytest.raises(OSError, match="no route"):
        await component.start()
    assert component.calls == ["open", "open cancelled", "close"]
    assert component.state is State.FAILED


async def test_owned_tasks_are_cancelled_before_close() -> None:
    async with Recorder() as component:
        task = component.spawn(for_ever())
        await asyncio.sleep(0)
        assert "for_ever" in task.get_name()
    assert task.cancelled()


async def test_an_error_in_the_clean_up_of_a_task_is_raised_by_stop() -> None:
    async def unclean() -> None:
        try:
            await for_ever()
        finally:
            raise OSError("disk full")

    component = Recorder()
    await component.start()
    component.spawn(unclean())
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="disk full"):
        await component.stop()


async def test_a_stop_that_is_cut_names_a_few_of_many_tasks_and_counts_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Busy(Recorder):
        async def _drain(self) -> None:
            await asyncio.Event().wait()

    component = Busy(name="server", stop_timeout=0.01)
    await component.start()
    for number in range(1000):
        component.spawn(asyncio.Event().wait(), name=f"handler {number:04}")
    await component.stop()
    (line,) = [record.getMessage() for record in caplog.records]
    assert "still running: server handler 0000, server handler 0001, " in line
    assert line.endswith(" and 990 more")
    assert len(line) < 500


async def test_a_task_that_will_not_end_is_named_and_stop_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gestalt.core.component.CLOSE_TIMEOUT", 0.01)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    component = Recorder(name="server")
    await component.start()
    task = component.spawn(stubborn())
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError, match="still running after being cancelled: server stubborn"):
        await component.stop()
    release.set()
    await task


async def test_a_close_that_hangs_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt.core.component.CLOSE_TIMEOUT", 0.01)
    component = Recorder()
    component.gate["close"] = asyncio.Event()
    await component.start()
    with pytest.raises(TimeoutError, match="closing took more than"):
        await component.stop()
    assert component.state is State.FAILED


async def test_stop_from_an_own_task_returns_at_once_and_the_component_stops() -> None:
    component = Recorder()
    returned = asyncio.Event()

    async def handler() -> None:
        await component.stop()
        returned.set()

    await component.start()
    component.spawn(handler())
    await component.wait_stopped()
    assert returned.is_set()
    assert component.state is State.STOPPED


async def test_waiting_for_the_end_of_what_was_never_started_is_an_error() -> None:
    with pytest.raises(StateError, match="never started"):
        await Recorder().wait_stopped()


async def test_a_cancelled_wait_leaves_the_component_running() -> None:
    async with Recorder() as component:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await component.wait_stopped()
        assert component.state is State.RUNNING


def test_closing_the_loop_under_a_running_component_closes_it() -> None:
    component = Recorder()

    async def main() -> None:
        component.gate["drain"] = asyncio.Event()
        await component.start()
        component.request_stop()
        while "drain" not in component.calls:
            await asyncio.sleep(0)

    asyncio.run(main())
    assert component.calls == ["open", "drain", "drain cancelled", "close"]
    assert component.state is State.STOPPED


def test_state_errors_are_caught_as_gestalt_errors_and_as_runtime_errors() -> None:
    assert issubclass(StateError, GestaltError)
    assert issubclass(StateError, RuntimeError)


async def test_a_deadline_from_above_shortens_the_drain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    component = Recorder(stop_timeout=1000.0)
    component.gate["drain"] = asyncio.Event()
    await component.start()
    component.spawn(for_ever())
    await component.stop(timeout=0.01)
    assert component.calls == ["open", "drain", "drain cancelled", "close"]
    (record,) = caplog.records
    assert "the time to drain is over" in record.getMessage()
    assert "Recorder for_ever" in record.getMessage()


async def test_a_deadline_from_above_does_not_lengthen_the_drain() -> None:
    component = Recorder(stop_timeout=0.01)
    component.gate["drain"] = asyncio.Event()
    await component.start()
    await component.stop(timeout=1000.0)
    assert component.calls == ["open", "drain", "drain cancelled", "close"]


async def test_a_stop_under_way_takes_a_shorter_deadline() -> None:
    component = Recorder(stop_timeout=1000.0)
    component.gate["drain"] = asyncio.Event()
    await component.start()
    component.entered.clear()
    component.request_stop()
    await component.entered.wait()
    await component.stop(timeout=0.01)
    assert component.calls == ["open", "drain", "drain cancelled", "close"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_an_eager_task_runs_until_it_first_waits_and_fails_the_component_as_any() -> None:
    class Eager(Component):
        async def _open(self) -> None: ...

        async def _close(self) -> None: ...

        def run(self, coro: Any) -> "asyncio.Task[Any]":
            return self._spawn(coro, eager=True)

    async def give(value: int) -> int:
        return value

    async def fail() -> None:
        raise ValueError("wrong")

    async with Eager() as component:
        assert component.run(give(7)).result() == 7
        waiting = component.run(asyncio.sleep(60))
        assert not waiting.done()
    assert waiting.cancelled()

    component = Eager()
    await component.start()
    stopped = asyncio.ensure_future(component.wait_stopped())
    await asyncio.sleep(0)
    component.run(fail())
    with pytest.raises(ValueError, match="wrong"):
        await stopped


async def test_an_error_that_is_found_while_stopping_is_raised_by_the_stop() -> None:
    class Late(Recorder):
        async def _drain(self) -> None:
            self._fail(ValueError("found while draining"))

    component = Late()
    await component.start()
    with pytest.raises(ValueError, match="found while draining"):
        await component.stop()
    assert component.state is State.FAILED


class Exposed(Recorder):
    """Fails where a test asks for it, and lets it do something at the end of its close."""

    at_end: Callable[[], object] = bool

    def fail(self, error: BaseException) -> None:
        self._fail(error)

    async def _close(self) -> None:
        try:
            await self._step("close")
        finally:
            self.at_end()


@pytest.mark.parametrize("same_turn", [False, True])
async def test_what_goes_wrong_in_a_stop_whose_caller_is_cancelled_is_reported_once(
    reported: list[Any], same_turn: bool
) -> None:
    component = Exposed()
    component.gate["drain"] = asyncio.Event()
    component.errors["close"] = OSError("close")
    await component.start()
    component.entered.clear()
    stopping = asyncio.create_task(component.stop())
    await component.entered.wait()
    if same_turn:
        loop = asyncio.get_running_loop()
        component.at_end = lambda: loop.call_soon(stopping.cancel)
        component.gate["drain"].set()
    else:
        stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert component.state is State.FAILED
    assert [str(context["exception"]) for context in reported] == ["close"]


async def test_an_error_after_the_end_is_reported(reported: list[Any]) -> None:
    component = Exposed(name="server")
    async with component:
        pass
    component.fail(OSError("late"))
    assert component.state is State.STOPPED
    [context] = reported
    assert context["message"] == "<Exposed 'server' stopped>: an error after its end"
    assert str(context["exception"]) == "late"


async def test_a_stop_that_closes_already_is_not_cut_by_another_one() -> None:
    component = Recorder()
    component.gate["close"] = asyncio.Event()
    await component.start()
    component.entered.clear()
    stopping = asyncio.create_task(component.stop())
    while component.calls[-1] != "close":
        await asyncio.sleep(0)
    component.request_stop(timeout=0.0)
    component.gate["close"].set()
    await stopping
    assert component.calls == ["open", "drain", "close"]


async def test_a_start_that_was_stopped_may_be_cancelled_while_it_closes(
    reported: list[Any],
) -> None:
    component = Recorder()
    component.gate["open"] = component.gate["close"] = asyncio.Event()
    starting = asyncio.create_task(component.start())
    await component.entered.wait()
    component.request_stop()
    while component.calls[-1] != "close":
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.sleep(0)
    component.gate["close"].set()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert component.state is State.STOPPED
    assert reported == []


async def test_a_stop_whose_own_task_is_cancelled_leaves_behind_what_does_not_end_and_closes() -> (
    None
):
    release, asked = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        try:
            await release.wait()
        except asyncio.CancelledError:
            asked.set()
            await release.wait()

    component = Recorder(name="server")
    await component.start()
    task = component.spawn(slow())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(component.stop())
    await asked.wait()
    [ending] = [each for each in asyncio.all_tasks() if each.get_name() == "server stop"]
    ending.cancel()
    with pytest.raises(TimeoutError, match="still running after being cancelled: server slow"):
        await stopping
    assert component.calls == ["open", "drain", "close"]
    release.set()
    await task
