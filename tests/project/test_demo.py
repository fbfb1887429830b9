"""The demo runs as the README says, and loses nothing, whatever dies."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
DEADLINE = 30.0


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a demo; one that still runs when the test ends is killed, and its parts with it."""
    started: list[subprocess.Popen[str]] = []
    # A query finds the demo of its own test, whatever else runs on this machine.
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}

    def start(*arguments: str) -> subprocess.Popen[str]:
        demo = subprocess.Popen(
            [sys.executable, "-m", "examples.telemetry", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(demo)
        return demo

    yield start
    for demo in started:
        demo.kill()
        demo.communicate()


def finish(demo: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        out, err = demo.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        demo.kill()
        out, err = demo.communicate()
        raise AssertionError(f"the demo did not end: {out}{err}") from None
    assert err == ""
    return demo.returncode, out


def part(demo: subprocess.Popen[str], name: str, done: Callable[[psutil.Process], bool]) -> int:
    """The process of one part, as soon as it is so far."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        for child in psutil.Process(demo.pid).children():
            try:
                if name in child.cmdline() and done(child):
                    return child.pid
            except psutil.Error:
                continue
        time.sleep(0.01)
    raise AssertionError(f"there is no {name}")


def connected(process: psutil.Process) -> bool:
    return any(each.status == psutil.CONN_ESTABLISHED for each in process.net_connections())


def counts(out: str) -> dict[str, int]:
    (found,) = re.findall(r"sent (\d+), received (\d+), lost (\d+) samples", out)
    return dict(zip(("sent", "received", "lost"), map(int, found), strict=True))


def test_the_demo_ends_after_its_time_and_has_lost_nothing(start: Start) -> None:
    status, out = finish(start("--seconds", "1.5"))
    assert status == 0, out
    seen = counts(out)
    assert seen["sent"] == seen["received"] > 10
    assert seen["lost"] == 0
    (alerted,) = re.findall(r"The alerter got (\d+) of them", out)
    assert int(alerted) == seen["sent"]


def test_over_udp_losses_are_counted(start: Start) -> None:
    status, out = finish(start("--seconds", "1.5", "--transport", "udp"))
    seen = counts(out)
    assert seen["sent"] > 10
    assert seen["received"] + seen["lost"] == seen["sent"]
    assert status == (seen["lost"] > 0), out


def test_the_demo_ends_by_ctrl_c_with_its_summary(start: Start) -> None:
    demo = start()
    part(demo, "agent", connected)
    demo.send_signal(signal.SIGINT)
    status, out = finish(demo)
    assert status == 0, out
    assert counts(out)["lost"] == 0


def test_a_query_is_answered_by_the_running_collector(start: Start) -> None:
    demo = start()
    part(demo, "agent", connected)
    end = time.monotonic() + DEADLINE
    while True:
        # The demo tells where it is when all of it runs, and the first samples are under way.
        query = start("query", "cpu", "--last", "30s")
        out, err = query.communicate(timeout=DEADLINE)
        if "mean" in out or time.monotonic() > end:
            break
    assert (query.returncode, err) == (0, "")
    (found,) = re.findall(r"cpu over the last 30 s: mean ([\d.]+) %, ([\d.]+) to ([\d.]+)", out)
    mean, least, most = map(float, found)
    assert 0 <= least <= mean <= most <= 100
    demo.send_signal(signal.SIGINT)
    status, out = finish(demo)
    assert status == 0, out


def test_a_query_without_a_demo_says_so(start: Start) -> None:
    out, err = (query := start("query", "memory")).communicate(timeout=DEADLINE)
    assert query.returncode == 1
    assert "No demo is running" in err
    assert out == ""


def test_a_query_of_no_duration_is_refused(start: Start) -> None:
    _, err = (query := start("query", "memory", "--last", "soon")).communicate(timeout=DEADLINE)
    assert query.returncode == 2
    assert "soon" in err


@pytest.mark.slow
def test_a_collector_that_is_killed_costs_no_sample(start: Start) -> None:
    demo = start("--seconds", "4")
    part(demo, "agent", connected)
    psutil.Process(part(demo, "collector", connected)).kill()
    status, out = finish(demo)
    assert status == 0, out
    assert counts(out)["lost"] == 0
    assert "The collector died 1 times" in out


@pytest.mark.slow
def test_an_alerter_that_is_killed_misses_no_sample(start: Start) -> None:
    demo = start("--seconds", "4")
    part(demo, "agent", connected)
    psutil.Process(part(demo, "alerter", connected)).kill()
    status, out = finish(demo)
    assert status == 0, out
    assert counts(out)["lost"] == 0
    assert "The alerter died 1 times" in out


@pytest.mark.slow
def test_no_part_outlives_a_demo_that_is_killed(start: Start) -> None:
    demo = start()
    agent = psutil.Process(part(demo, "agent", connected))
    parts = psutil.Process(demo.pid).children()
    assert agent in parts
    assert len(parts) == 4
    demo.kill()
    demo.communicate(timeout=DEADLINE)
    _, alive = psutil.wait_procs(parts, timeout=DEADLINE)
    assert not alive
