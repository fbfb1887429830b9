"""The demo as people see it, in a terminal."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.demo import Demos, demos, part
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROWS = ("CPU", "memory", "network in")
SUMMARY = re.compile(r"sent (\d+), received (\d+), lost 0 samples")


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[Demos]:
    yield from demos(tmp_path)


def samples(terminal: Terminal) -> int:
    """How many samples of the CPU the table counts; 0 while there is none."""
    found = re.search(r"CPU .* (\d+) │", terminal.text)
    return int(found[1]) if found else 0


def finish(terminal: Terminal) -> None:
    """Press Ctrl-C, and see the summary."""
    terminal.press("\x03")
    assert terminal.wait_ended() == 0, terminal.text
    assert SUMMARY.search(terminal.text), terminal.text
    assert "Traceback" not in terminal.text
    assert not terminal.screen.cursor.hidden


def numbers(terminal: Terminal) -> list[str]:
    """The numbers that the table shows, and how often it was counted."""
    return re.findall(r"\d+ (?:%|KiB/s)", terminal.text)


def whole(terminal: Terminal) -> bool:
    """Whether one table stands there, whose lines are of one length."""
    lines = [line for line in terminal.text.splitlines() if line.startswith(("┏", "┃", "│", "└"))]
    widths = {len(line) for line in lines}
    return len(widths) == 1 and terminal.text.count("Host telemetry") == 1


@pytest.mark.parametrize("columns", [100, 60, 40])
def test_the_table_fills_and_changes_and_ctrl_c_ends_it_with_a_summary(
    fixture: Demos, columns: int
) -> None:
    demo = fixture.show(columns=columns)
    # The rates of the network are there with the second sample, and change.
    demo.wait_until(lambda: len(numbers(demo)) >= 4 and all(row in demo.text for row in ROWS))
    first = numbers(demo)
    demo.wait_until(lambda: numbers(demo) != first)
    # What is read may end in the midst of a new picture.
    demo.wait_until(lambda: whole(demo))
    assert '"ready"' not in demo.text
    finish(demo)
    assert demo.text.count("Host telemetry") == 1


def test_the_demo_is_there_within_seconds_and_answers_queries(fixture: Demos) -> None:
    demo = fixture.show()
    demo.wait_until(lambda: samples(demo) > 1)
    query = fixture.start("query", "cpu", "--last", "30s")
    out, err = query.communicate()
    assert (query.returncode, err) == (0, "")
    assert "cpu over the last 30 s: mean" in out
    finish(demo)


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(fixture: Demos) -> None:
    demo = fixture.show(columns=60, TERM="dumb")
    demo.wait_until(lambda: demo.text.count("CPU") >= 3)
    assert b"\x1b" not in demo.written
    assert max(len(line) for line in demo.text.splitlines()) < 60
    finish(demo)
    assert b"\x1b" not in demo.written


def test_no_color_is_respected(fixture: Demos) -> None:
    demo = fixture.show(NO_COLOR="1")
    demo.wait_until(lambda: samples(demo) > 1)
    cells = [cell for line in demo.screen.buffer.values() for cell in line.values()]
    assert {cell.fg for cell in cells} == {cell.bg for cell in cells} == {"default"}
    finish(demo)


def test_a_terminal_that_knows_no_bars_gets_letters(fixture: Demos) -> None:
    demo = fixture.show(columns=50, PYTHONIOENCODING="ascii")
    demo.wait_until(lambda: len(numbers(demo)) >= 4)
    assert demo.written.isascii()
    finish(demo)


def test_a_terminal_that_changes_its_size_shows_one_whole_table(fixture: Demos) -> None:
    demo = fixture.show(columns=100)
    demo.wait_until(lambda: samples(demo) > 1)
    for columns in (58, 120):
        before = samples(demo)
        demo.resize(columns, 30)
        demo.wait_until(lambda: samples(demo) > before + 10)  # noqa: B023 - it ends in here
        assert demo.text.count("Host telemetry") == 1, demo.text
        assert demo.text.count("CPU") == 1, demo.text
    finish(demo)


def test_a_low_terminal_shows_as_much_as_it_can(fixture: Demos) -> None:
    demo = fixture.show(rows=6)
    demo.wait_for("CPU")
    finish(demo)


def test_a_terminal_that_is_closed_ends_the_demo_and_all_of_its_parts(fixture: Demos) -> None:
    demo = fixture.show()
    demo.wait_until(lambda: samples(demo) > 1)
    assert len(fixture.processes()) == 5
    demo.hang_up()
    fixture.wait_gone()
    assert demo.process.wait() == 1


def test_ctrl_c_twice_is_an_end_like_once(fixture: Demos) -> None:
    demo = fixture.show()
    demo.wait_until(lambda: samples(demo) > 1)
    demo.press("\x03")
    demo.press("\x03")
    assert demo.wait_ended() == 0, demo.text
    assert SUMMARY.search(demo.text), demo.text
    assert "Traceback" not in demo.text


@pytest.mark.parametrize("name", [None, "broker", "alerter", "collector", "agent"])
def test_ctrl_c_before_it_has_begun_is_an_end_without_a_word_too_many(
    fixture: Demos, name: str | None
) -> None:
    demo = fixture.show()
    demo.wait_for("The parts start")
    if name is not None:
        part(demo.process.pid, name)
    demo.press("\x03")
    status = demo.wait_ended()
    assert "Traceback" not in demo.text
    assert "The demo was ended before" in demo.text or SUMMARY.search(demo.text), demo.text
    assert status == 0


def test_ctrl_c_three_times_leaves_nothing_behind(fixture: Demos) -> None:
    demo = fixture.show()
    demo.wait_until(lambda: samples(demo) > 1)
    # It cannot end in order: the agent has samples that nobody takes.
    collector = psutil.Process(part(demo.process.pid, "collector"))
    collector.suspend()
    demo.press("\x03")
    demo.wait_for("ending")
    demo.wait_until(lambda: demo.press("\x03") or demo.process.poll() is not None)
    collector.resume()
    fixture.wait_gone()
    assert "Traceback" not in demo.text
    assert not demo.screen.cursor.hidden


@pytest.mark.parametrize("name", ["collector", "agent", "alerter"])
def test_a_part_that_is_killed_is_named_and_started_again(fixture: Demos, name: str) -> None:
    demo = fixture.show()
    demo.wait_until(lambda: samples(demo) > 10)
    killed = part(demo.process.pid, name)
    psutil.Process(killed).kill()
    demo.wait_for(f"The {name} was ended by SIGKILL, and is started again.")
    assert part(demo.process.pid, name) != killed
    before = demo.text
    demo.wait_until(lambda: demo.text != before and samples(demo) > 10)
    demo.press("\x03")
    status = demo.wait_ended()
    # What an agent had not sent yet went with it.
    assert status == (1 if name == "agent" else 0), demo.text
    assert f"The {name} died 1 times" in demo.text
    assert "Traceback" not in demo.text
    assert not demo.screen.cursor.hidden


def test_a_broker_that_nobody_runs_is_named_without_a_traceback(fixture: Demos) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    demo = fixture.show("--amqp", f"amqp://guest:secret@127.0.0.1:{port}/")
    assert demo.wait_ended() == 1
    assert "The alerter did not start: no broker within 5 s" in demo.text
    assert "Traceback" not in demo.text
    assert "secret" not in demo.text


def test_a_broker_that_never_answers_is_named_without_a_traceback(fixture: Demos) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        demo = fixture.show("--amqp", f"amqp://127.0.0.1:{silent.getsockname()[1]}/")
        assert demo.wait_ended() == 1
    assert "The alerter did not start: no broker within" in demo.text
    assert "Traceback" not in demo.text


def test_a_part_that_crashes_at_its_start_is_named_with_its_last_words(
    fixture: Demos, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'alerter' in sys.orig_argv:\n"
        "    os.write(2, b'It begins.\\nIt has no heart.\\n')\n"
        "    os._exit(3)\n"
    )
    demo = fixture.show(PYTHONPATH=str(folder))
    assert demo.wait_ended() == 1
    assert "The alerter ended with status 3 before it was ready: It has no heart." in demo.text
    assert "It begins" not in demo.text
    assert "Traceback" not in demo.text


def test_a_demo_that_is_suspended_goes_on_later(fixture: Demos) -> None:
    demo = fixture.show()
    demo.wait_until(lambda: samples(demo) > 1)
    supervisor = psutil.Process(demo.process.pid)
    supervisor.suspend()
    demo.wait_until(lambda: supervisor.status() == psutil.STATUS_STOPPED)
    before = samples(demo)
    supervisor.resume()
    demo.wait_until(lambda: samples(demo) > before)
    finish(demo)


def test_one_part_alone_shows_a_table_and_is_found_by_a_query(fixture: Demos) -> None:
    collector = fixture.show("collector", "--listen", "tcp://127.0.0.1:0")
    collector.wait_for("The collector is ready at tcp://127.0.0.1:")
    (url,) = re.findall(r"tcp://127\.0\.0\.1:\d+", collector.text)
    agent = fixture.start("agent", "--collector", url)
    collector.wait_until(lambda: samples(collector) > 1)
    agent.terminate()
    out, err = agent.communicate()
    assert (agent.returncode, err) == (0, "")
    assert re.search(r"The agent has ended: sent \d+, acknowledged \d+, lost 0", out)
    collector.press("\x03")
    assert collector.wait_ended() == 0
    assert re.search(r"The collector has ended: received \d+", collector.text)


def test_a_port_that_is_taken_is_named_without_a_traceback(fixture: Demos) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        collector = fixture.show("collector", "--listen", address)
        assert collector.wait_ended() == 1
    assert "The collector did not start:" in collector.text
    assert "in use" in collector.text
    assert "Traceback" not in collector.text
