"""Workers whose processes are replaced, from within the process that keeps them running."""

import signal
import sys

import pytest

from gestalt.runner import lifeline, voice
from gestalt.runner.errors import InspectionError, WorkerDied
from gestalt.runner.workers.pool import Workers
from gestalt.runner.workers.process import WorkerProcess
from gestalt.runner.workers.worker import Worker
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="no SIGUSR2")

DONE = "all workers have restarted"


def python(last: str) -> list[str]:
    """A process that is ready at once, is told to stop, and then does what is said."""
    lines = (
        "import os, signal, sys",
        f"os.write(int(os.environ[{voice.VARIABLE!r}]), {voice.READY!r})",
        f"os.read(int(os.environ[{lifeline.VARIABLE!r}]), 1)",
        last,
    )
    return [sys.executable, "-I", "-S", "-c", "\n".join(lines)]


async def test_a_restart_that_is_asked_for_during_another_comes_after_it(caplog) -> None:
    caplog.set_level("INFO")
    started: list[int] = []

    async def start(number: int) -> WorkerProcess:
        started.append(number)
        if len(started) == 3:
            signal.raise_signal(signal.SIGUSR2)
        return await WorkerProcess.start(python(""), number)

    async with Workers(2, start, patience=10.0):
        signal.raise_signal(signal.SIGUSR2)
        await until(lambda: caplog.text.count(DONE) == 2)
    assert started == [1, 2, 1, 2, 1, 2]


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (["/missing"], "No such file or directory"),
        ([sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"], "with status 3 before it was"),
    ],
)
async def test_a_restart_that_fails_leaves_what_works(caplog, broken, sentence) -> None:
    caplog.set_level("INFO")
    commands = iter([python(""), python(""), broken, python(""), python("")])

    async def start(number: int) -> WorkerProcess:
        return await WorkerProcess.start(next(commands), number)

    async with Workers(2, start, patience=10.0):
        signal.raise_signal(signal.SIGUSR2)
        await until(lambda: "it and those after it stay as they are" in caplog.text)
        assert sentence in caplog.text
        signal.raise_signal(signal.SIGUSR2)
        await until(lambda: DONE in caplog.text)


@pytest.mark.parametrize(
    ("last", "patience", "sentence"),
    [
        ("sys.exit(7)", 10.0, "ended with status 7 when it was stopped"),
        ("signal.pause()", 0.02, "did not end within 0.02 s, and was killed"),
    ],
)
async def test_a_process_that_ends_badly_is_told_of(caplog, last, patience, sentence) -> None:
    async def start(number: int) -> WorkerProcess:
        return await WorkerProcess.start(python(last), number)

    worker = Worker(1, start, patience=patience)
    await worker.start()
    await worker.replace()
    assert sentence in caplog.text
    with pytest.raises(WorkerDied, match=sentence):
        await worker.stop()


async def test_who_asks_a_worker_that_has_no_process_yet_is_told_so() -> None:
    async def start(number: int) -> WorkerProcess:
        return await WorkerProcess.start(python(""), number)

    with pytest.raises(InspectionError, match="it is being started again"):
        await Worker(1, start, patience=10.0).ask("health")
