"""Runs pytest in a fork of this process, which has imported what takes long to import."""

import contextlib
import importlib
import os
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import Phase, settings

MEMORY = 4 * 1024**3
"""How much address space a trial may have, in bytes: a change can make a loop endless."""


class Outcome(Enum):
    """What became of the tests."""

    PASSED = "passed"
    FAILED = "failed"
    ENDLESS = "endless"


class Trial(NamedTuple):
    """How a run of the tests went."""

    outcome: Outcome
    seconds: float
    """How long it took."""
    cpu_seconds: float
    """For how long it computed."""


def prepare(source: Path, root: Path) -> None:
    """Have tests import the distribution that is below `source`.

    Args:
        source: comes first of all places to import from.
        root: the folder that tests run in.
    """
    # What fails need not be made small, and is the same each time.
    settings.register_profile(
        "mutation",
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
    )
    os.chdir(root)
    # A portion of a namespace package that comes first is the one that counts.
    sys.path[:0] = [str(source), str(root)]
    path = [str(source), str(root), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    # A file that changes twice within a second looks as old as its compiled form.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True


def run(
    tests: list[str], log: Path, *, seconds: float, cpu_seconds: int, imported: Path | None = None
) -> Trial:
    """Run tests until one fails.

    Args:
        tests: what pytest is to run.
        log: the file that takes what pytest prints.
        seconds: how long it may take.
        cpu_seconds: for how long it may compute.
        imported: the file that takes the names of the modules that it has imported.
    """
    begun = time.monotonic()
    child = os.fork()
    if not child:
        _be_the_trial(tests, log, cpu_seconds, imported)
    outcome = Outcome.ENDLESS
    # A process is readable through its descriptor once it has ended.
    descriptor = os.pidfd_open(child)
    try:
        ended, _, _ = select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)
        # The processes that its tests have left behind are of its group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
    if ended and not os.WIFSIGNALED(status):
        outcome = Outcome.FAILED if os.waitstatus_to_exitcode(status) else Outcome.PASSED
    elif ended and os.WTERMSIG(status) not in (signal.SIGXCPU, signal.SIGKILL):
        outcome = Outcome.FAILED
    return Trial(outcome, time.monotonic() - begun, usage.ru_utime + usage.ru_stime)


def import_beforehand(names: list[str]) -> None:
    """Import what trials would each import anew, but for what they test, and themselves."""
    for name in names:
        if name.partition(".")[0] not in ("gestalt", "tests", "conftest", "__main__"):
            with contextlib.suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(name)


def _be_the_trial(tests: list[str], log: Path, cpu_seconds: int, imported: Path | None) -> None:
    status = 1
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        with log.open("wb") as file, Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        # Plugins that are imported already have no assertions that anybody looks at.
        options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutation"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        status = int(pytest.main([*options, *tests]))
        sys.stdout.flush()
        if imported is not None:
            imported.write_text("\n".join(sys.modules))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
