"""What the documentation shows is true: its examples run, and its counters are those there are."""

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gestalt.net import DatagramStats

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "net"
PAGE = (ROOT / "docs" / "net" / "udp.md").read_text()


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


@pytest.mark.parametrize("program", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_fragments_of_the_page_compile(program: str) -> None:
    compile(program, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_causes_of_the_page_are_those_that_are_counted() -> None:
    causes = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    names = {field.name for field in dataclasses.fields(DatagramStats)}
    others = {"received", "received_bytes", "sent", "sent_bytes", "unreachable"}
    others |= {"handler_errors", "failed", "discarded", "unreported"}
    assert names - others == set(causes)
    stats = DatagramStats(**dict.fromkeys(names, 1))
    assert stats.dropped == len(causes)
