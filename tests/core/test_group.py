"""Several components as one."""

import asyncio
import logging
import math
import re
from typing import Any

import pytest

from gestalt.core import Component, Group, State, StateError, Timer


class Part(Component):
    """Notes its life in a log that it shares with others, and takes as long as it is told."""

    def __init__(self, log: list[str], name: str, **options: Any) -> None:
        super().__init__(name=name, stop_timeout=options.pop("stop_timeout", 5.0))
        self.log = log
        self.opening: asyncio.Event | None = options.pop("opening", None)
        self.draining: asyncio.Event | None = options.pop("draining", None)
        self.error: dict[str, Exception] = options

    async def _open(self) -> None:
        self.log.append(f"open {self.name}")
        if self.opening is not None:
            await self.opening.wait()
        self.raise_for("open")

    async def _drain(self) -> None:
        self.log.append(f"drain {self.name}")
        if self.draining is not None:
            await self.draining.wait()
        self.raise_for("drain")
        self.log.append(f"drained {self.name}")

    async def _close(self) -> None:
        self.log.append(f"close {self.name}")

    def raise_for(self, what: str) -> None:
        if what in self.error:
            raise self.error[what]

    def fail(self, error: Exception) -> None:
        self._fail(error)

    def run(self, coro: Any) -> asyncio.Task[Any]:
        return self._spawn(coro)


@pytest.fixture
def log() -> list[str]:
    return []


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


async def test_parts_start_in_order_and_stop_in_reverse_each_when_the_other_has_stopped(
    log: list[str],
) -> None:
    parts = [Part(log, name) for name in "abc"]
    group = Group(*parts)
    async with group:
        assert group.parts == tuple(parts)
        assert {part.state for part in parts} == {State.RUNNING}
        assert log == ["open a", "open b", "open c"]
        log.clear()
    assert log == [f"{what} {name}" for name in "cba" for what in ("drain", "drained", "close")]
    assert group.state is State.STOPPED


async def test_a_group_starts_again(log: list[str]) -> None:
    group = Group(Part(log, "a"), Part(log, "b"))
    for _ in range(3):
        async with group:
            assert log == ["open a", "open b"]
        log.clear()


async def test_together_they_start_side_by_side_and_stop_side_by_side(log: list[str]) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    parts = [Part(log, name, opening=gates[0], draining=gates[1]) for name in "ab"]
    group = Group(*parts, together=True)
    starting = asyncio.create_task(group.start())
    while len(log) < 2:
        await asyncio.sleep(0)
    assert sorted(log) == ["open a", "open b"]
    gates[0].set()
    await starting
    stopping = asyncio.create_task(group.stop())
    while len(log) < 4:
        await asyncio.sleep(0)
    assert sorted(log[2:]) == ["drain a", "drain b"]
    gates[1].set()
    await stopping


# Failures


@pytest.mark.parametrize("together", [False, True])
async def test_one_that_does_not_start_stops_those_that_run_and_is_named(
    log: list[str], reported: list[Any], together: bool
) -> None:
    refused = OSError("no port")
    group = Group(
        Part(log, "a"), Part(log, "b", open=refused), Part(log, "c"), together=together, name="app"
    )
    with pytest.raises(OSError, match="no port") as caught:
        await group.start()
    assert caught.value is refused
    assert "<Part 'b' failed> of <Group 'app' starting> did not start" in notes(caught.value)
    assert group.state is State.FAILED
    assert "drained a" in log
    assert ("open c" in log) is together
    assert {part.state for part in group.parts} <= {State.NEW, State.STOPPED, State.FAILED}
    assert reported == []
    with pytest.raises(OSError, match="no port"):
        await group.wait_stopped()


async def test_one_that_fails_while_another_starts_ends_the_start(
    log: list[str], reported: list[Any]
) -> None:
    first, slow = Part(log, "first"), Part(log, "slow", opening=asyncio.Event())
    group = Group(first, Part(log, "other"), slow)
    starting = asyncio.create_task(group.start())
    while "open slow" not in log:
        await asyncio.sleep(0)
    first.fail(ConnectionError("lost"))
    with pytest.raises(ConnectionError, match="lost"):
        await starting
    assert slow.state is State.STOPPED
    assert "drained other" in log
    assert reported == []


@pytest.mark.parametrize("together", [False, True])
async def test_one_that_fails_stops_the_others_and_the_group_has_failed_by_its_error(
    log: list[str], reported: list[Any], caplog: pytest.LogCaptureFixture, together: bool
) -> None:
    parts = [Part(log, name) for name in "abc"]
    group = Group(*parts, together=together)
    await group.start()
    waiting = asyncio.create_task(group.wait_stopped())
    await asyncio.sleep(0)
    lost = ConnectionError("lost")
    parts[1].fail(lost)
    with pytest.raises(ConnectionError, match="lost") as caught:
        await waiting
    assert caught.value is lost
    assert "<Part 'b' failed> of <Group 'Group' running> failed" in notes(lost)
    assert group.state is State.FAILED
    assert [part.state for part in parts] == [State.STOPPED, State.FAILED, State.STOPPED]
    assert {"drained a", "drained c"} <= set(log)
    assert "drain b" not in log
    assert reported == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "<Part 'b' failed> failed, by ConnectionError: lost; the others are stopped" in (
        caplog.text
    )
    await group.stop()


async def test_a_failure_that_nobody_waits_for_reaches_the_event_loop_once(
    log: list[str], reported: list[Any]
) -> None:
    part = Part(log, "a")
    group = Group(part, Part(log, "b"))
    await group.start()
    await asyncio.sleep(0)
    part.fail(ConnectionError("lost"))
    while group.state is not State.FAILED:
        await asyncio.sleep(0)
    assert [type(context["exception"]) for context in reported] == [ConnectionError]


async def test_several_errors_are_raised_together(log: list[str], reported: list[Any]) -> None:
    first, second = Part(log, "a", drain=ValueError("a")), Part(log, "b", drain=ValueError("b"))
    group = Group(first, second, Part(log, "c"), name="app")
    await group.start()
    with pytest.raises(
        ExceptionGroup, match="<Group 'app' stopping>: several parts failed"
    ) as caught:
        await group.stop()
    assert [str(error) for error in caught.value.exceptions] == ["b", "a"]
    assert "<Part 'b' failed> of <Group 'app' stopping> did not stop cleanly" in notes(
        caught.value.exceptions[0]
    )
    assert log[-1] == "close a"
    assert reported == []


async def test_one_that_somebody_else_has_started_is_left_alone(log: list[str]) -> None:
    async with Part(log, "theirs") as theirs:
        group = Group(Part(log, "ours"), theirs)
        with pytest.raises(StateError, match="'theirs' running> cannot be started"):
            await group.start()
        assert theirs.state is State.RUNNING
    assert log.index("close ours") < log.index("drain theirs")


# Those that end


async def test_one_that_ends_by_itself_is_left_out_and_the_last_one_ends_the_group(
    log: list[str],
) -> None:
    part, calls = Part(log, "a"), []
    group = Group(part, Timer.after(0, lambda: calls.append(1)))
    await group.start()
    while not calls:
        await asyncio.sleep(0)
    assert group.state is State.RUNNING
    part.request_stop()
    await group.wait_stopped()
    assert group.state is State.STOPPED


async def test_a_group_whose_parts_all_end_before_it_runs_ends(log: list[str]) -> None:
    gate = asyncio.Event()

    slow = Part(log, "slow", opening=gate)
    group = Group(Timer.after(0, lambda: None), slow, Timer.after(0, gate.set), together=True)
    await group.start()
    slow.request_stop()
    async with asyncio.timeout(5):
        await group.wait_stopped()
    assert group.state is State.STOPPED


# The deadline


async def test_what_drains_shares_one_deadline_and_the_last_gets_what_is_left(
    log: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    time = asyncio.get_running_loop().time
    parts = [Part(log, name, draining=asyncio.Event(), stop_timeout=60) for name in "abc"]
    group = Group(*parts, stop_timeout=0.2)
    await group.start()
    begun = time()
    await group.stop()
    assert 0.19 < time() - begun < 1
    # Its time and the group's end at once: either may say so first.
    assert re.search(
        r"'c' stopping>: the time to drain is over|: .*Group part c$", caplog.text, re.MULTILINE
    )
    assert [line for line in log if line.startswith("close")] == ["close c", "close b", "close a"]
    assert not [line for line in log if line.startswith("drained")]


async def test_one_is_cut_at_its_own_timeout_and_leaves_the_rest_to_others(
    log: list[str],
) -> None:
    slow = Part(log, "slow", draining=asyncio.Event(), stop_timeout=0.05)
    group = Group(Part(log, "a"), slow, stop_timeout=30)
    await group.start()
    await group.stop()
    assert "drained slow" not in log
    assert log[-2:] == ["drained a", "close a"]


@pytest.mark.parametrize("when", ["with the stop", "later"])
async def test_a_stop_may_have_less_time_than_the_group(log: list[str], when: str) -> None:
    parts = [Part(log, name, draining=asyncio.Event(), stop_timeout=60) for name in "ab"]
    group = Group(Group(*parts), Part(log, "c"))
    await group.start()
    if when == "later":
        group.request_stop()
        while "drain b" not in log:
            await asyncio.sleep(0)
        group.request_stop(timeout=0.05)
    async with asyncio.timeout(2):
        await group.stop(timeout=0.05)
    assert log[-1] == "close a"


def test_by_default_the_time_is_what_the_parts_may_take(log: list[str]) -> None:
    parts = [Part(log, "a", stop_timeout=2), Part(log, "b", stop_timeout=3)]
    assert Group(*parts).stop_timeout == 5
    assert Group(*parts, together=True).stop_timeout == 3
    assert Group(Group(*parts), Part(log, "c", stop_timeout=math.inf)).stop_timeout == math.inf


async def test_a_stop_that_is_cancelled_releases_all_of_them(log: list[str]) -> None:
    parts = [Part(log, name, draining=asyncio.Event(), stop_timeout=60) for name in "ab"]
    group = Group(*parts)
    await group.start()
    stopping = asyncio.create_task(group.stop())
    while "drain b" not in log:
        await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert {part.state for part in parts} == {State.STOPPED}
    assert [line for line in log if line.startswith("close")] == ["close b", "close a"]


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_a_start_that_is_given_up_releases_what_runs_and_what_starts(
    log: list[str], reported: list[Any], how: str
) -> None:
    group = Group(Part(log, "a"), Part(log, "b", opening=asyncio.Event()), Part(log, "c"))
    starting = asyncio.create_task(group.start())
    while "open b" not in log:
        await asyncio.sleep(0)
    if how == "stop":
        await group.stop()
        with pytest.raises(StateError, match="stopped while it was starting"):
            await starting
    else:
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert sorted(line for line in log if line.startswith("close")) == ["close a", "close b"]
    assert "open c" not in log
    assert reported == []


async def test_a_part_may_stop_its_group(log: list[str]) -> None:
    class Stopping(Part):
        async def _open(self) -> None:
            self.run(self.stop_all())

        async def stop_all(self) -> None:
            await asked.wait()
            await group.stop()  # which would wait for itself
            self.log.append("asked")

    asked = asyncio.Event()
    group = Group(Stopping(log, "a"), Part(log, "b"))
    await group.start()
    asked.set()
    async with asyncio.timeout(5):
        await group.wait_stopped()
    stops = [f"{what} {name}" for name in "ba" for what in ("drain", "drained", "close")]
    assert log == ["open b", "asked", *stops]


async def test_groups_within_groups_stop_and_fail_as_parts(
    log: list[str], reported: list[Any]
) -> None:
    inner = Part(log, "inner")
    group = Group(Part(log, "a"), Group(inner, Part(log, "b"), name="pair"), name="app")
    await group.start()
    waiting = asyncio.create_task(group.wait_stopped())
    await asyncio.sleep(0)
    inner.fail(ConnectionError("lost"))
    with pytest.raises(ConnectionError, match="lost") as caught:
        await waiting
    assert notes(caught.value).splitlines() == [
        "<Part 'inner' failed> of <Group 'pair' running> failed",
        "<Group 'pair' failed> of <Group 'app' running> failed",
    ]
    assert log[-1] == "close a"
    assert reported == []


def test_what_a_group_cannot_be_made_of_is_refused(log: list[str]) -> None:
    part = Part(log, "a")
    with pytest.raises(TypeError, match="made of components, got an object of type function"):
        Group(part, lambda: part)  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(ValueError, match="at least one component"):
        Group()
    with pytest.raises(ValueError, match="in a group once"):
        Group(part, part)
    with pytest.raises(ValueError, match="stop_timeout must not be negative"):
        Group(part, stop_timeout=-1)


async def test_a_start_that_is_cancelled_from_inside_fails_and_stops_those_that_run(
    log: list[str],
) -> None:
    class Broken(Component):
        async def _open(self) -> None:
            raise asyncio.CancelledError

        async def _close(self) -> None: ...

    first = Part(log, "first")
    group = Group(first, Broken())
    with pytest.raises(StateError, match="was cancelled from inside"):
        await group.start()
    assert (group.state, first.state) == (State.FAILED, State.STOPPED)
