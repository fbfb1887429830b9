"""The demo as one supervised application, and the picture that is made of it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "runner" / "top.svg"
DEADLINE = 60.0


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "gestalt.runner", "run", "examples.telemetry.application:demo"],
        cwd=ROOT,
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "GESTALT_LOG_LEVEL": "error"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def look(demo: subprocess.Popen[str], folder: Path) -> dict[str, Any] | None:
    looked = subprocess.run(
        [sys.executable, "-m", "gestalt.runner", "top", str(demo.pid), "--once", "--json"],
        env=os.environ | {"XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] | None = json.loads(looked.stdout) if looked.returncode == 0 else None
    return found


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no unix sockets")
def test_gestalt_top_shows_the_demo_and_sigterm_ends_it(
    demo: subprocess.Popen[str], tmp_path: Path
) -> None:
    end = time.monotonic() + DEADLINE
    while True:
        told = look(demo, tmp_path)
        if told is not None:
            components = {each["name"]: each for each in told["components"]}
            if (components.get("StreamServer", {}).get("in_rate") or 0) > 10:
                break
        assert time.monotonic() < end, told
        assert demo.poll() is None, demo.communicate()
    names = {each["id"]: each["name"] for each in told["components"]}
    assert names[components["StreamServer"]["parent"]] == "collector"
    assert names[components["supervisor"]["parent"]] == "telemetry"
    assert {each["state"] for each in told["components"]} == {"running"}
    assert [each["name"] for each in components["asking"]["timers"]] == ["asking"]
    assert components["StreamServer"]["peers"][0]["received"] > 10
    (queue,) = components["subscription telemetry.alerter"]["queues"]
    assert (queue["name"], queue["note"]) == ("telemetry.alerter", "")
    waiting = {each["name"]: each["waiting"] for each in components["broker"]["queues"]}
    assert waiting.keys() >= {"telemetry.alerter", "telemetry.collector.requests"}
    assert len(components["broker"]["peers"]) == 7
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(DEADLINE) == -signal.SIGTERM
    # What it says while its imports hold up the event loop is a warning.
    assert demo.communicate()[1] == ""


def test_the_picture_is_small_names_no_machine_and_loads_nothing() -> None:
    svg = PICTURE.read_text()
    assert len(svg) < 150_000
    text = re.sub(r"\s|&#160;", " ", " ".join(ET.fromstring(svg).itertext()))
    for shown in ("examples.telemetry.application:demo", "StreamServer", "supervisor", "running"):
        assert shown in text
    assert not re.search(r"/(home|root|tmp|work|usr|Users)/", svg)
    assert not re.search(r"url\(.?http|<image|xlink:href|@import", svg)
