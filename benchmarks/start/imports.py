"""What importing takes: the processor's time of a fresh interpreter, beside asyncio alone."""

import subprocess
import sys
import time

from benchmarks.harness import Benchmark, Contender, Measured, Run, Stopwatch

PROGRAM = """
import time
began = time.process_time()
import {module}
print(time.process_time() - began)
"""


def asyncio_alone(run: Run) -> Measured:
    """What every program on asyncio imports."""
    return _measure(run, "asyncio")


def core(run: Run) -> Measured:
    """The core alone."""
    return _measure(run, "gestalt.core")


def net(run: Run) -> Measured:
    """Streams and datagrams."""
    return _measure(run, "gestalt.net")


def amq(run: Run) -> Measured:
    """The client of RabbitMQ, with its library."""
    return _measure(run, "gestalt.amq")


def twisted(run: Run) -> Measured:
    """What a Twisted program of the same kind imports."""
    return _measure(run, "twisted.internet.endpoints, twisted.protocols.basic")


def _measure(run: Run, modules: str) -> Measured:
    seconds: list[float] = []
    end = time.perf_counter() + run.seconds
    watch = Stopwatch()
    while not seconds or time.perf_counter() < end:
        told = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(module=modules)],
            capture_output=True,
            check=True,
            timeout=60,
        )
        seconds.append(float(told.stdout))
    return watch.stop(len(seconds), {"ms": 1000 * min(seconds)})


_GUARANTEES = "its bytecode is cached"

BENCHMARK = Benchmark(
    title="Import",
    unit="import",
    reference="asyncio alone",
    seconds=3.0,
    contenders=[
        Contender(name="asyncio alone", run=asyncio_alone, work="asyncio", guarantees=_GUARANTEES),
        Contender(name="gestalt.core", run=core, work="gestalt.core", guarantees=_GUARANTEES),
        Contender(name="gestalt.net", run=net, work="gestalt.net", guarantees=_GUARANTEES),
        Contender(name="gestalt.amq", run=amq, work="and aio_pika", guarantees=_GUARANTEES),
        Contender(
            name="twisted",
            package="twisted",
            run=twisted,
            work="internet.endpoints, protocols.basic",
            guarantees=_GUARANTEES,
        ),
    ],
    note="ms: the least of all imports of a run, from an interpreter that has imported nothing.",
)
