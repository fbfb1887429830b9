"""`gestalt top` and `gestalt stacks`, as people and scripts see them."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.live_view import check_left, leave, live_views
from tests.support.terminal import Terminal

from .conftest import Process

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no unix sockets")

APPLICATION = """
import asyncio, logging, os, time
from gestalt.core import Component, Group, Timer

class Parent(Component):
    async def _open(self):
        self._spawn(self._work(), name="work")
    async def _close(self): pass
    async def _work(self):
        await self._deeper()
    async def _deeper(self):
        await asyncio.Event().wait()

def tick():
    if os.path.exists("block"):
        os.remove("block")
        hold()
    logging.getLogger("shop").info("tick tock")

def hold():
    time.sleep(20)

def application():
    print("ready", flush=True)
    return Group(Parent(name="till"), Timer.every(0.05, tick, name="clock"), name="shop")
"""


@pytest.fixture(autouse=True)
def application(own_sockets: None, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APPLICATION)


@pytest.fixture
def start(launch: Callable[..., Process]) -> Callable[..., Process]:
    def start() -> Process:
        process = launch("-m", "gestalt.runner", "run", "app:application")
        process.wait_for("ready")
        return process

    return start


@pytest.fixture
def shop(start: Callable[..., Process]) -> Process:
    return start()


@pytest.fixture
def show() -> Iterator[Callable[..., Terminal]]:
    """Show an application in a terminal."""
    yield from live_views()


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gestalt.runner", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        env=os.environ | variables,
    )


@pytest.mark.slow
def test_it_shows_what_an_application_is_made_of_and_what_it_does(
    shop: Process, show: Callable[..., Terminal]
) -> None:
    top = show(str(shop.pid), columns=130, rows=40)
    # The rate is there with the second look.
    top.wait_until(lambda: re.search(r"clock +running +\d\d ", top.text))
    assert "gestalt run app:application" in top.text
    assert f"process {shop.pid}" in top.text
    assert re.search(r"├ till +running", top.text)
    # Below is what there is to know of the component that is selected.
    assert re.search(r"parts +2 ", top.text)
    top.press("\x1b[B\x1b[B")
    top.wait_until(lambda: re.search(r"fired +\d+ +\d+/s", top.text))
    assert "every 0.05 s" in top.text
    top.press("2")
    top.wait_for("No component tells of peers.")
    top.press("4")
    top.wait_until(lambda: re.search(r"clock +every 0.05 s +\d+ ms", top.text))
    top.press("5")
    top.wait_until(lambda: re.search(r"till work +waiting", top.text))
    assert "Parent._deeper app.py:" in top.text
    top.press("/")
    top.wait_for("words that a row must have")
    top.press("till work")
    top.wait_until(lambda: "shop watch" not in top.text)
    top.press("\r")
    top.wait_for("await self._deeper()")
    top.press("\x1b")
    top.wait_for("shop watch")
    top.press("6")
    top.wait_until(lambda: re.search(r"INFO +shop: tick tock", top.text))
    leave(top)
    # The application does not care.
    shop.send(signal.SIGTERM)
    assert shop.end() == -signal.SIGTERM
    assert all(line.endswith("INFO shop: tick tock") for line in shop.errors.splitlines())


@pytest.mark.slow
def test_80_columns_are_enough_to_sort_drill_and_pause(
    shop: Process, show: Callable[..., Terminal]
) -> None:
    top = show()
    top.wait_until(lambda: re.search(r"clock +running +\d\d ", top.text))
    assert all(len(line) <= 80 for line in top.text.splitlines())
    assert "errors" in top.text
    top.press("s")
    top.wait_for("component ▲")
    top.wait_until(lambda: re.search(r"^ clock .*\n shop .*\n till ", top.text, re.MULTILINE))
    top.press("r")
    top.wait_for("component ▼")
    top.press("s" * 9)
    top.press("\r")
    # The row is selected that was, wherever it is now.
    top.wait_until(lambda: re.search(r"shop +Group, running(.*\n)+ parts +2 ", top.text))
    top.press("\x1b")
    top.wait_for("1 Components")
    top.press(" ")
    top.wait_for("Paused")
    top.press(" ")
    top.wait_until(lambda: "Paused" not in top.text)
    top.press("?")
    top.wait_for("leave; the application goes on")
    top.press("\x1b")
    top.wait_until(lambda: "leave; the application goes on" not in top.text)
    top.press("d")
    top.resize(60, 18)
    top.wait_until(lambda: max(map(len, top.text.splitlines())) <= 60 and "clock" in top.text)
    # What stands above the table leaves it room, however small the window.
    top.resize(30, 9)
    top.wait_until(lambda: top.text.startswith(" gestalt run") and "clock" in top.text)
    top.resize(140, 45)
    top.wait_until(lambda: re.search(r"errors +kind", top.text))
    leave(top)


@pytest.mark.slow
def test_who_blocks_the_event_loop_is_told_while_it_happens(
    shop: Process, show: Callable[..., Terminal], tmp_path: Path
) -> None:
    top = show(columns=100)
    top.wait_for("clock")
    (tmp_path / "block").touch()
    top.wait_for("The event loop is blocked by callback")
    assert re.search(r"at\s+hold app.py:\d+", top.text)
    stacks = command("stacks", str(shop.pid))
    assert "The event loop is held by callback" in stacks.stdout
    assert "in hold\n" in stacks.stdout
    once = command("top", "--once")
    assert "The event loop is blocked by callback" in once.stdout
    leave(top)


@pytest.mark.slow
def test_an_application_that_ends_is_no_error_of_the_view(
    shop: Process, show: Callable[..., Terminal]
) -> None:
    top = show()
    top.wait_for("clock")
    shop.send(signal.SIGTERM)
    shop.end()
    top.wait_for("The application has ended.")
    # What it was last seen to be: it may have been without components by then.
    assert "app:application" in top.text
    top.process.send_signal(signal.SIGTERM)
    assert top.wait_ended() == -signal.SIGTERM
    check_left(top)


@pytest.mark.slow
def test_of_several_applications_one_is_chosen(
    start: Callable[..., Process], show: Callable[..., Terminal]
) -> None:
    first, second = sorted([start().pid, start().pid])
    top = show()
    top.wait_for(str(second))
    assert str(first) in top.text
    top.press("\x1b[B\r")
    top.wait_for(f"process {second}")
    leave(top, "\x03")
    once = command("top", "--once")
    assert once.returncode == 1
    assert "gestalt top: several applications run: name one of them" in once.stderr
    assert f"{first}  gestalt run app:application" in once.stderr


@pytest.mark.slow
def test_a_terminal_without_colours_gets_none(shop: Process, show: Callable[..., Terminal]) -> None:
    top = show(NO_COLOR="1")
    top.wait_for("clock")
    cells = [cell for line in top.screen.buffer.values() for cell in line.values()]
    greys = {cell.fg for cell in cells} | {cell.bg for cell in cells}
    for grey in greys - {"default"}:
        assert re.fullmatch(r"([0-9a-f]{2})\1\1|black|white|bright.*", grey), grey
    leave(top)


@pytest.mark.slow
def test_a_terminal_that_cannot_move_its_cursor_is_told_of_once(
    shop: Process, show: Callable[..., Terminal]
) -> None:
    top = show(TERM="dumb")
    assert top.wait_ended() == 1
    assert "this terminal cannot move its cursor: use --once" in top.text.replace("\n", " ")


def test_once_prints_aligned_tables_and_stacks_prints_stacks(shop: Process) -> None:
    once = command("top", str(shop.pid), "--once", "--interval", "0.3")
    assert (once.returncode, once.stderr) == (0, "")
    assert "\x1b" not in once.stdout
    lines = once.stdout.splitlines()
    head, shop_line, till, clock = lines[lines.index("Components (3)") + 1 :][:4]
    assert till.startswith("  ├ till")
    assert {line.index("running") for line in (shop_line, till, clock)} == {head.index("state")}
    assert re.match(r"  └ clock +running +\d\d ", clock)
    stacks = command("stacks", str(shop.pid))
    assert (stacks.returncode, stacks.stderr) == (0, "")
    assert re.search(
        r"Task till work \(waiting, for future\)\n.*in Parent._work\n +await self._deeper\(\)\n"
        r".*in Parent._deeper\n",
        stacks.stdout,
    )


def test_once_as_json_is_for_scripts(shop: Process) -> None:
    once = command("top", "--once", "--json", "--interval", "0.3")
    assert (once.returncode, once.stderr) == (0, "")
    told = json.loads(once.stdout, parse_constant=pytest.fail)
    components = {each["name"]: each for each in told["components"]}
    assert components["till"]["parent"] == components["shop"]["id"]
    assert 2 < components["clock"]["in_rate"] < 40
    assert told["process"]["cpu_share"] >= 0
    stacks = json.loads(command("stacks", "--json").stdout)
    assert "till work" in [each["name"] for each in stacks["tasks"]]


def test_once_tells_of_an_error_while_the_application_stops(script: Callable[..., Process]) -> None:
    process = script(
        """
        async def fail(): raise OSError("lost")
        run(Draining(stop_timeout=60), fail, inspect=True, shutdown_timeout=60)
        """
    )
    process.wait_for("draining")
    once = command("top", "--once", "--interval", "0.1")
    assert re.search(r" · stopping, up \d.* · 1 error · ", once.stdout), once.stdout
    process.send_until_it_ends(signal.SIGTERM)


def test_what_cannot_be_shown_is_a_sentence_and_status_1(shop: Process) -> None:
    piped = command("top")
    assert piped.returncode == 1
    assert piped.stderr == "gestalt top: this is no terminal: use --once, which prints text\n"
    absent = command("top", "--once", "4999999")
    assert absent.returncode == 1
    assert absent.stderr == (f"gestalt top: there is no process 4999999; there are: {shop.pid}\n")
    own = command("stacks", str(os.getpid()))
    assert own.returncode == 1
    assert f"gestalt stacks: process {os.getpid()} cannot be inspected: it is no" in own.stderr
    word = command("stacks", "shop")
    assert word.returncode == 1
    assert "a process identifier is a number such as 1234, not 'shop'" in word.stderr
    fast = command("top", "--interval", "0")
    assert fast.returncode == 2
    assert "must be a number of seconds, 0.1 or more, got '0'" in fast.stderr
    shop.send(signal.SIGTERM)
    shop.end()
    nobody = command("top", "--once")
    assert nobody.returncode == 1
    assert nobody.stderr == "gestalt top: no application runs here; 'gestalt run' starts one\n"


@pytest.mark.slow
def test_without_textual_once_works_and_the_extra_is_named(
    shop: Process, show: Callable[..., Terminal], tmp_path: Path
) -> None:
    (tmp_path / "missing").mkdir()
    (tmp_path / "missing" / "textual.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'textual'\", name='textual')"
    )
    path = os.pathsep.join([str(tmp_path / "missing"), os.environ["PYTHONPATH"]])
    assert "clock" in command("top", "--once", PYTHONPATH=path).stdout
    top = show(PYTHONPATH=path, columns=120)
    assert top.wait_ended() == 1
    assert "pip install 'gestalt-runner[top]', or use --once" in top.text


def test_no_inspect_leaves_no_socket(launch: Callable[..., Process], tmp_path: Path) -> None:
    process = launch("-m", "gestalt.runner", "run", "--no-inspect", "app:application")
    process.wait_for("ready")
    assert not (tmp_path / "gestalt").exists()
    process.send(signal.SIGTERM)
    process.end()
