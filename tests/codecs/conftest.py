"""A measuring process: what code that may crash, or eat memory, does to it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

_MEASURE = """
import json, sys, time

def memory(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key))

def measure(function):
    '''Run a function; give the class of its error and the growth of resident memory in KiB.'''
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")  # the peak starts from here
    before, started = memory("VmRSS"), time.process_time()
    try:
        function()
        error = None
    except Exception as caught:
        error = type(caught).__name__
    seconds = time.process_time() - started
    print(json.dumps([error, memory("VmHWM") - before, seconds]), flush=True)

"""


@pytest.fixture
def measured() -> Callable[[str], list[tuple[str | None, int, float]]]:
    """Run code in a process of its own, and give what each of its calls of `measure` found."""
    if not sys.platform.startswith("linux"):
        pytest.skip("memory is measured by /proc")

    # What coverage costs, where it counts lines in that process as well, is not measured.
    slower = 3 if any(name.startswith("COVERAGE_PROCESS") for name in os.environ) else 1

    def run(code: str) -> list[tuple[str | None, int, float]]:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE + code], capture_output=True, text=True, timeout=50
        )
        assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-2000:]}"
        found: list[Any] = [json.loads(line) for line in done.stdout.splitlines()]
        return [(error, growth, seconds / slower) for error, growth, seconds in found]

    return run
