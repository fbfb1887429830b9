"""Runs one suite against one broker, and tells what became of each test."""

import contextlib
import json
import os
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .brokers import Broker
from .suites import Suite

_INSIDE = Path(__file__).with_name("inside")


@dataclass(frozen=True)
class Outcome:
    """What became of a suite on a broker.

    Attributes:
        tests: `passed`, `failed`, `skipped` or `unfinished`, by the test's name.
        problem: why the suite did not come to its end, if it did not.
    """

    tests: dict[str, str]
    problem: str | None = None

    def count(self, outcome: str) -> int:
        return Counter(self.tests.values())[outcome]

    @property
    def failures(self) -> set[str]:
        return {name for name, told in self.tests.items() if told in ("failed", "unfinished")}


def run(suite: Suite, source: Path, python: Path, broker: Broker, folder: Path) -> Outcome:
    """Run a suite against a fresh broker; what it prints is in `output.log` of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.jsonl"
    results.unlink(missing_ok=True)
    results.touch()
    with broker.running(folder):
        problem = _run(_command(suite, python), suite, source, folder, results)
    tests = _read(results)
    if not tests and problem is None:
        problem = "no test was run"
    return Outcome(tests, problem)


def _command(suite: Suite, python: Path) -> list[str]:
    command = [
        str(python), "-m", "pytest", "-p", "gestalt_inside", "-p", "no:cacheprovider",
        "-o", "addopts=", f"--timeout={suite.test_seconds:g}", "-q", *suite.arguments,
    ]  # fmt: skip
    left_out = [word for words in suite.left_out.values() for word in words]
    if left_out:
        command += ["-k", f"not ({' or '.join(left_out)})"]
    return command


def _run(command: list[str], suite: Suite, source: Path, folder: Path, results: Path) -> str | None:
    environment = {
        key: value
        for key, value in os.environ.items()
        # What is told to this process about its own imports and tests is not for the peer's.
        if not key.startswith(("PYTHON", "PYTEST", "GESTALT", "VIRTUAL_ENV"))
    }
    environment |= suite.environment
    environment["PYTHONPATH"] = str(_INSIDE)
    environment["PATH"] = os.pathsep.join(
        [str(folder), str(Path(command[0]).parent), os.environ["PATH"]]
    )
    environment["GESTALT_PEERS_RESULTS"] = str(results)
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=source,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(suite.seconds)
        except subprocess.TimeoutExpired:
            return f"not done after {suite.seconds:g} s"
        finally:
            # Its workers as well; it leads a session of its own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    # pytest's status when all is well, and when tests have failed.
    return None if status in (0, 1) else f"pytest ended with the status {status}"


def _read(results: Path) -> dict[str, str]:
    tests: dict[str, str] = {}
    for line in results.read_text().splitlines():
        name, outcome = json.loads(line)
        # An error of the teardown comes after the outcome of the test itself, and counts.
        if outcome != "passed" or tests.get(name) in (None, "unfinished"):
            tests[name] = outcome
    return tests
