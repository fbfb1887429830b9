"""What a benchmark is: the values that a benchmark's file declares, and what a contender meets.

Standard library only: contenders also run in environments that hold nothing of ours.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

Options = Mapping[str, Any]


class Unavailable(Exception):
    """The contender cannot run here. The sentence says what is missing."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of one contender came to.

    Args:
        count: how many units of work (messages, ticks, round trips) were done.
        seconds: how long that took, by the contender's own clock.
        cpu: CPU seconds that it took in this process; by default those of the whole call.
        extra: further numbers, each a column of its own, named with their unit: `{"p99 µs": 41.0}`.
    """

    count: int
    seconds: float
    cpu: float | None = None
    extra: Mapping[str, float] = field(default_factory=dict)


class Stopwatch:
    """Measures a part of a call: `watch = Stopwatch()`, the work, `watch.stop(count)`."""

    __slots__ = ("_cpu", "_time")

    def __init__(self) -> None:
        self._time = time.perf_counter()
        self._cpu = time.process_time()

    def stop(self, count: int, extra: Mapping[str, float] | None = None) -> Measured:
        """Return what was done since the start, in time and in CPU time."""
        seconds = time.perf_counter() - self._time
        return Measured(count, seconds, time.process_time() - self._cpu, extra or {})


class Run:
    """One call of a contender's function: what it is asked for, and its line to its partner.

    Attributes:
        seconds: how long to measure. A warm-up is a call like any other, only shorter.
        options: the case's options (message size, ...), and what the benchmark's setup gave.
        partner: for a client, what the server handed to `ready`.
    """

    def __init__(
        self,
        seconds: float,
        options: Options,
        *,
        partner: Options | None = None,
        deadline: float = 60.0,
        on_ready: Callable[[Options], None] = lambda info: None,
    ) -> None:
        self.seconds = seconds
        self.options = options
        self.partner: Options = partner or {}
        self._deadline = deadline
        self._on_ready = on_ready
        self._finished = threading.Event()
        self._outcome: Options = {}

    def ready(self, **info: Any) -> None:
        """Say that the server serves; its client is called now, with `info` in `run.partner`."""
        self._on_ready(info)

    def wait_finished(self) -> Options:
        """Wait, blocking this thread, until the client's function has returned.

        Returns:
            `{"count": ..., "seconds": ...}` of the client's `Measured`; empty when it gave none.

        Raises:
            TimeoutError: the client did not return before the deadline.
        """
        if not self._finished.wait(self._deadline):
            raise TimeoutError(f"the client did not finish within {self._deadline} s")
        return self._outcome

    async def finished(self) -> Options:
        """Wait, as `wait_finished` does, without blocking the event loop."""
        return await asyncio.to_thread(self.wait_finished)

    def finish(self, outcome: Options) -> None:
        """Tell the server's function that its client is done. The harness calls this."""
        self._outcome = outcome
        self._finished.set()


Function = Callable[[Run], "Measured | Awaitable[Measured | None] | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One row: a function that does the work, or a server's and a client's that share it.

    The functions are module-level ones, plain or async, and import their library inside, since
    the harness imports their module where that library is absent.

    Args:
        name: the row's name.
        work: what it does for each unit, in a few words.
        guarantees: what the user may rely on, in a few words.
        run: the function of a contender that works alone.
        server: the function that calls `run.ready`. One of the pair returns a `Measured`, the other
            None.
        client: the function that is called when the server is ready, in a process and on a core of
            its own.
        loop: the event loop of async functions, "asyncio" or "uvloop".
        package: the distribution whose version stands beside the name.
        environment: the hatch environment that it runs in, when it cannot share the harness's.
        bare: whether it is no library that one could use instead, but what the work takes at least:
            written for this benchmark, or a part of what the others do.
    """

    name: str
    work: str
    guarantees: str
    run: Function | None = None
    server: Function | None = None
    client: Function | None = None
    loop: str = "asyncio"
    package: str | None = None
    environment: str | None = None
    bare: bool = False

    def __post_init__(self) -> None:
        alone, pair = self.run is not None, (self.server is not None, self.client is not None)
        if pair != (not alone, not alone):
            raise ValueError(f"contender {self.name!r} needs either run, or server and client")
        if self.loop not in ("asyncio", "uvloop"):
            raise ValueError(f"contender {self.name!r}: loop {self.loop!r} is not known")

    @property
    def functions(self) -> tuple[Function, ...]:
        """The function of each of its processes, a server's before its client's."""
        return tuple(f for f in (self.run, self.server, self.client) if f is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One question, put to several contenders. A benchmark's file holds one as `BENCHMARK`.

    Args:
        title: the heading above its table.
        unit: what is counted, in the singular ("message").
        contenders: the rows.
        reference: the name of the contender that ratios refer to.
        cases: options by case name; each case has a table of its own.
        seconds: how long one measured call lasts; `quick_seconds` with --quick.
        setup: gives a context manager around all runs, which yields further options (the address of
            a broker). "versions" among them tells what that is: `{"RabbitMQ": "4.3.6"}`.
            Benchmarks that follow each other and name the same function share it.
        warms_up: whether a short call goes before the measured one.
        pin: whether each process of a pair is bound to a core of its own.
        note: what a reader should know, below the table.
        plot: the number by which rows compare, and which is drawn: "rate", "cpu", or the name of an
            extra column, of which less is better; "" where rows do not compare.
        compares_cpu: whether rows whose rates compare do so by their CPU time as well; not where
            the broker is a process of one of them, and of nobody else's.
    """

    title: str
    unit: str
    contenders: Sequence[Contender]
    reference: str
    cases: Mapping[str, Options] = field(default_factory=lambda: {"": {}})
    seconds: float = 2.0
    quick_seconds: float = 0.5
    setup: Callable[[], AbstractContextManager[Options]] = lambda: nullcontext({})
    warms_up: bool = True
    pin: bool = True
    note: str = ""
    plot: str = "rate"
    compares_cpu: bool = True

    def __post_init__(self) -> None:
        names = [contender.name for contender in self.contenders]
        if len(set(names)) != len(names):
            raise ValueError(f"benchmark {self.title!r} has two contenders of one name")
        if self.reference not in names:
            raise ValueError(f"benchmark {self.title!r}: no contender is named {self.reference!r}")
