"""The keys and the columns of the live view, in this process, of an application in another one."""

import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gestalt.runner.inspection import places
from tests.support.waiting import until

from . import conftest
from .conftest import Process

pytest.importorskip("textual")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no unix sockets")

from textual.coordinate import Coordinate  # noqa: E402
from textual.events import Key  # noqa: E402
from textual.pilot import Pilot  # noqa: E402
from textual.widgets import DataTable, Static, TabbedContent  # noqa: E402

from gestalt.runner.top.app import Top  # noqa: E402

APPLICATION = """
from pathlib import Path
from gestalt.core.details import PeerRow, QueueRow, details
from gestalt.core.metrics import Metric, measures

class Shop(Part):
    @details
    def _rows(self):
        yield PeerRow("10.0.0.1:80", age=5.0, received=7, sent=1)
        yield PeerRow("10.0.0.2:80", age=6.0, received=9)
        yield QueueRow("orders", waiting=4, active=1)
    @measures
    def _metrics(self):
        yield Metric("failed", "counter", 3)

async def brief():
    async with Part(name="brief"):
        while not Path("gone").exists():
            await asyncio.sleep(0.01)
    while not Path("fail").exists():
        await asyncio.sleep(0.01)
    raise ValueError("it fails")

run(Shop(name="shop-with-a-name-that-is-very-long"), Draining(name="pump"), brief,
    inspect=True, loop=LOOP)
"""


@pytest.fixture
def shop(
    script: Callable[..., Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Process:
    for name in ("XDG_RUNTIME_DIR", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
        monkeypatch.setitem(conftest.ENVIRONMENT, name, str(tmp_path))
    process = script(APPLICATION)
    process.wait_for("open brief")
    return process


class View:
    """What a person does and sees."""

    def __init__(self, top: Top, pilot: Pilot[Any]) -> None:
        self._top = top
        self._pilot = pilot

    def press(self, *keys: str) -> None:
        for key in keys:
            # As the terminal's driver does it, but without waiting until nothing happens.
            self._top.post_message(Key(key, key if len(key) == 1 else None))

    async def click_head(self) -> None:
        await self._pilot.click(f"#{self.table.id}", offset=(2, 0))

    @property
    def tab(self) -> str:
        return self._top.query_one("#tabs", TabbedContent).active

    @property
    def table(self) -> Any:
        return self._top.query_one(f"#table-{self.tab}", DataTable)

    @property
    def column(self) -> list[str]:
        table = self.table
        return [str(table.get_cell_at(Coordinate(row, 0))) for row in range(table.row_count)]

    @property
    def heads(self) -> list[str]:
        return [str(each.label) for each in self.table.columns.values()]

    @property
    def focused(self) -> str | None:
        focused = self._top.screen_stack[0].focused
        return focused.id if focused is not None else None

    @property
    def alone(self) -> str:
        """What has the screen for itself; empty where nothing has."""
        return "".join(str(each.render()) for each in self._top.screen.query("#content"))

    def text(self, name: str) -> str:
        return str(self._top.screen_stack[0].query_one(f"#{name}", Static).render())

    def row(self, word: str) -> list[Any]:
        number = next(number for number, each in enumerate(self.column) if word in each)
        return list(self.table.get_row_at(number))


@asynccontextmanager
async def looking(process: Process, *, width: int = 120) -> AsyncIterator["View"]:
    top = Top(places.find(process.pid)[0], 0.3)
    top.animation_level = "none"
    async with top.run_test(size=(width, 40)) as pilot:
        yield View(top, pilot)


async def test_keys_turn_sort_and_filter(shop: Process) -> None:
    async with looking(shop) as view:
        await until(lambda: len(view.column) == 3)
        failed = view.row("shop")[view.heads.index("errors")]
        assert (failed.plain, failed.style) == ("3", "bold red")
        assert view.row("shop")[view.heads.index("waits")].plain == "5"
        assert view.row("shop")[view.heads.index("peers")].plain == "2"
        view.press("r")
        await until(lambda: [each[:4] for each in view.column] == ["brie", "pump", "shop"])
        view.press("r", "right")
        await until(lambda: view.column == ["10.0.0.1:80", "10.0.0.2:80"])
        await until(lambda: view.row("1:80")[3].plain == "0")
        await view.click_head()
        await until(lambda: view.heads[0] == "peer ▲")
        await view.click_head()
        await until(lambda: view.heads[0] == "peer ▼")
        assert view.column == ["10.0.0.2:80", "10.0.0.1:80"]
        view.press("left")
        await until(lambda: view.tab == "components")
        view.press("left")
        await until(lambda: view.focused == "log")
        # There is nothing to sort here.
        view.press("s", "r", "slash")
        await until(lambda: view.focused == "filter")
        view.press(*"pump", "enter")
        await until(lambda: view.focused == "log")
        view.press("1")
        await until(lambda: view.tab == "components" and view.column == ["pump"])
        view.press("escape")
        await until(lambda: len(view.column) == 3)
        view.press("escape", "3")
        await until(lambda: view.tab == "queues" and view.column == ["orders"])
        view.press("slash")
        await until(lambda: view.focused == "filter")
        view.press(*"nothing", "enter")
        await until(lambda: view.focused == "table-queues")
        # Nothing is there to be told of, and nothing happens.
        view.press("enter")
        await until(lambda: view.text("note") == "No row has these words.")


async def test_what_has_ended_is_told_where_it_is_looked_at(shop: Process, tmp_path: Path) -> None:
    async with looking(shop, width=70) as view:
        await until(lambda: "shop-with-a-nam…" in view.column)
        view.press("slash")
        await until(lambda: view.focused == "filter")
        view.press(*"brief", "enter")
        await until(lambda: view.focused == "table-components" and view.column == ["brief"])
        view.press("enter")
        await until(lambda: view.alone.startswith("brief"))
        (tmp_path / "gone").touch()
        await until(lambda: view.alone == "It has ended.")
        (tmp_path / "fail").touch()
        await until(lambda: " · 1 error · " in view.text("head"))


async def test_an_application_that_does_not_answer_is_asked_again(shop: Process) -> None:
    with ExitStack() as others:
        path = places.find(shop.pid)[0]
        for _ in range(8):
            other = others.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            other.connect(str(path))
        async with looking(shop) as view:
            await until(lambda: "does not answer: 8 clients" in view.text("trouble"))
            assert view.text("head") == "Looking ..."
            others.close()
            await until(lambda: view.text("trouble") == "")
            shop.send_until_it_ends(signal.SIGTERM)
            await until(lambda: view.text("trouble").startswith("The application has ended."))
