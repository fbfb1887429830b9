"""What importing takes: the processor's time of a fresh interpreter, beside asyncio alone."""

import time

from benchmarks.harness import Benchmark, Contender, Function, Measured, Run
from benchmarks.start.fresh import Watch, program, run_to_its_end

PROGRAM = """
import sys, time
began = time.process_time()
import {modules}
print(time.process_time() - began, len(sys.modules))
"""


def asyncio_alone(run: Run) -> Measured:
    return _measure(run, "asyncio")


def core(run: Run) -> Measured:
    return _measure(run, "gestalt.core")


def runner(run: Run) -> Measured:
    return _measure(run, "gestalt.runner")


def net(run: Run) -> Measured:
    return _measure(run, "gestalt.net")


def amq(run: Run) -> Measured:
    return _measure(run, "gestalt.amq")


def aio_pika(run: Run) -> Measured:
    return _measure(run, "aio_pika")


def faststream(run: Run) -> Measured:
    return _measure(run, "faststream.rabbit")


def twisted(run: Run) -> Measured:
    return _measure(run, "twisted.internet.endpoints, twisted.protocols.basic")


def pyzmq(run: Run) -> Measured:
    return _measure(run, "zmq.asyncio")


def grpc(run: Run) -> Measured:
    return _measure(run, "grpc.aio")


def websockets(run: Run) -> Measured:
    return _measure(run, "websockets.asyncio.client, websockets.asyncio.server")


def nats(run: Run) -> Measured:
    return _measure(run, "nats")


def _measure(run: Run, modules: str) -> Measured:
    _, before = _imported("asyncio")
    told: list[tuple[float, int]] = []
    end = time.perf_counter() + run.seconds
    watch = Watch()
    while not told or time.perf_counter() < end:
        told.append(_imported(modules))
    least = min(cpu for cpu, _ in told)
    return watch.stop(len(told), {"ms": 1000 * least, "more modules": told[0][1] - before})


def _imported(modules: str) -> tuple[float, int]:
    """Import in a fresh interpreter: the CPU seconds, and how many modules it has then."""
    said = run_to_its_end(program(PROGRAM.format(modules=modules)))
    if said.returncode:
        raise ImportError(said.stderr.decode().strip().splitlines()[-1])
    cpu, count = said.stdout.split()
    return float(cpu), int(count)


GUARANTEES = "its bytecode is cached"


def _contender(name: str, run: Function, work: str, package: str) -> Contender:
    return Contender(name=name, run=run, work=work, guarantees=GUARANTEES, package=package)


BENCHMARK = Benchmark(
    title="Import",
    unit="import",
    reference="asyncio alone",
    seconds=1.0,
    plot="ms",
    contenders=[
        Contender(
            name="asyncio alone",
            bare=True,
            run=asyncio_alone,
            work="asyncio",
            guarantees=GUARANTEES,
        ),
        _contender("gestalt.core", core, "gestalt.core", "gestalt-core"),
        _contender("gestalt.runner", runner, "gestalt.runner", "gestalt-runner"),
        _contender("gestalt.net", net, "gestalt.net", "gestalt-net"),
        _contender("gestalt.amq", amq, "gestalt.amq", "gestalt-amq"),
        _contender("aio-pika", aio_pika, "aio_pika", "aio-pika"),
        _contender("faststream", faststream, "faststream.rabbit", "faststream"),
        _contender("twisted", twisted, "internet.endpoints, protocols.basic", "twisted"),
        _contender("pyzmq", pyzmq, "zmq.asyncio", "pyzmq"),
        _contender("grpc.aio", grpc, "grpc.aio", "grpcio"),
        _contender("websockets", websockets, "its client and server on asyncio", "websockets"),
        _contender("nats-py", nats, "nats", "nats-py"),
    ],
    note=(
        "ms: the processor's time, the least of all imports of a run, in an interpreter that has "
        "imported nothing, asyncio included; more modules: how many it has beyond those of asyncio."
    ),
)
