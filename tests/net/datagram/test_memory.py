"""Memory is bounded under a flood, whatever the application does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = Path(__file__).with_name("memory_probe.py")
FLOOD = 50_000
BACKLOG = 1024


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("what", "handled"),
    [("handler", 1), ("100 handlers", 100), ("iteration", 0), ("iteration, drop-newest", 0)],
)
def test_a_flood_of_70_mb_on_what_hangs_costs_no_more_than_the_backlog(
    what: str, handled: int
) -> None:
    result = flood(what)
    assert result["grown"] < 8
    assert result["received"] == FLOOD
    assert result["overflowed"] == FLOOD - BACKLOG - handled


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_70_mb_of_garbage_on_an_on_error_that_hangs_cost_next_to_nothing() -> None:
    result = flood("on_error")
    assert result["grown"] < 8
    assert result["truncated"] == FLOOD
    assert result["unreported"] == FLOOD - 100


def flood(what: str) -> dict[str, float]:
    probe = subprocess.run(
        [sys.executable, PROBE, what], check=True, stdout=subprocess.PIPE, timeout=50
    )
    result: dict[str, float] = json.loads(probe.stdout)
    return result
