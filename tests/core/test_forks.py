"""What a forked child has of the descriptors that are its parent's alone."""

import os
import subprocess
import sys

import pytest

FORKING = """
import os, sys
from gestalt.core.forks import keep_from_children

kept, closed, reused = (os.open(os.devnull, os.O_RDONLY) for _ in range(3))
for each in (kept, closed, reused):
    keep_from_children(each)
os.close(reused)
assert os.open("/", os.O_RDONLY) == reused
os.close(closed)
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
print(os.path.samestat(os.fstat(reused), os.stat("/")))
try:
    os.fstat(closed)
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_number_that_stands_for_something_else_by_now_is_left_to_the_child() -> None:
    process = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, check=False, timeout=60
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout == "True\nBad file descriptor\n"
