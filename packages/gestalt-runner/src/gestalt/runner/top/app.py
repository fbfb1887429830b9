"""The terminal program: tables that change while one looks."""

import asyncio
import os
import signal
from collections import deque
from pathlib import Path
from typing import Any

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, Input, RichLog, Static, TabbedContent, TabPane

from gestalt.runner.errors import InspectionError
from gestalt.runner.inspection.client import ApplicationEnded, Client
from gestalt.runner.signals import die_by

from . import details
from .reading import Reading, Readings
from .screens import Alone, Choice, Help
from .table_view import TableView
from .tables import COMPONENTS, TABLES, TASKS, header, trouble

MOST_LINES = 1000
"""How many lines of the log are kept."""

SHARE = 0.01
"""How much of the application's time may be spent on being looked at: looks are rarer then."""

MARGINS = 6
"""How many columns are left and right of details, with a bar to scroll by."""

TABS = [*(table.title.lower() for table in TABLES), "logs"]
"""What there is to turn to, in this order."""

LEVELS = {"WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red", "DEBUG": "dim"}


class Views(TabbedContent):
    """The views, one of which is shown: the one that was turned to last.

    It is not turned to what gets the focus: that is the view that is shown, but word of it comes
    late, when another one may have been turned to.
    """

    def on_tab_pane_focused(self, event: TabPane.Focused) -> None:
        event.prevent_default()


class Top(App[str]):
    """The view into an application.

    Args:
        path: its socket; None lets people choose.
        interval: time between two looks, in seconds.

    Attributes:
        terminated: whether it was ended by SIGTERM.
    """

    TITLE = "gestalt top"
    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = "top.tcss"
    BINDINGS = [  # noqa: RUF012
        Binding("q", "quit", "Leave"),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("slash", "filter", "Filter"),
        Binding("s", "sort", "Sort"),
        Binding("r", "reverse", "Reverse"),
        Binding("space", "pause", "Pause"),
        Binding("d", "dark", "Dark"),
        Binding("question_mark", "help", "Help"),
        Binding("left", "turn(-1)", show=False),
        Binding("right", "turn(1)", show=False),
        *(Binding(str(number), f"tab({number})", show=False) for number in range(1, 7)),
    ]

    def __init__(self, path: Path | None, interval: float) -> None:
        super().__init__()
        self.terminated = False
        self._path = path
        self._interval = interval
        self._client: Client | None = None
        self._readings = Readings()
        self._reading: Reading | None = None
        self._stacks: dict[str, Any] | None = None
        self._lines: deque[dict[str, Any]] = deque(maxlen=MOST_LINES)
        self._new_lines: list[dict[str, Any]] = []
        self._shows_stack = False
        self._paused = False
        self._words = ""
        # Why there is nothing new, in a sentence.
        self._trouble = ""

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Static(id="trouble")
        with Views(id="tabs"):
            for table in TABLES:
                with TabPane(table.title, id=table.title.lower()):
                    yield TableView(table)
            with TabPane("Logs", id="logs"):
                yield RichLog(id="log", wrap=True, max_lines=MOST_LINES, auto_scroll=True)
        yield Static(id="note")
        with VerticalScroll(id="detail", can_focus=False):
            yield Static(id="selected")
        yield Input(id="filter", placeholder="words that a row must have")
        yield Footer()

    def on_mount(self) -> None:
        # By its default action, it would leave the terminal as it is now.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._terminate)
        self.query_one(TableView).focus()
        if self._path is None:
            self.push_screen(Choice(), self._begin)
        else:
            self._begin(self._path)

    def _terminate(self) -> None:  # pragma: no cover - a signal ends it, unwritten
        # The next one does not wait for this.
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        self.terminated = True
        self.exit()

    def _begin(self, path: Path | None) -> None:
        self._path = path
        self.run_worker(self._look_again_and_again(), exclusive=True)

    async def on_unmount(self) -> None:
        if self._client is not None:  # pragma: no branch - left before it has looked
            # It may be waiting for an answer, in a thread.
            self._client.close()

    async def _look_again_and_again(self) -> None:
        while True:
            if not self._paused:
                try:
                    await asyncio.to_thread(self._look)
                except ApplicationEnded:
                    self._trouble = "The application has ended. What stands here is how it was."
                    self._paint()
                    return
                except InspectionError as error:
                    self._trouble = f"The application does not answer: {error}"
                    self._drop_client()
                else:
                    self._trouble = ""
                self._paint()
            cost = self._reading.snapshot["cost"] if self._reading is not None else 0.0
            await asyncio.sleep(max(self._interval, cost / SHARE))

    def _look(self) -> None:
        """Ask for everything that is shown, in a thread."""
        if self._path is None:  # pragma: no cover - for type checkers
            return
        if self._client is None:
            if not self._path.exists():  # pragma: no cover - it ends before it is looked at
                raise ApplicationEnded("its socket is gone")
            self._client = Client(self._path)
        client = self._client
        self._reading = self._readings.read(client.ask("snapshot"))
        last = self._lines[-1]["number"] if self._lines else 0
        lines = client.ask("logs", after=last)["lines"]
        self._lines.extend(lines)
        self._new_lines = lines
        # All stacks are asked for where one is looked at only.
        self._stacks = client.ask("stacks") if self._shows_stack else None

    def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:  # pragma: no branch - it could not connect
            client.close()

    # What is shown

    def _paint(self) -> None:
        """Show how it is now."""
        if not (self.is_running and self.screen_stack):  # pragma: no cover - it is left just now
            return
        reading = self._reading
        self._paint_head(reading)
        if reading is not None:
            view = self._view()
            if view is not None:
                view.update(reading)
            self._paint_tabs(reading)
            self._add_lines()
        if isinstance(self.screen, Alone):
            self.screen.update()

    def _paint_head(self, reading: Reading | None) -> None:
        head = Text(no_wrap=False)
        if reading is not None:
            head.append(reading.snapshot["application"]["command"], style="bold")
            head.append("  " + " · ".join(header(reading)))
        else:
            head.append("Looking ...")
        self.screen_stack[0].query_one("#head", Static).update(head)
        problem = self._trouble or (trouble(reading) if reading is not None else "")
        if not problem and self._paused:
            problem = "Paused: Space goes on."
        widget = self.screen_stack[0].query_one("#trouble", Static)
        widget.update(Text(problem))
        widget.display = bool(problem)

    def _paint_tabs(self, reading: Reading) -> None:
        tabs = self.screen_stack[0].query_one("#tabs", TabbedContent)
        for number, table in enumerate(TABLES, 1):
            count = len(table.rows(reading))
            tabs.get_tab(table.title.lower()).label = f"{number} {table.title} {count}"
        tabs.get_tab("logs").label = f"6 Logs {len(self._lines)}"

    def _add_lines(self) -> None:
        log = self.screen_stack[0].query_one("#log", RichLog)
        lines, self._new_lines = self._new_lines, []
        for line in lines:
            if self._words in f"{line['level']} {line['logger']} {line['text']}".lower():
                log.write(_log_line(line))

    @on(TableView.Selected)
    def _paint_detail(self) -> None:
        view = self._view()
        panel = self.screen_stack[0].query_one("#detail")
        row = view.selected if view is not None else None
        note = self.screen_stack[0].query_one("#note", Static)
        note.display = view is not None and row is None and self._reading is not None
        if view is not None:
            note.update(Text("No row has these words." if self._words else view.table.empty))
        self._shows_stack = view is not None and view.table is TASKS
        panel.display = row is not None and self.size.height >= 30
        if view is not None and panel.display:
            self.screen_stack[0].query_one("#selected", Static).update(self._detail(view, row))

    def _detail(self, view: TableView, row: Any) -> Text:
        """All that there is to know of a row of a reading."""
        reading = self._reading
        if reading is None:  # pragma: no cover - for type checkers
            return Text()
        if view.table is COMPONENTS:
            component = reading.component(row.id)
            if component is None:
                return Text("It has ended.")
            return details.of_component(component, reading, self.size.width - MARGINS)
        if view.table is TASKS:
            return details.of_task(row, self._stacks)
        key = view.table.key(row)
        rows = (each for each in view.table.rows(reading) if view.table.key(each) == key)
        return details.of_row(view.table, next(rows, row))

    def _view(self) -> TableView | None:
        """The table that is shown; None where that is the log."""
        if not self.screen_stack:  # pragma: no cover - it is left just now
            return None
        pane = self.screen_stack[0].query_one("#tabs", TabbedContent).active_pane
        found = pane.query(TableView) if pane is not None else ()
        return next(iter(found), None)

    def on_resize(self) -> None:
        self._paint()

    @on(TabbedContent.TabActivated)
    def _turned(self) -> None:
        self._paint()
        view = self._view()
        if view is None:
            self.screen_stack[0].query_one("#log").focus()
        else:
            view.focus()
        self._paint_detail()

    # What people do

    @on(DataTable.RowSelected)
    def _drill(self) -> None:
        view = self._view()
        row = view.selected if view is not None else None
        if view is not None and row is not None:  # pragma: no branch - for type checkers
            self.push_screen(Alone(lambda: self._detail(view, row)))

    def action_tab(self, number: int) -> None:
        self.query_one("#tabs", TabbedContent).active = TABS[number - 1]

    def action_turn(self, step: int) -> None:
        tabs = self.query_one("#tabs", TabbedContent)
        tabs.active = TABS[(TABS.index(tabs.active) + step) % len(TABS)]

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self._words = event.value.lower()
        for view in self.query(TableView):
            view.filter_text = event.value
        if (shown := self._view()) is not None:
            shown.refresh_rows()
        self.query_one("#log", RichLog).clear()
        self._new_lines = list(self._lines)
        self._add_lines()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = bool(field.value)
        self._focus_view()

    def on_key(self, event: Any) -> None:
        if event.key != "escape" or len(self.screen_stack) > 1:
            return
        field = self.query_one("#filter", Input)
        if field.display:
            field.value = ""
            field.display = False
            self._focus_view()
            event.stop()

    def _focus_view(self) -> None:
        view = self._view()
        (view or self.query_one("#log")).focus()

    def action_sort(self) -> None:
        if (view := self._view()) is not None:
            view.sort_next()

    def action_reverse(self) -> None:
        if (view := self._view()) is not None:
            view.sort_reversed()

    def action_pause(self) -> None:
        self._paused = not self._paused
        self._paint()

    def action_dark(self) -> None:
        self.theme = "textual-light" if self.current_theme.dark else "textual-dark"

    def action_help(self) -> None:
        self.push_screen(Help())


def _log_line(line: dict[str, Any]) -> Text:
    import time

    at = time.strftime("%H:%M:%S", time.localtime(line["time"]))
    text = Text(f"{at} ")
    text.append(f"{line['level']:8}", style=LEVELS.get(line["level"], ""))
    text.append(f" {line['logger']}: ", style="dim")
    text.append(line["text"])
    return text


def show(path: Path | None, interval: float) -> None:
    """Show an application in the terminal, until it is left.

    Raises:
        InspectionError: the terminal cannot move its cursor.
    """
    if os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        raise InspectionError("this terminal cannot move its cursor: use --once, which prints text")
    top = Top(path, interval)
    top.run()
    if top.terminated:  # pragma: no cover - a signal ends it, unwritten
        die_by(signal.SIGTERM)
