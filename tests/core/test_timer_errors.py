"""What a timer does when its function raises."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from gestalt.core import ManualClock, State, Timer
from tests.core.turning import advance


def failing(kind: str, errors: list[BaseException]) -> Callable[[], Any]:
    """A function that raises the errors in turn, then does nothing."""

    def plain() -> None:
        if errors:
            raise errors.pop(0)

    async def lasting() -> None:
        await asyncio.sleep(0)
        plain()

    return plain if kind == "plain" else lasting


@pytest.mark.parametrize("kind", ["plain", "async"])
class TestErrors:
    async def test_stop_is_the_default_and_wait_raises(
        self, clock: ManualClock, kind: str, reported: list[Any]
    ) -> None:
        func = failing(kind, [ZeroDivisionError("one")])
        async with Timer.every(1.0, func, clock=clock) as timer:
            waiting = asyncio.create_task(timer.wait())
            await advance(clock, 3)
            with pytest.raises(ZeroDivisionError, match="one"):
                await waiting
        assert timer.state is State.FAILED
        assert timer.stats.fired == 1
        assert not reported

    async def test_an_error_that_nobody_waits_for_is_reported(
        self, clock: ManualClock, kind: str, reported: list[Any]
    ) -> None:
        func = failing(kind, [ZeroDivisionError("one")])
        async with Timer.every(1.0, func, clock=clock) as timer:
            await advance(clock, 3)
            assert timer.state is State.FAILED
        assert [str(context["exception"]) for context in reported] == ["one"]

    async def test_continue_logs_and_goes_on(
        self,
        clock: ManualClock,
        kind: str,
        reported: list[Any],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        func = failing(kind, [ZeroDivisionError("one"), OSError("two")])
        async with Timer.every(1.0, func, times=3, on_error="continue", clock=clock) as timer:
            await advance(clock, 3)
            await timer.wait()
        logged = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
        assert logged == ["one", "two"]
        assert timer.reported == 2
        assert timer.stats.fired == 3
        assert not reported

    async def test_a_function_is_called_with_the_error(
        self, clock: ManualClock, kind: str, reported: list[Any]
    ) -> None:
        got: list[BaseException] = []
        func = failing(kind, [ZeroDivisionError("one"), asyncio.CancelledError("inner")])
        async with Timer.every(1.0, func, times=3, on_error=got.append, clock=clock) as timer:
            await advance(clock, 3)
            await timer.wait()
        assert [type(error) for error in got] == [ZeroDivisionError, asyncio.CancelledError]
        assert not reported

    async def test_an_error_of_the_error_function_is_logged_and_the_timer_goes_on(
        self,
        clock: ManualClock,
        kind: str,
        reported: list[Any],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def broken(error: BaseException) -> None:
            raise LookupError("handler broken") from error

        func = failing(kind, [ZeroDivisionError("one")])
        async with Timer.every(1.0, func, times=3, on_error=broken, clock=clock) as timer:
            await advance(clock, 3)
            await timer.wait()
        assert timer.stats.fired == 3
        assert timer.reported == 1
        assert "LookupError: handler broken" in caplog.text
        assert "ZeroDivisionError: one" in caplog.text
        assert not reported

    async def test_an_error_function_that_turns_out_to_be_async_is_told_of(
        self, clock: ManualClock, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handle(error: BaseException) -> None: ...

        func = failing(kind, [ZeroDivisionError("one")])
        on_error: Any = lambda error: handle(error)  # noqa: E731 - hides that it is async
        async with Timer.every(1.0, func, times=2, on_error=on_error, clock=clock) as timer:
            await advance(clock, 3)
            await timer.wait()
        assert "on_error must be a plain function, it returned a coroutine" in caplog.text


class Odd(BaseException):
    """Derived as some test frameworks and libraries derive theirs."""


async def test_a_timer_outlives_whatever_its_function_raises(clock: ManualClock) -> None:
    async def fail_later() -> None:
        raise Odd

    def fail() -> None:
        raise BaseExceptionGroup("of a library", [Odd()])

    def leave() -> None:
        raise GeneratorExit

    async def leave_later() -> None:
        await asyncio.sleep(0)
        leave()

    for function in (fail, fail_later, leave, leave_later):
        errors: list[BaseException] = []
        async with Timer.every(
            1.0, function, times=3, on_error=errors.append, clock=clock
        ) as timer:
            for _ in range(3):
                clock.advance(1.0)
                for _ in range(3):
                    await asyncio.sleep(0)
            await timer.wait()
        assert len(errors) == 3
    timer = Timer.every(1.0, fail, clock=clock)
    await timer.start()
    clock.advance(1.0)
    with pytest.raises(BaseExceptionGroup):
        await timer.wait()


def leave() -> None:
    sys.exit(7)


async def leave_at_once() -> None:
    leave()


def fail() -> None:
    raise OSError("an error to tell")


@pytest.mark.parametrize(
    ("func", "on_error"),
    [(leave, "stop"), (leave_at_once, "continue"), (fail, lambda error: leave())],
)
def test_sys_exit_in_what_a_timer_calls_ends_the_program(
    func: Callable[[], Any], on_error: Any
) -> None:
    async def main() -> None:
        async with Timer.every(0.001, func, times=1, on_error=on_error):
            await asyncio.sleep(10)

    with pytest.raises(SystemExit) as caught:
        asyncio.run(main())
    assert caught.value.code == 7
