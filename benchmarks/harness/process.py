"""The harness's side of a contender's processes: start, call, signal, and always an end."""

import asyncio
import math
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.harness.environments import interpreter
from benchmarks.harness.launch import ContenderError, Process, start
from benchmarks.harness.model import Contender, Function, Options

GRACE = 30.0
"""How long a call may take beyond three times its length, in seconds."""

CHILD_GRACE = 5.0
"""How long the harness waits beyond the child's own deadline, in seconds: that one says more."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured run: the units done, their time, and the CPU time of all its processes."""

    count: int
    seconds: float
    cpu: float
    extra: dict[str, float]
    version: str | None = None

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.count / self.seconds

    @property
    def cpu_each(self) -> float:
        """CPU seconds per unit."""
        return self.cpu / self.count


def cores(count: int, *, pin: bool) -> Sequence[int | None]:
    """Return a core for each of `count` processes, or None where binding makes no sense."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if not pin or count < 2 or len(allowed) < count:
        return [None] * count
    return allowed[:count]


async def measure(
    contender: Contender,
    options: Options,
    *,
    seconds: float,
    warmup: float,
    pin: bool,
    grace: float = GRACE,
) -> Sample:
    """Run a contender in processes of its own: warm up, then measure.

    Args:
        contender: what to run.
        options: what its functions find in `run.options`.
        seconds: the length of the measured call.
        warmup: the length of the call before it; 0 for none.
        pin: whether each process of a pair is bound to a core of its own.
        grace: the seconds that a call may take beyond three times its length before it is ended.

    Raises:
        ContenderError: it failed, hung, or gave no result.
        Unavailable: it cannot run here.
    """
    python = sys.executable
    if contender.environment is not None:
        python = await asyncio.to_thread(interpreter, contender.environment)
    functions = contender.functions
    roles = ["server", "client"] if len(functions) == 2 else ["process"]
    bound = cores(len(functions), pin=pin)
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(start(f"{contender.name} ({role})", python))
            for role in roles
        ]
        answers: list[dict[str, Any]] = []
        for length in filter(None, [warmup, seconds]):
            deadline = 3 * length + grace
            calls = [
                {
                    "function": path(function),
                    "loop": contender.loop,
                    "package": contender.package,
                    "seconds": length,
                    "options": options,
                    "partner": {},
                    "core": core,
                    "deadline": deadline,
                }
                for function, core in zip(functions, bound, strict=True)
            ]
            try:
                async with asyncio.timeout(deadline + CHILD_GRACE):
                    answers = await call(processes, calls)
            except TimeoutError:
                raise ContenderError(
                    f"{contender.name} did not end within {deadline:g} s",
                    "".join(process.printed for process in processes),
                    hung=True,
                ) from None
        return sample(contender, answers)


async def call(processes: Sequence[Process], calls: Sequence[dict[str, Any]]) -> list[Any]:
    """Call the function of each process, the client's when the server is ready."""
    first, *rest = processes
    first.send({"call": calls[0]})
    if not rest:
        return [await first.answer("done")]
    client = rest[0]
    info = await first.answer("ready")
    client.send({"call": calls[1] | {"partner": info}})

    async def client_done() -> dict[str, Any]:
        done = await client.answer("done")
        first.send({"finish": {key: done[key] for key in ("count", "seconds") if key in done}})
        return done

    try:
        async with asyncio.TaskGroup() as group:
            # Both are awaited at once: a failure of either one ends the run.
            tasks = [group.create_task(first.answer("done")), group.create_task(client_done())]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def sample(contender: Contender, answers: Sequence[dict[str, Any]]) -> Sample:
    """Put the answers of a contender's processes together."""
    results = [answer for answer in answers if "count" in answer]
    if len(results) != 1:
        raise ContenderError(f"{contender.name}: {len(results)} of its functions gave a Measured")
    result = results[0]
    measured = {"count": result["count"], "seconds": result["seconds"]}
    measured |= {f"cpu of process {n}": each["cpu"] for n, each in enumerate(answers, 1)}
    for name, value in {**measured, **result["extra"]}.items():
        if not is_number(value):
            raise ContenderError(f"{contender.name} gave {value!r} as its {name}, not a number")
    if result["count"] <= 0 or result["seconds"] <= 0:
        raise ContenderError(
            f"{contender.name} did {result['count']} in {result['seconds']} s: nothing to compare"
        )
    return Sample(
        count=result["count"],
        seconds=result["seconds"],
        cpu=sum(answer["cpu"] for answer in answers),
        extra=result["extra"],
        version=result["version"],
    )


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)


def path(function: Function) -> str:
    """Return the name that a child finds a function by."""
    return f"{function.__module__}:{function.__qualname__}"
