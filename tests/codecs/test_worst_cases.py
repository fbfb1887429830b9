"""What the worst known message costs, at default limits, in each format and compressor."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.codecs_worst.decode import CASES
from benchmarks.harness import floors

ROOT = Path(__file__).parents[2]
FLOORS = {
    (floor.contender, floor.number): floor.at_most
    for floor in floors.load(ROOT / "benchmarks" / "floors.toml")
    if floor.benchmark == "codecs_worst/decode"
}
MEASURE = """
import json, sys
from benchmarks.codecs_worst.decode import measure
from benchmarks.harness import Unavailable
try:
    print(json.dumps(measure(sys.argv[1])))
except Unavailable as error:
    print(json.dumps(str(error)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_worst_message_costs_no_more_than_is_promised(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, name], cwd=ROOT, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if isinstance(found, str):
        pytest.skip(found)
    _, seconds, grown = found
    for number, measured in (("s", seconds), ("MiB", grown)):
        most = FLOORS.get((name, number))
        assert measured <= (1 if most is None else most), f"{measured:.2f} {number}"
