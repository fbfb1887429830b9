"""1,000 timers at 10 ms: what keeping time costs, and whether it is kept."""

import asyncio
from collections.abc import Callable, Iterator

from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch

TIMERS = 1_000
INTERVAL = 0.01


class Counter:
    """What one timer calls: counts, and notes when the last call came."""

    __slots__ = ("count", "last", "origin", "time")

    def __init__(self, time: Callable[[], float], origin: float) -> None:
        self.time = time
        self.origin = origin
        self.count = 0
        self.last = origin

    def __call__(self) -> None:
        self.count += 1
        self.last = self.time()


class Counters:
    """The functions that the timers call, and what came of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._all: list[Counter] = []
        self._base = loop.time()
        self._watch = Stopwatch()

    def __iter__(self) -> Iterator[Counter]:
        """Give each timer its counter, their ticks spread over the interval."""
        for number in range(TIMERS):
            origin = max(self._base + INTERVAL * number / TIMERS, self._loop.time())
            self._all.append(Counter(self._loop.time, origin))
            yield self._all[-1]

    def measured(self) -> Measured:
        """Sum up, and say by how much the worst timer is off.

        Ticks off: the calls made against the ticks that came due. Drift: how long after it came due
        the last call came, when the n-th call belongs to the n-th tick.
        """
        end = self._loop.time()
        off = [abs(int((end - c.origin) / INTERVAL) - c.count) for c in self._all]
        drift = [c.last - c.origin - c.count * INTERVAL for c in self._all]
        return self._watch.stop(
            sum(counter.count for counter in self._all),
            {"worst ticks off": max(off), "worst drift ms": max(drift) * 1e3},
        )


async def call_at(run: Run) -> Measured:
    loop = asyncio.get_running_loop()
    handles: dict[Counter, asyncio.TimerHandle] = {}

    def schedule(counter: Counter, due: float) -> None:
        def tick() -> None:
            nonlocal due
            counter()
            due += INTERVAL
            handles[counter] = loop.call_at(due, tick)

        handles[counter] = loop.call_at(due, tick)

    counters = Counters(loop)
    for counter in counters:
        schedule(counter, counter.origin + INTERVAL)
    await asyncio.sleep(run.seconds)
    result = counters.measured()
    for handle in handles.values():
        handle.cancel()
    return result


async def timer(run: Run) -> Measured:
    from gestalt.core import Timer

    loop = asyncio.get_running_loop()
    counters = Counters(loop)
    timers = []
    for counter in counters:
        delay = max(0.0, counter.origin + INTERVAL - loop.time())
        timers.append(Timer.every(INTERVAL, counter, delay=delay, overlap="queue"))
        await timers[-1].start()
    await asyncio.sleep(run.seconds)
    result = counters.measured()
    # All at once: where the machine cannot keep up, each turn of the loop is a long one.
    await asyncio.gather(*(timer.stop() for timer in timers))
    return result


async def sleep(run: Run) -> Measured:
    loop = asyncio.get_running_loop()

    async def repeat(counter: Counter) -> None:
        await asyncio.sleep(counter.origin + INTERVAL - loop.time())
        while True:
            counter()
            await asyncio.sleep(INTERVAL)

    counters = Counters(loop)
    tasks = [asyncio.create_task(repeat(counter)) for counter in counters]
    await asyncio.sleep(run.seconds)
    result = counters.measured()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return result


BENCHMARK = Benchmark(
    title="1,000 timers at 10 ms",
    unit="tick",
    reference="loop.call_at chain",
    plot="cpu",
    seconds=5.0,
    quick_seconds=1.0,
    contenders=[
        Contender(
            name="loop.call_at chain",
            bare=True,
            run=call_at,
            work="a plain function, scheduled again by itself",
            guarantees="every tick, on absolute deadlines; an error ends the chain",
        ),
        Contender(
            name="gestalt.core Timer",
            package="gestalt-core",
            run=timer,
            work="a plain function, called by a component",
            guarantees="every tick, on absolute deadlines; errors and stop are handled",
        ),
        Contender(
            name="asyncio.sleep loop",
            bare=True,
            run=sleep,
            work="a plain function, called by a task",
            guarantees="none: each lateness adds to the drift",
        ),
    ],
    note="The rate is given by the schedule; what counts is the CPU time, the ticks and the drift.",
)
