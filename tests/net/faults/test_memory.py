"""Memory is bounded, whatever a peer does; 300 MB to a stalled one cost gestalt 20.1.1 282 MiB."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = Path(__file__).with_name("memory_probe.py")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_client_that_never_reads_and_is_sent_1_gb_costs_next_to_nothing() -> None:
    probe = subprocess.run([sys.executable, PROBE], check=True, stdout=subprocess.PIPE, timeout=50)
    result = json.loads(probe.stdout)
    # What was accepted is in the buffers of the sockets, which are not the process's, and in ours.
    assert result["grown"] < 8
    assert 0 < result["sent"] < 1000
    assert result["refused"] > 15_000
    assert result["reached"] + result["dropped"] == 1000
    assert result["reached"] < 5
    # Each sender was stalled until the end, and then told.
    assert result["waiting"] == result["told"] == 20
