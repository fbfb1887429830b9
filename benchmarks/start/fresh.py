"""Programs in fresh interpreters: how long they take from the start of the process to its end."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from benchmarks.harness import Measured, Run
from benchmarks.harness.environments import keeping_compiled

TIMEOUT = 60.0
"""How long a program may take, in seconds."""


def program(text: str, *arguments: object) -> list[str]:
    """The command of a program that is given as text."""
    return [sys.executable, "-c", text, *map(str, arguments)]


class Watch:
    """A stopwatch whose CPU time is that of the processes which were run, not of this one."""

    def __init__(self) -> None:
        self._time = time.perf_counter()
        self._cpu = children_cpu()

    def stop(self, count: int, extra: Mapping[str, float]) -> Measured:
        """Return what was done since the start."""
        taken = time.perf_counter() - self._time
        return Measured(count, taken, children_cpu() - self._cpu, extra)


def children_cpu() -> float:
    """The CPU seconds of all processes that were run and have ended."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_to_its_end(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a command, whose interpreter keeps what it has compiled."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
        env=keeping_compiled(),
    )


def seconds(command: Sequence[str]) -> float:
    """Run a command to its end and return how long that took.

    Raises:
        RuntimeError: its status is not 0.
    """
    began = time.perf_counter()
    ended = run_to_its_end(command)
    taken = time.perf_counter() - began
    if ended.returncode:
        raise RuntimeError(f"status {ended.returncode}: {ended.stderr.decode()[-500:]}")
    return taken


def measure(run: Run, command: Sequence[str]) -> Measured:
    """Run a command again and again; `ms` is the least that it took."""
    taken: list[float] = []
    end = time.perf_counter() + run.seconds
    watch = Watch()
    while not taken or time.perf_counter() < end:
        taken.append(seconds(command))
    return watch.stop(len(taken), {"ms": 1000 * min(taken)})


def compare(run: Run, command: Sequence[str], other: Sequence[str]) -> Measured:
    """Run two commands in turns; `ms more` is how much the first one took beyond the other."""
    taken: list[tuple[float, float]] = []
    end = time.perf_counter() + run.seconds
    watch = Watch()
    while not taken or time.perf_counter() < end:
        taken.append((seconds(other), seconds(command)))
    least, mine = (min(each) for each in zip(*taken, strict=True))
    return watch.stop(len(taken), {"ms": 1000 * mine, "ms more": 1000 * (mine - least)})
