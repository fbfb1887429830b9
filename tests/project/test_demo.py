"""The demo runs as the README says, and loses nothing, whatever dies."""

import getpass
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.demo import DEADLINE, Demos, connected, demos, part

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[Demos]:
    yield from demos(tmp_path)


def finish(demo: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        out, err = demo.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        demo.kill()
        out, err = demo.communicate()
        raise AssertionError(f"the demo did not end: {out}{err}") from None
    assert err == ""
    return demo.returncode, out


def counts(out: str) -> dict[str, int]:
    (found,) = re.findall(r"sent (\d+), received (\d+), lost (\d+) samples", out)
    return dict(zip(("sent", "received", "lost"), map(int, found), strict=True))


def test_the_demo_ends_after_its_time_and_has_lost_nothing(fixture: Demos) -> None:
    status, out = finish(fixture.start("--seconds", "1.5"))
    assert status == 0, out
    seen = counts(out)
    assert seen["sent"] == seen["received"] > 10
    assert seen["lost"] == 0
    (alerted,) = re.findall(r"The alerter got (\d+) of them", out)
    assert int(alerted) == seen["sent"]


def test_over_udp_losses_are_counted(fixture: Demos) -> None:
    status, out = finish(fixture.start("--seconds", "1.5", "--transport", "udp"))
    seen = counts(out)
    assert seen["sent"] > 10
    assert seen["received"] + seen["lost"] == seen["sent"]
    assert status == (seen["lost"] > 0), out


def test_the_demo_ends_by_ctrl_c_with_its_summary(fixture: Demos) -> None:
    demo = fixture.start()
    part(demo.pid, "agent", connected)
    demo.send_signal(signal.SIGINT)
    status, out = finish(demo)
    assert status == 0, out
    assert counts(out)["lost"] == 0


def test_a_query_is_answered_by_the_running_collector(fixture: Demos) -> None:
    demo = fixture.start()
    part(demo.pid, "agent", connected)
    while True:
        # The first samples are still under way when the collector is ready.
        query = fixture.start("query", "cpu", "--last", "30s")
        out, err = query.communicate(timeout=DEADLINE)
        if "No cpu samples" not in out:
            break
    assert (query.returncode, err) == (0, "")
    (found,) = re.findall(r"cpu over the last 30 s: mean ([\d.]+) %, ([\d.]+) to ([\d.]+)", out)
    mean, least, most = map(float, found)
    assert 0 <= least <= mean <= most <= 100
    demo.send_signal(signal.SIGINT)
    status, out = finish(demo)
    assert status == 0, out


def test_a_query_without_a_demo_says_so(fixture: Demos) -> None:
    out, err = (query := fixture.start("query", "memory")).communicate(timeout=DEADLINE)
    assert query.returncode == 1
    assert "No demo is running" in err
    assert out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "memory", "--last", "soon"], "like 30s, 1.5m or 500ms, not 'soon'"),
        (["query", "memory", "--last", "0s"], "like 30s, 1.5m or 500ms, not '0s'"),
        (["query", "memory", "--last"], "expected one argument"),
        (["query"], "required: what"),
        (["query", "weather"], "invalid choice: 'weather'"),
        (["query", "cpu", "--amqp", "http://me:secret@host"], "like amqp://user:password@host"),
        (["--seconds", "-1"], "not '-1'"),
        (["--seconds", "nan"], "not 'nan'"),
        (["--seconds", "9" * 400], "a duration is written like"),
        (["--transport", "pigeon"], "invalid choice: 'pigeon'"),
        (["--amqp", "amqp://me:secret@host:99999"], "like amqp://user:password@host"),
        (["agent"], "required: --collector"),
        (["agent", "--collector", "9000"], "'9000' is no address"),
        (["agent", "--collector", "tcp://127.0.0.1:9000", "--interval", "0"], "not '0'"),
        (["collector", "--listen", "tcp://127.0.0.1"], "the port is missing"),
        (["alerter"], "required: --amqp"),
        (["broker", "--port", "70000"], "a number from 0 to 65535, not '70000'"),
        (["nonsense"], "invalid choice: 'nonsense'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_wrong_argument_gets_a_sentence_and_status_2(
    fixture: Demos, arguments: list[str], said: str
) -> None:
    out, err = (demo := fixture.start(*arguments)).communicate(timeout=DEADLINE)
    assert (demo.returncode, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert "secret" not in err


def test_output_that_is_piped_is_a_line_for_each_second(fixture: Demos) -> None:
    status, out = finish(fixture.start("--seconds", "3", FORCE_COLOR="1"))
    assert status == 0, out
    lines = [line for line in out.splitlines() if re.match(r"\d\d:\d\d:\d\d .*CPU \d+ %", line)]
    assert len(lines) >= 2
    # The rates of the network are there with the second sample.
    assert "network in" in lines[-1]
    assert "\x1b" not in out


def test_a_reader_that_has_seen_enough_ends_the_demo_without_a_traceback(fixture: Demos) -> None:
    demo = fixture.start()
    assert demo.stdout is not None
    assert demo.stderr is not None
    for _ in range(2):
        assert demo.stdout.readline()
    demo.stdout.close()
    assert demo.wait(DEADLINE) == 1
    assert demo.stderr.read() == ""
    demo.stdout = None


def test_output_that_cannot_be_written_is_named(fixture: Demos) -> None:
    with Path("/dev/full").open("w") as full:
        demo = fixture.start(stdout=full)
        _, err = demo.communicate(timeout=DEADLINE)
    assert demo.returncode == 1
    assert err == "The output cannot be written: No space left on device\n"


def test_a_query_that_nobody_reads_ends_without_a_traceback(fixture: Demos) -> None:
    for arguments in (["query", "cpu"], ["--help"]):
        query = fixture.start(*arguments)
        assert query.stdout is not None
        assert query.stderr is not None
        query.stdout.close()
        query.wait(DEADLINE)
        assert "Traceback" not in query.stderr.read()
        query.stdout = None


def test_of_two_demos_a_query_finds_the_one_that_runs(fixture: Demos) -> None:
    demos = [fixture.start(), fixture.start()]
    for demo in demos:
        part(demo.pid, "agent", connected)
    for demo in reversed(demos):
        query = fixture.start("query", "memory")
        out, err = query.communicate(timeout=DEADLINE)
        assert (query.returncode, err) == (0, "")
        assert "memory" in out
        demo.send_signal(signal.SIGTERM)
        status, out = finish(demo)
        assert status == 0, out
    query = fixture.start("query", "memory")
    assert "No demo is running" in query.communicate(timeout=DEADLINE)[1]


def test_what_a_killed_demo_has_left_is_removed_by_the_next_query(
    fixture: Demos, tmp_path: Path
) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    demo = fixture.start("--seconds", "1")
    finish(demo)
    (tmp_path / f"gestalt-telemetry-{getpass.getuser()}-{dead.pid}.url").write_text(
        "amqp://127.0.0.1:1/"
    )
    query = fixture.start("query", "memory")
    assert "No demo is running" in query.communicate(timeout=DEADLINE)[1]
    assert fixture.files() == []


def test_a_collector_that_is_killed_costs_no_sample(fixture: Demos) -> None:
    demo = fixture.start("--seconds", "4")
    part(demo.pid, "agent", connected)
    psutil.Process(part(demo.pid, "collector", connected)).kill()
    status, out = finish(demo)
    assert status == 0, out
    assert counts(out)["lost"] == 0
    assert "The collector died 1 times" in out


def test_an_alerter_that_is_killed_misses_no_sample(fixture: Demos) -> None:
    demo = fixture.start("--seconds", "4")
    part(demo.pid, "agent", connected)
    psutil.Process(part(demo.pid, "alerter", connected)).kill()
    status, out = finish(demo)
    assert status == 0, out
    assert counts(out)["lost"] == 0
    assert "The alerter died 1 times" in out


def test_no_part_outlives_a_demo_that_is_killed(fixture: Demos) -> None:
    demo = fixture.start()
    agent = psutil.Process(part(demo.pid, "agent", connected))
    parts = psutil.Process(demo.pid).children()
    assert agent in parts
    assert len(parts) == 4
    demo.kill()
    demo.communicate(timeout=DEADLINE)
    _, alive = psutil.wait_procs(parts, timeout=DEADLINE)
    assert not alive
