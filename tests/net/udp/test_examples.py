"""The examples of the documentation run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples" / "net"


@pytest.mark.parametrize(
    ("example", "output"),
    [
        ("udp_unicast", ["Noted(place='-34.9, 138.6')", "received 1, dropped 0"]),
        ("udp_broadcast", ["here from 127.0.0.1", "that was all"]),
        ("udp_multicast", ["to all members"]),
    ],
)
def test_an_example_prints_what_it_promises(example: str, output: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{example}.py"],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    assert (done.stdout.splitlines(), done.stderr) == (output, "")
