import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.core import ManualClock, State, StateError, Timer
from tests.core.turning import advance, settle


class Calls:
    """A function that notes the times of its calls; async ones last until they are released."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.times: list[float] = []
        self.release = asyncio.Event()
        self.ended = 0
        self.cancelled = 0

    def plain(self) -> None:
        self.times.append(round(self.clock.time(), 9))

    async def lasting(self) -> None:
        self.plain()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.ended += 1


@pytest.fixture
def calls(clock: ManualClock) -> Calls:
    return Calls(clock)


async def test_after_calls_once_after_its_delay(clock: ManualClock, calls: Calls) -> None:
    async with Timer.after(5.0, calls.plain, clock=clock) as timer:
        clock.advance(4.9)
        assert calls.times == []
        clock.advance(100)
        await timer.wait()
    assert calls.times == [105.0]
    assert timer.state is State.STOPPED


async def test_a_delay_of_zero_calls_at_once(clock: ManualClock, calls: Calls) -> None:
    async with Timer.every(1.0, calls.plain, delay=0, clock=clock):
        clock.advance(0)
        assert calls.times == [100.0]
        clock.advance(1)
        assert calls.times == [100.0, 101.0]
    async with Timer.after(0, calls.plain, clock=clock) as timer:
        clock.advance(0)
        await timer.wait()
    assert calls.times[2:] == [101.0]


async def test_every_calls_for_ever_after_one_interval(clock: ManualClock, calls: Calls) -> None:
    async with Timer.every(2.0, calls.plain, clock=clock) as timer:
        clock.advance(2000)
        assert timer.state is State.RUNNING
    assert calls.times == [102.0 + 2 * n for n in range(1000)]


async def test_the_first_tick_may_have_a_delay_of_its_own(clock: ManualClock, calls: Calls) -> None:
    async with Timer.every(2.0, calls.plain, delay=0.5, times=3, clock=clock) as timer:
        clock.advance(10)
        await timer.wait()
    assert calls.times == [100.5, 102.5, 104.5]


async def test_times_makes_this_many_calls_and_ends(clock: ManualClock, calls: Calls) -> None:
    async with Timer.every(1.0, calls.plain, times=3, clock=clock) as timer:
        clock.advance(10)
        await timer.wait()
        assert timer.state is State.STOPPED
    assert calls.times == [101.0, 102.0, 103.0]
    assert timer.stats.fired == 3


async def test_repeats_count_calls_made_not_ticks_skipped(clock: ManualClock, calls: Calls) -> None:
    async with Timer.every(1.0, calls.lasting, times=2, clock=clock) as timer:
        await advance(clock, 5.0)
        assert timer.stats.fired == 1
        assert timer.stats.missed == 4
        calls.release.set()
        await advance(clock, 1.0)
        await timer.wait()
    assert calls.times == [101.0, 106.0]
    assert timer.stats.fired == 2


async def test_functools_partial_gives_the_function_arguments(clock: ManualClock) -> None:
    got: list[int] = []
    async with Timer.after(1.0, partial(got.append, 7), clock=clock) as timer:
        clock.advance(1)
        await timer.wait()
    assert got == [7]


async def test_a_call_that_takes_long_does_not_shift_later_ticks(clock: ManualClock) -> None:
    times: list[float] = []

    def slow() -> None:
        times.append(clock.time())
        clock.advance(0.3)

    async with Timer.every(1.0, slow, times=5, clock=clock) as timer:
        clock.advance(10)
        await timer.wait()
    assert times == [101.0, 102.0, 103.0, 104.0, 105.0]
    assert timer.stats.missed == 0


async def test_ticks_that_come_due_during_a_plain_call_are_skipped(clock: ManualClock) -> None:
    times: list[float] = []

    def slow() -> None:
        times.append(clock.time())
        if len(times) == 1:
            clock.advance(3.5)

    async with Timer.every(1.0, slow, times=3, clock=clock) as timer:
        clock.advance(10)
        await timer.wait()
    assert times == [101.0, 105.0, 106.0]
    assert timer.stats.missed == 3


async def test_queue_makes_up_for_ticks_that_came_due_during_a_plain_call(
    clock: ManualClock,
) -> None:
    times: list[float] = []

    def slow() -> None:
        times.append(clock.time())
        if len(times) == 1:
            clock.advance(2.5)

    async with Timer.every(1.0, slow, times=5, overlap="queue", clock=clock) as timer:
        clock.advance(10)
        await timer.wait()
    assert times == [101.0, 103.5, 103.5, 104.0, 105.0]
    assert timer.stats.missed == 0
    assert timer.stats.max_lateness == 1.5


async def test_skip_leaves_out_the_ticks_of_a_running_async_call(
    clock: ManualClock, calls: Calls
) -> None:
    async with Timer.every(1.0, calls.lasting, clock=clock) as timer:
        await advance(clock, 3.5)
        assert calls.times == [101.0]
        calls.release.set()
        await settle()
        await advance(clock, 1.0)
        assert calls.times == [101.0, 104.0]
    assert (timer.stats.fired, timer.stats.missed, timer.stats.overlapped) == (2, 2, 2)


async def test_queue_makes_up_for_the_ticks_of_a_running_async_call(
    clock: ManualClock, calls: Calls
) -> None:
    async with Timer.every(1.0, calls.lasting, times=3, overlap="queue", clock=clock) as timer:
        await advance(clock, 6)
        assert calls.times == [101.0]
        calls.release.set()
        await timer.wait()
    assert calls.ended == 3
    assert (timer.stats.fired, timer.stats.missed, timer.stats.overlapped) == (3, 0, 2)


async def test_cancel_ends_a_running_call_for_the_next_one(
    clock: ManualClock, calls: Calls
) -> None:
    async with Timer.every(1.0, calls.lasting, times=3, overlap="cancel", clock=clock) as timer:
        await advance(clock, 3)
        assert calls.times == [101.0, 102.0, 103.0]
        assert calls.cancelled == 2
        calls.release.set()
        await timer.wait()
    assert calls.ended == 1
    assert (timer.stats.fired, timer.stats.missed, timer.stats.overlapped) == (3, 0, 2)


async def test_jitter_delays_single_calls_and_never_the_schedule(
    clock: ManualClock, calls: Calls
) -> None:
    async with Timer.every(1.0, calls.plain, jitter=0.5, times=200, clock=clock) as timer:
        clock.advance(1000)
        await timer.wait()
    offsets = [time - 101.0 - n for n, time in enumerate(calls.times)]
    assert all(0 <= offset < 0.5 for offset in offsets)
    assert max(offsets) > 0.4
    assert min(offsets) < 0.1


async def test_a_pause_holds_the_schedule_and_resume_goes_on_with_it(
    clock: ManualClock, calls: Calls
) -> None:
    async with Timer.every(1.0, calls.plain, clock=clock) as timer:
        clock.advance(1.4)
        timer.pause()
        timer.pause()
        clock.advance(10)
        timer.resume()
        timer.resume()
        clock.advance(1.6)
    assert calls.times == [101.0, 112.0, 113.0]
    assert timer.stats.missed == 0


async def test_a_single_shot_can_be_paused(clock: ManualClock, calls: Calls) -> None:
    async with Timer.after(5.0, calls.plain, clock=clock) as timer:
        clock.advance(2)
        timer.pause()
        clock.advance(50)
        timer.resume()
        clock.advance(3)
        await timer.wait()
    assert calls.times == [155.0]


async def test_pausing_during_an_async_call_lets_it_finish(
    clock: ManualClock, calls: Calls
) -> None:
    async with Timer.every(1.0, calls.lasting, clock=clock) as timer:
        await advance(clock, 1.0)
        timer.pause()
        calls.release.set()
        await advance(clock, 10)
        assert calls.ended == 1
        assert calls.times == [101.0]


async def test_reset_starts_the_interval_anew(clock: ManualClock, calls: Calls) -> None:
    async with Timer.every(1.0, calls.plain, clock=clock) as timer:
        clock.advance(1.9)
        timer.reset()
        clock.advance(0.9)
        assert calls.times == [101.0]
        clock.advance(1.1)
    assert calls.times == [101.0, 102.9, 103.9]


async def test_a_watchdog_that_is_reset_in_time_never_fires(
    clock: ManualClock, calls: Calls
) -> None:
    async with Timer.after(5.0, calls.plain, clock=clock) as timer:
        for _ in range(10):
            clock.advance(4)
            timer.reset()
        assert calls.times == []
        clock.advance(5)
        await timer.wait()
    assert calls.times == [145.0]


async def test_reset_while_paused_leaves_a_whole_interval_after_resume(
    clock: ManualClock, calls: Calls
) -> None:
    async with Timer.every(1.0, calls.plain, clock=clock) as timer:
        clock.advance(0.9)
        timer.pause()
        clock.advance(3)
        timer.reset()
        clock.advance(3)
        timer.resume()
        clock.advance(1.0)
    assert calls.times == [107.9]


@pytest.mark.parametrize("verb", ["pause", "resume", "reset"])
async def test_the_schedule_of_a_timer_that_is_not_running_cannot_be_changed(verb: str) -> None:
    timer = Timer.after(1.0, int)
    with pytest.raises(StateError, match="it is new"):
        getattr(timer, verb)()


async def test_stopping_a_timer_from_inside_its_plain_function(clock: ManualClock) -> None:
    times: list[float] = []

    def func() -> None:
        times.append(clock.time())
        timer.request_stop()

    async with Timer.every(1.0, func, clock=clock) as timer:
        clock.advance(5)
        await timer.wait()
    assert times == [101.0]


async def test_stopping_a_timer_from_inside_its_async_function(clock: ManualClock) -> None:
    ended: list[float] = []

    async def func() -> None:
        await timer.stop()
        await asyncio.sleep(0)
        ended.append(clock.time())

    async with Timer.every(1.0, func, clock=clock) as timer:
        clock.advance(1)
        await timer.wait()
        clock.advance(5)
    assert ended == [101.0]
    assert timer.state is State.STOPPED


async def test_stop_waits_for_the_running_call(clock: ManualClock, calls: Calls) -> None:
    timer = Timer.every(1.0, calls.lasting, clock=clock)
    await timer.start()
    await advance(clock, 1)
    stopping = asyncio.create_task(timer.stop())
    await settle()
    assert not stopping.done()
    calls.release.set()
    await stopping
    assert calls.ended == 1


async def test_stop_cancels_a_call_that_outlasts_the_stop_timeout(
    clock: ManualClock, calls: Calls
) -> None:
    timer = Timer.every(1.0, calls.lasting, clock=clock, stop_timeout=0.01)
    async with timer:
        await advance(clock, 1)
    assert (calls.ended, calls.cancelled) == (0, 1)


async def test_stopping_drops_queued_calls(clock: ManualClock, calls: Calls) -> None:
    async with Timer.every(1.0, calls.lasting, overlap="queue", clock=clock) as timer:
        await advance(clock, 3)
        calls.release.set()
    assert calls.ended == 1
    assert timer.stats.fired == 1


async def test_a_stopped_timer_starts_again_from_zero(clock: ManualClock, calls: Calls) -> None:
    timer = Timer.every(1.0, calls.plain, times=2, clock=clock)
    for _ in range(2):
        async with timer:
            clock.advance(5)
            await timer.wait()
            assert timer.stats.fired == 2
    assert calls.times == [101.0, 102.0, 106.0, 107.0]


async def test_the_shortest_interval_survives_the_longest_wait(clock: ManualClock) -> None:
    async with Timer.every(1e-6, int, clock=clock) as timer:
        timer.pause()
        clock.advance(1e9)
        timer.resume()
        timer.reset()
        clock.advance(2e-6)
        assert timer.state is State.RUNNING
        assert timer.stats.fired == 2


async def test_the_longest_interval_starts_on_the_event_loop() -> None:
    async with Timer.every(sys.float_info.max, int, jitter=sys.float_info.max) as timer:
        await settle()
        assert timer.state is State.RUNNING


@pytest.mark.skipif(sys.gettrace() is not None, reason="tracing takes the time that it measures")
async def test_20_000_timers_start_and_stop_within_a_second() -> None:
    timers = [Timer.every(60.0, int) for _ in range(20_000)]
    # The time of this process alone, whatever else the machine is doing.
    before = time.process_time()
    for timer in timers:
        await timer.start()
    for timer in timers:
        await timer.stop()
    assert time.process_time() - before < 1.0
    assert {timer.state for timer in timers} == {State.STOPPED}


async def test_starting_and_stopping_a_timer_takes_no_turn_of_the_event_loop() -> None:
    timer = Timer.every(60.0, int)
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "turn")
    async with timer:
        assert timer.state is State.RUNNING
    assert timer.state is State.STOPPED
    assert not turns


async def test_a_clock_that_fails_at_the_start_fails_the_start(clock: ManualClock) -> None:
    class Broken(ManualClock):
        def call_at(self, when: float, callback: Callable[[], object], /) -> Any:
            raise OSError("no time")

    timer = Timer.every(1.0, int, clock=Broken())
    with pytest.raises(OSError, match="no time"):
        await timer.start()
    assert timer.state is State.FAILED


async def test_a_clock_that_fails_at_the_stop_fails_the_stop(reported: list[Any]) -> None:
    class Handle:
        def cancel(self) -> None:
            raise OSError("no time")

    class Broken(ManualClock):
        def call_at(self, when: float, callback: Callable[[], object], /) -> Any:
            return Handle()

    timer = Timer.every(1.0, int, clock=Broken())
    await timer.start()
    with pytest.raises(OSError, match="no time"):
        await timer.stop()
    assert timer.state is State.FAILED
    with pytest.raises(OSError, match="no time"):
        await timer.wait()
    assert not reported


async def test_a_timer_stopped_by_a_task_that_its_plain_function_made(clock: ManualClock) -> None:
    tasks: list[asyncio.Task[None]] = []

    def func() -> None:
        tasks.append(asyncio.create_task(timer.stop()))

    async with Timer.every(1.0, func, clock=clock) as timer:
        clock.advance(1)
        await asyncio.wait_for(timer.wait(), 1.0)
        await asyncio.gather(*tasks)
    assert timer.state is State.STOPPED
    assert timer.stats.fired == 1


@given(
    interval=st.floats(min_value=0.001, max_value=10),
    steps=st.lists(st.floats(min_value=0, max_value=100), max_size=20),
)
def test_every_tick_of_any_schedule_is_called_or_counted_as_missed(
    interval: float, steps: list[float]
) -> None:
    async def main() -> None:
        clock = ManualClock()
        blocked = iter(steps)

        def func() -> None:
            clock.advance(next(blocked, 0.0))

        async with Timer.every(interval, func, clock=clock) as timer:
            clock.advance(100 * interval)
            due = clock.time() / interval
        assert abs(timer.stats.fired + timer.stats.missed - due) <= 1 + due * 1e-9

    asyncio.run(main())


async def test_on_the_event_loops_own_clock_ticks_do_not_drift() -> None:
    loop = asyncio.get_running_loop()
    seen: list[float] = []
    timer = Timer.every(0.01, lambda: seen.append(loop.time()), times=30)
    before = loop.time()
    async with timer:
        await timer.wait()
    # The n-th tick that was served lies on the grid, never before its time.
    ticks = [(time - before) / 0.01 for time in seen]
    assert all(tick >= n + 1 - 0.1 for n, tick in enumerate(ticks))
    assert timer.stats.fired == 30
    assert round(ticks[-1] - timer.stats.lateness / 0.01) <= 30 + timer.stats.missed


seen: ContextVar[int] = ContextVar("seen", default=0)


async def test_what_a_call_sets_in_its_context_no_other_sees(clock: ManualClock) -> None:
    found: list[int] = []

    def note() -> None:
        found.append(seen.get())
        seen.set(len(found))

    async def note_later() -> None:
        note()

    def note_and_look_later() -> Awaitable[None]:
        note()

        async def look() -> None:
            assert seen.get() == len(found)

        return look()

    seen.set(-1)
    for function in (note, note_later, note_and_look_later):
        for overlap in ("skip", "queue", "cancel"):
            found.clear()
            timer = Timer.every(1.0, function, times=4, overlap=overlap, clock=clock)
            async with timer:
                seen.set(-2)
                for _ in range(4):
                    clock.advance(1.0)
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                await timer.wait()
            assert found == [-1] * 4
            seen.set(-1)
