"""Start an application that does nothing, and end it: from the start of the process to its end."""

import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Benchmark, Contender, Measured, Run
from benchmarks.start import fresh

EMPTY = """
async def main() -> None:
    pass
"""
BARE = f"import asyncio\n{EMPTY}\nasyncio.run(main())"


def asyncio_run(run: Run) -> Measured:
    return fresh.compare(run, fresh.program(BARE), fresh.program("import asyncio"))


def runner_run(run: Run) -> Measured:
    text = f"from gestalt.runner import run\n{EMPTY}\nrun(main)"
    return fresh.compare(run, fresh.program(text), fresh.program("import asyncio"))


def gestalt_run(run: Run) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "empty.py").write_text(EMPTY)
        options = ["--app-dir", folder, "--loop", "asyncio"]
        command = [sys.executable, "-m", "gestalt.runner", "run", *options, "empty:main"]
        return fresh.compare(run, command, fresh.program("import asyncio"))


def twisted(run: Run) -> Measured:
    text = """
from twisted.internet import reactor
reactor.callWhenRunning(reactor.stop)
reactor.run()
"""
    return fresh.compare(run, fresh.program(text), fresh.program("import asyncio"))


BENCHMARK = Benchmark(
    title="Start and end an empty application",
    unit="run",
    reference="asyncio.run",
    seconds=2.0,
    plot="ms",
    contenders=[
        Contender(
            name="asyncio.run",
            bare=True,
            run=asyncio_run,
            work="asyncio.run of an async function that returns",
            guarantees="none: it ends at the first Ctrl-C, and knows no SIGTERM",
        ),
        Contender(
            name="gestalt.runner run()",
            package="gestalt-runner",
            run=runner_run,
            work="gestalt.runner.run of the same, in a program",
            guarantees="signals, a bounded stop, errors that end it and are reported",
        ),
        Contender(
            name="gestalt.runner, gestalt run",
            package="gestalt-runner",
            run=gestalt_run,
            work="the command, of the same in a file, on the same event loop",
            guarantees="the same; options from the command line, the environment and a file",
        ),
        Contender(
            name="twisted",
            package="twisted",
            run=twisted,
            work="its reactor runs, and is stopped",
            guarantees="signals",
        ),
    ],
    note=(
        "ms: the least time from the start of the process to its end, interpreter included; ms "
        "more: beyond `python -c 'import asyncio'`, run in turns."
    ),
)
