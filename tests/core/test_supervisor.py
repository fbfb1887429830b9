"""Components that are started again when they fail."""

import asyncio
import logging
from typing import Any

import pytest

from gestalt.core import Backoff, Component, Group, State, StateError, Supervisor, TooManyRestarts
from gestalt.core.metrics import measure
from tests.support.waiting import until

AT_ONCE = Backoff(initial=1e-9, maximum=1e-9)
NEVER = Backoff(initial=1e9, maximum=1e9)


class Child(Component):
    """Notes its life in a log that it shares with others."""

    def __init__(
        self,
        log: list[str],
        name: str = "a",
        *,
        refusals: list[Exception] | None = None,
        opening: asyncio.Event | None = None,
        draining: asyncio.Event | None = None,
        stop_timeout: float = 5.0,
    ) -> None:
        super().__init__(name=name, stop_timeout=stop_timeout)
        self.log = log
        self.refusals = refusals or []
        self.opening = opening
        self.draining = draining
        self.opened = 0

    async def _open(self) -> None:
        self.log.append(f"open {self.name}")
        self.opened += 1
        if self.opening is not None and self.opened > 1:
            await self.opening.wait()
        if self.refusals and self.opened > 1:
            raise self.refusals.pop(0)

    async def _drain(self) -> None:
        self.log.append(f"drain {self.name}")
        if self.draining is not None:
            await self.draining.wait()

    async def _close(self) -> None:
        self.log.append(f"close {self.name}")

    def fail(self, error: Exception) -> None:
        self._fail(error)


async def ended(supervisor: Supervisor) -> BaseException | None:
    """How a supervisor has ended."""
    try:
        async with asyncio.timeout(10):
            await supervisor.wait_stopped()
    except Exception as error:
        return error
    return None


@pytest.fixture
def log() -> list[str]:
    return []


async def test_one_that_fails_is_started_again_and_the_others_do_not_notice(
    log: list[str], reported: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    a, b, c = children = [Child(log, name) for name in "abc"]
    async with Supervisor(*children, backoff=AT_ONCE) as supervisor:
        assert log == ["open a", "open b", "open c"]
        b.fail(ConnectionError("lost"))
        await until(lambda: b.opened == 2 and b.state is State.RUNNING)
        assert log[3:] == ["close b", "open b"]
        assert supervisor.restarts == 1
        assert supervisor.running == (a, b, c)
        log.clear()
    assert log == [f"{what} {name}" for name in "cba" for what in ("drain", "close")]
    assert (supervisor.state, supervisor.reported) == (State.STOPPED, 1)
    [line] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "<Child 'b' failed> failed, and starts again in 0.00 s" in line.message
    assert line.exc_info is not None
    assert reported == []


async def test_a_factory_makes_a_new_one_for_each_start(log: list[str]) -> None:
    made: list[Child] = []

    def plain() -> Child:
        made.append(Child(log, f"plain{len(made)}"))
        return made[-1]

    async def later() -> Child:
        await asyncio.sleep(0)
        return plain()

    async with Supervisor(plain, later, backoff=AT_ONCE) as supervisor:
        assert supervisor.running == tuple(made)
        for index in (0, 1):
            made[index].fail(ValueError("broken"))
            await until(lambda: len(supervisor.running) == 2 and len(made) == 3 + index)  # noqa: B023
        assert supervisor.running == (made[2], made[3])
    assert {each.state for each in made[2:]} == {State.STOPPED}


async def test_what_is_to_restart_together_is_a_group(log: list[str]) -> None:
    a, b, other = (Child(log, name) for name in ("a", "b", "other"))
    async with Supervisor(Group(a, b), other, backoff=AT_ONCE) as supervisor:
        log.clear()
        a.fail(ValueError("broken"))
        await until(lambda: supervisor.restarts == 1 and len(supervisor.running) == 2)
        assert log == ["close a", "drain b", "close b", "open a", "open b"]


async def test_a_restart_that_fails_is_a_failure_as_well(log: list[str]) -> None:
    refusals: list[Exception] = [OSError(f"no port {number}") for number in range(3)]
    child = Child(log, refusals=refusals)
    async with Supervisor(child, backoff=AT_ONCE) as supervisor:
        child.fail(ConnectionError("lost"))
        await until(lambda: child.state is State.RUNNING and child.opened == 5)
        assert supervisor.restarts == 4


async def test_too_many_restarts_within_a_period_end_it_with_the_errors_that_led_there(
    log: list[str], reported: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    a, b = Child(log, "a"), Child(log, "b")
    supervisor = Supervisor(a, b, backoff=AT_ONCE, max_restarts=2, name="app")
    await supervisor.start()
    ending = asyncio.create_task(ended(supervisor))
    errors = [ConnectionError(f"lost {number}") for number in range(3)]
    for number, error in enumerate(errors):
        a.fail(error)
        await until(lambda: a.opened == number + 2 or supervisor.state is State.FAILED)  # noqa: B023
    failure = await ending
    assert isinstance(failure, TooManyRestarts)
    assert failure.errors == errors
    assert isinstance(failure.__cause__, BaseExceptionGroup)
    assert list(failure.__cause__.exceptions) == errors
    assert str(failure) == (
        "<Supervisor 'app' running>: children failed 3 times within 60 s, the last one "
        "<Child 'a' failed>, by ConnectionError: lost 2"
    )
    assert log[-2:] == ["drain b", "close b"], "the other was not stopped gracefully"
    assert supervisor.restarts == 2
    assert reported == []
    assert f"{failure}; the others are stopped" in caplog.text


async def test_restarts_are_counted_within_the_period_alone(log: list[str]) -> None:
    child = Child(log)
    async with Supervisor(child, backoff=AT_ONCE, max_restarts=1, period=0.0) as supervisor:
        for number in range(10):
            child.fail(ConnectionError("lost"))
            await until(lambda: child.opened == number + 2 and child.state is State.RUNNING)  # noqa: B023
        assert supervisor.restarts == 10


async def test_without_a_bound_it_goes_on_and_keeps_nothing(log: list[str]) -> None:
    child = Child(log)
    async with Supervisor(child, backoff=AT_ONCE, max_restarts=None) as supervisor:
        for number in range(20):
            child.fail(ConnectionError("lost"))
            await until(lambda: child.opened == number + 2 and child.state is State.RUNNING)  # noqa: B023
        assert supervisor.restarts == 20


@pytest.mark.parametrize("restart", ["never", "on-failure"])
async def test_one_that_ends_by_itself_is_left_out_and_the_last_one_ends_the_supervisor(
    log: list[str], restart: Any
) -> None:
    a, b = Child(log, "a"), Child(log, "b")
    supervisor = Supervisor(a, b, restart=restart)
    await supervisor.start()
    ending = asyncio.create_task(ended(supervisor))
    await a.stop()
    await until(lambda: supervisor.running == (b,))
    assert supervisor.state is State.RUNNING
    await b.stop()
    assert await ending is None
    assert (supervisor.state, supervisor.restarts) == (State.STOPPED, 0)


async def test_always_means_also_one_that_ends_by_itself(log: list[str]) -> None:
    child = Child(log)
    supervisor = Supervisor(child, restart="always", backoff=AT_ONCE, max_restarts=1)
    await supervisor.start()
    ending = asyncio.create_task(ended(supervisor))
    await child.stop()
    await until(lambda: child.opened == 2)
    await until(lambda: child.state is State.RUNNING)
    await child.stop()
    failure = await ending
    assert isinstance(failure, TooManyRestarts)
    assert "has ended, and is to run always" in str(failure)


async def test_never_goes_on_without_it_tells_of_it_and_fails_when_all_have_ended(
    log: list[str], reported: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    a, b = Child(log, "a"), Child(log, "b")
    supervisor = Supervisor(a, b, restart="never")
    await supervisor.start()
    ending = asyncio.create_task(ended(supervisor))
    lost = ConnectionError("lost")
    a.fail(lost)
    await until(lambda: supervisor.running == (b,))
    assert "<Child 'a' failed> failed, and is not started again" in caplog.text
    await b.stop()
    assert await ending is lost
    # Of a stop that was asked for, an error of which was told long ago is not the result.
    await supervisor.start()
    a.fail(lost)
    await until(lambda: supervisor.running == (b,))
    await supervisor.stop()
    assert supervisor.state is State.STOPPED
    assert reported == []


async def test_a_first_start_that_fails_stops_those_that_run_and_is_raised(
    log: list[str], reported: list[Any]
) -> None:
    def broken() -> Child:
        raise OSError("no port")

    first = Child(log, "first")
    supervisor = Supervisor(first, broken, Child(log, "last"), name="app")
    with pytest.raises(OSError, match="no port") as caught:
        await supervisor.start()
    assert caught.value.__notes__ == ["'broken' of <Supervisor 'app' starting> did not start"]
    assert log == ["open first", "drain first", "close first"]
    assert supervisor.state is State.FAILED
    assert reported == []


async def test_too_many_restarts_while_another_starts_end_the_start(
    log: list[str], reported: list[Any]
) -> None:
    first, slow = Child(log, "first"), Child(log, "slow", opening=asyncio.Event())
    slow.opened = 1
    supervisor = Supervisor(first, slow, max_restarts=0)
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: "open slow" in log)
    lost = ConnectionError("lost")
    first.fail(lost)
    with pytest.raises(TooManyRestarts) as caught:
        await starting
    assert caught.value.__cause__ is lost
    assert slow.state is State.STOPPED
    assert reported == []


async def test_together_they_start_and_stop_side_by_side(log: list[str]) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    children = [Child(log, name, opening=gates[0], draining=gates[1]) for name in "ab"]
    for child in children:
        child.opened = 1
    supervisor = Supervisor(*children, together=True)
    assert supervisor.stop_timeout == 5.0
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: log == ["open a", "open b"])
    gates[0].set()
    await starting
    stopping = asyncio.create_task(supervisor.stop())
    await until(lambda: log[2:] == ["drain b", "drain a"])
    gates[1].set()
    await stopping


async def test_together_one_that_does_not_start_ends_the_start_of_the_others(
    log: list[str], reported: list[Any]
) -> None:
    slow, broken = Child(log, "slow", opening=asyncio.Event()), Child(log, "broken")
    slow.opened = broken.opened = 1
    broken.refusals = [OSError("no port")]
    with pytest.raises(OSError, match="no port"):
        await Supervisor(slow, broken, Child(log, "c"), together=True).start()
    assert (slow.state, broken.state) == (State.STOPPED, State.FAILED)
    assert log[-2:] == ["drain c", "close c"]
    assert reported == []


async def test_what_fails_while_another_starts_is_started_again(log: list[str]) -> None:
    gate = asyncio.Event()
    first, slow = Child(log, "first"), Child(log, "slow", opening=gate)
    slow.opened = 1
    supervisor = Supervisor(first, slow, backoff=AT_ONCE)
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: "open slow" in log)
    first.fail(ConnectionError("lost"))
    await until(lambda: first.opened == 2)
    gate.set()
    await starting
    assert supervisor.running == (first, slow)
    await supervisor.stop()


async def test_one_that_ended_before_the_others_ran_does_not_hold_it(log: list[str]) -> None:
    child = Child(log)

    async def stopping() -> Child:
        await child.stop()
        other = Child(log, "b")
        asyncio.get_running_loop().call_soon(other.request_stop)
        return other

    supervisor = Supervisor(child, stopping)
    with pytest.raises(StateError, match="stopped while it was starting"):
        await supervisor.start()
    supervisor = Supervisor(child)
    await supervisor.start()
    child.request_stop()
    assert await ended(supervisor) is None


# The stop


async def test_a_stop_does_not_wait_for_a_restart_that_is_far_off(
    log: list[str], reported: list[Any]
) -> None:
    child, other = Child(log), Child(log, "other")
    supervisor = Supervisor(child, other, backoff=NEVER)
    await supervisor.start()
    child.fail(ConnectionError("lost"))
    await until(lambda: supervisor.running == (other,))
    async with asyncio.timeout(5):
        await supervisor.stop()
    assert (child.state, other.state) == (State.FAILED, State.STOPPED)
    assert reported == []


async def test_a_stop_gives_up_a_restart_that_is_under_way(log: list[str]) -> None:
    child = Child(log, opening=asyncio.Event())
    supervisor = Supervisor(child, backoff=AT_ONCE)
    await supervisor.start()
    child.fail(ConnectionError("lost"))
    await until(lambda: child.state is State.STARTING)
    async with asyncio.timeout(5):
        await supervisor.stop()
    assert child.state is State.STOPPED
    assert log == ["open a", "close a", "open a", "close a"]


async def test_a_stop_has_one_deadline_for_all(log: list[str]) -> None:
    children = [Child(log, name, draining=asyncio.Event()) for name in "abc"]
    supervisor = Supervisor(*children)
    assert supervisor.stop_timeout == 15.0
    await supervisor.start()
    loop = asyncio.get_running_loop()
    before = loop.time()
    stopping = asyncio.create_task(supervisor.stop(timeout=60))
    await until(lambda: "drain c" in log)
    await supervisor.stop(timeout=0.05)
    await stopping
    assert loop.time() - before < 2.0
    assert {child.state for child in children} == {State.STOPPED}
    assert log[3:] == ["drain c", "close c", "drain b", "close b", "drain a", "close a"]


async def test_a_stop_that_is_cancelled_closes_all(log: list[str]) -> None:
    children = [Child(log, name, draining=asyncio.Event()) for name in "ab"]
    supervisor = Supervisor(*children)
    await supervisor.start()
    stopping = asyncio.create_task(supervisor.stop())
    await until(lambda: "drain b" in log)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert {child.state for child in children} == {State.STOPPED}


async def test_a_start_that_is_cancelled_closes_all(log: list[str]) -> None:
    first, slow = Child(log, "first"), Child(log, "slow", opening=asyncio.Event())
    slow.opened = 1
    supervisor = Supervisor(first, slow)
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: "open slow" in log)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (first.state, slow.state) == (State.STOPPED, State.STOPPED)


async def test_one_that_fails_while_it_stops_is_not_started_again_and_is_told_of(
    log: list[str],
) -> None:
    gate = asyncio.Event()
    child = Child(log, draining=gate)
    supervisor = Supervisor(child, restart="always", backoff=AT_ONCE)
    await supervisor.start()
    stopping = asyncio.create_task(supervisor.stop())
    await until(lambda: "drain a" in log)
    child.fail(ValueError("broken"))
    gate.set()
    with pytest.raises(ValueError, match="broken"):
        await stopping
    assert child.opened == 1


async def test_a_supervisor_starts_again_with_nothing_held_against_it(log: list[str]) -> None:
    child = Child(log)
    supervisor = Supervisor(child, backoff=AT_ONCE, max_restarts=0)
    for _ in range(2):
        await supervisor.start()
        child.fail(ConnectionError("lost"))
        assert isinstance(await ended(supervisor), TooManyRestarts)


async def test_supervisors_form_a_tree(log: list[str]) -> None:
    child = Child(log)
    inner = Supervisor(child, backoff=AT_ONCE, max_restarts=0, name="inner")
    async with Supervisor(inner, backoff=AT_ONCE) as outer:
        child.fail(ConnectionError("lost"))
        await until(lambda: outer.restarts == 1 and outer.running == (inner,))
        assert child.state is State.RUNNING


# Arguments


@pytest.mark.parametrize(
    ("children", "options", "error", "words"),
    [
        ([], {}, ValueError, "at least one child"),
        (["secret"], {}, TypeError, "that make one, got an object of type str"),
        ([print], {"restart": "sometimes"}, ValueError, "got an object of type str"),
        ([print], {"restart": 3}, ValueError, "got an object of type int"),
        ([print], {"max_restarts": -1}, ValueError, "max_restarts must not be negative"),
        ([print], {"period": -1}, ValueError, "period must not be negative"),
        ([print], {"period": "1"}, TypeError, "period must be an int or a float"),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_refused(
    children: list[Any], options: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Supervisor(*children, **options)


def test_a_component_is_there_once() -> None:
    child = Child([])
    with pytest.raises(ValueError, match="one supervisor, once"):
        Supervisor(child, child)


async def test_a_factory_that_makes_no_component_is_told_so() -> None:
    supervisor = Supervisor(lambda: "secret")  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="it returned an object of type str"):
        await supervisor.start()


def test_it_tells_its_factories() -> None:
    def make() -> Child:
        raise NotImplementedError

    assert Supervisor(Child([]), make).factories == (make,)


async def test_a_start_that_is_cancelled_from_inside_is_a_failure(log: list[str]) -> None:
    class Cancelling(Child):
        async def _open(self) -> None:
            await super()._open()
            if self.opened > 1:
                raise asyncio.CancelledError

    child = Cancelling(log)
    async with Supervisor(child, max_restarts=1, backoff=AT_ONCE) as supervisor:
        child.fail(OSError("lost"))
        error = await ended(supervisor)
    assert isinstance(error, TooManyRestarts)
    assert "was cancelled from inside" in str(error.__cause__)


async def test_its_metrics_are_what_runs_and_how_many_restarts_there_were(log: list[str]) -> None:
    a, b = Child(log, "a"), Child(log, "b")
    async with Supervisor(a, b, backoff=AT_ONCE) as supervisor:
        a.fail(ConnectionError("lost"))
        await until(lambda: supervisor.restarts == 1 and len(supervisor.running) == 2)
        found = {metric.name: metric.value for metric in measure(supervisor)}
        assert (found["parts"], found["restarted"], found["reported"]) == (2, 1, 1)


async def test_it_is_in_trouble_while_a_child_waits_for_its_next_start(log: list[str]) -> None:
    a, b = Child(log, "a"), Child(log, "b")
    async with Supervisor(a, b, backoff=NEVER) as supervisor:
        assert supervisor.ready
        await b.stop()
        # It has ended by itself, and is not to run again.
        assert supervisor.trouble is None
        a.fail(ConnectionError("lost"))
        await until(lambda: not supervisor.running)
        assert not supervisor.ready
        assert supervisor.trouble == "a is started again"


def test_a_supervisor_may_be_given_the_time_that_its_stop_has() -> None:
    assert Supervisor(Group, stop_timeout=2.5).stop_timeout == 2.5
