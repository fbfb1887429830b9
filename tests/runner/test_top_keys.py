"""What the keys of `gestalt top` do, and what else it shows of an application that is at rest."""

import contextlib
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gestalt.runner.inspection.client import connect
from gestalt.runner.inspection.server import MOST_CLIENTS
from tests.support.live_view import leave, live_views
from tests.support.terminal import Terminal

from .conftest import Process

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="no unix sockets"),
    pytest.mark.slow,
]

GUEST = "a guest whose name is longer than there is room for"

APPLICATION = f"""
import asyncio, logging, signal
from gestalt.core import Component
from gestalt.core.details import PeerRow, QueueRow, details

class Part(Component):
    async def _open(self): pass
    async def _close(self): pass

class Shop(Part):
    async def _open(self):
        self._spawn(self._serve(), name="serve")
    async def _serve(self):
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
        async with Part(name="{GUEST}"):
            print("ready", flush=True)
            await told.wait()
        logging.error("the guest has gone")
        self._report_error(OSError("no guest"), "lonely")
        await asyncio.Event().wait()
    @details
    def _rows(self):
        yield PeerRow("beacon", waiting=1)
        yield PeerRow("cable", waiting=9)
        yield PeerRow("anchor", waiting=5)
        yield QueueRow("orders", waiting=4, active=3)

def application():
    return Shop(name="shop")
"""

DOWN, RIGHT, LEFT = "\x1b[B", "\x1b[C", "\x1b[D"
ENTER, ESCAPE = "\r", "\x1b"
# Of terminals that tell it from the begin of another key.
ESCAPE_ALONE = "\x1b[27u"


@pytest.fixture
def shop(own_sockets: None, launch: Callable[..., Process], tmp_path: Path) -> Process:
    (tmp_path / "app.py").write_text(APPLICATION)
    process = launch("-m", "gestalt.runner", "run", "app:application")
    process.wait_for("ready")
    return process


@pytest.fixture
def show(shop: Process) -> Iterator[Callable[..., Terminal]]:
    """Show the application in a terminal."""
    yield from live_views()


def peers(top: Terminal) -> str:
    """The first letters of the peers, as they stand there."""
    return "".join(re.findall(r"^ ([abc])(?:nchor|eacon|able) ", top.text, re.MULTILINE))


def click(top: Terminal, text: str) -> None:
    """Click on what stands there."""
    row, line = next(
        (number, line) for number, line in enumerate(top.screen.display, 1) if text in line
    )
    at = f"0;{line.index(text) + 1};{row}"
    top.press(f"\x1b[<{at}M\x1b[<{at}m")


def stands(top: Terminal, order: str, head: str) -> None:
    """Wait until the peers stand in this order, below this head."""
    top.wait_until(lambda: peers(top) == order and head in top.text)


def test_numbers_turn_to_a_view_and_arrows_to_the_next_one(
    shop: Process, show: Callable[..., Terminal]
) -> None:
    top = show()
    top.wait_for("a guest")
    shop.send(signal.SIGUSR1)
    top.wait_for("6 Logs 2")
    views = {
        "1": "component",
        "2": "beacon",
        "3": "orders",
        "4": "No timer runs.",
        "5": "shop serve",
        "6": "the guest has gone",
    }
    for key, text in views.items():
        top.press(key)
        top.wait_for(text)
    top.press(RIGHT)
    top.wait_for(views["1"])
    top.press(RIGHT)
    top.wait_for(views["2"])
    # Nobody waits until all of a view has come.
    top.press(LEFT + LEFT)
    top.wait_for(views["6"])
    for _ in range(3):
        top.press(f"{RIGHT}{LEFT}" * 5 + RIGHT)
        top.wait_for(views["1"])
        top.press(f"{LEFT}{RIGHT}" * 5 + LEFT)
        top.wait_for(views["6"])
    leave(top)


def test_s_r_and_a_click_sort(show: Callable[..., Terminal]) -> None:
    top = show()
    top.wait_for("1 Components")
    top.press("2")
    stands(top, "bca", "peer  ")
    top.press("r")
    stands(top, "acb", "peer  ")
    top.press("s")
    stands(top, "abc", "peer ▲")
    top.press("r")
    stands(top, "cba", "peer ▼")
    # Of numbers, the greatest are first.
    top.press("s" * 7)
    stands(top, "cab", "waits ▼")
    top.press("r")
    stands(top, "bac", "waits ▲")
    # After the last column, they stand as they are told.
    top.press("s")
    stands(top, "bca", "peer  ")
    click(top, "waits")
    stands(top, "cab", "waits ▼")
    click(top, "waits")
    stands(top, "bac", "waits ▲")
    # A log is in its own order.
    top.press("6")
    top.wait_until(lambda: not peers(top))
    top.press("sr2")
    stands(top, "bac", "waits ▲")
    leave(top)


def test_words_choose_rows_and_lines_and_escape_shows_all(
    shop: Process, show: Callable[..., Terminal]
) -> None:
    top = show()
    top.wait_for("a guest")
    shop.send(signal.SIGUSR1)
    top.wait_for("6 Logs 2")
    top.press("2")
    top.wait_until(lambda: peers(top) == "bca")
    top.press("/")
    top.wait_for("words that a row must have")
    top.press("SHOP cab")
    top.wait_until(lambda: peers(top) == "c")
    top.press("x")
    top.wait_for("No row has these words.")
    top.press("\x7f")
    top.wait_until(lambda: peers(top) == "c")
    # The words stay; keys are for the table again, which the last line tells.
    top.press(ENTER)
    top.wait_for("s Sort")
    assert "SHOP cab" in top.text
    top.press(ESCAPE)
    top.wait_until(lambda: peers(top) == "bca" and "SHOP" not in top.text)
    # There is nothing to leave any more.
    top.press(f"{ESCAPE_ALONE}6")
    top.wait_for("the guest has gone")
    top.press("/")
    top.wait_for("words that a row must have")
    top.press("lonely")
    top.wait_until(lambda: "has gone" not in top.text and top.text.count("lonely") == 2)
    top.press(ENTER)
    top.wait_for("s Sort")
    top.press(ESCAPE)
    top.wait_until(lambda: "has gone" in top.text and top.text.count("lonely") == 1)
    leave(top)


def test_enter_shows_one_thing_alone_until_it_has_ended_and_longer(
    shop: Process, show: Callable[..., Terminal]
) -> None:
    top = show()
    # There is no room for more of its name.
    top.wait_for(f"└ {GUEST[:17]}…")
    top.press(f"{DOWN}{ENTER}")
    top.wait_for(f"{GUEST}  Part, running")
    assert "1 Components" not in top.text
    shop.send(signal.SIGUSR1)
    top.wait_for("It has ended.")
    top.press(ESCAPE)
    top.wait_for("1 Components 1")
    # What went wrong is red.
    top.wait_until(lambda: re.search(r"^ shop .* 1$", top.text, re.MULTILINE))
    row = next(number for number, line in enumerate(top.screen.display) if line.startswith(" shop"))
    column = top.screen.display[row].rindex("1")
    assert top.screen.buffer[row][column].bold
    leave(top)


def test_help_comes_and_goes_and_d_changes_the_colours(show: Callable[..., Terminal]) -> None:
    top = show()
    top.wait_for("1 Components")
    dark = top.screen.buffer[0][0].bg
    top.press("?")
    top.wait_for("leave; the application goes on")
    # There, it leaves the help alone.
    top.press("q")
    top.wait_until(
        lambda: "leave; the application" not in top.text and top.screen.buffer[0][0].bg == dark
    )
    top.press("d")
    top.wait_until(lambda: top.screen.buffer[0][0].bg != dark)
    top.press("d")
    top.wait_until(lambda: top.screen.buffer[0][0].bg == dark)
    leave(top)


def test_an_application_that_has_no_room_for_the_view_is_asked_again(
    shop: Process, show: Callable[..., Terminal]
) -> None:
    with contextlib.ExitStack() as clients:
        others = [clients.enter_context(connect(str(shop.pid))) for _ in range(MOST_CLIENTS)]
        # Who asks keeps its place.
        ask = [each.ask("application")["pid"] for each in others]
        assert ask == [shop.pid] * MOST_CLIENTS
        top = show(str(shop.pid))
        top.wait_until(
            lambda: (
                [each.ask("application") for each in others]
                and "The application does not answer: " in top.text
            )
        )
        assert "Looking ..." in top.text
    top.wait_for("1 Components 2")
    assert "does not answer" not in top.text
    leave(top)


def test_what_was_seen_last_stays_when_the_application_ends(
    shop: Process, show: Callable[..., Terminal]
) -> None:
    top = show()
    top.wait_for("1 Components 2")
    top.press("2")
    top.wait_until(lambda: peers(top) == "bca")
    shop.send(signal.SIGKILL)
    top.wait_for("The application has ended. What stands here is how it was.")
    top.press("s")
    stands(top, "abc", "peer ▲")
    leave(top)
