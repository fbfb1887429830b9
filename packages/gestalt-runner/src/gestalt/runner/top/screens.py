"""The screens that lie over the view: help, one thing alone, the choice of an application."""

from collections.abc import Callable
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from gestalt.runner.inspection.client import running

from . import figures

HELP = """\
1 … 6     components, peers, queues, timers, tasks, logs
← →       the next of them
↑ ↓       select a row; Enter tells all of it
/         show only rows with certain words; Escape shows all
s  r      sort by the next column; the other way round
          (a click on a column's head does the same)
Space     pause, and go on
d         dark or light
q         leave; the application goes on

in/s, out/s   messages a second, of a timer its calls
p50, p99      latency: half of all took less, 99 percent
              took less; of a timer, how late it was called
waits         what is received, in flight or unconfirmed
loop          the share of its time that the event loop
              spent in a task: looked at 20 times a second
lag           how long the event loop took to notice us
"""


class Help(ModalScreen[None]):
    """Tells the keys."""

    BINDINGS = [Binding("escape,q,question_mark,enter,space", "dismiss", "Back")]  # noqa: RUF012

    def compose(self) -> ComposeResult:
        with Vertical(id="help"):
            yield Static("Keys, and what the columns say", classes="title")
            yield VerticalScroll(Static(HELP, markup=False))


class Alone(Screen[None]):
    """Shows one thing on the whole screen, live.

    Args:
        content: gives what is shown now.
    """

    BINDINGS = [  # noqa: RUF012
        Binding("escape,q,enter", "dismiss", "Back"),
        Binding("space", "app.pause", "Pause"),
    ]

    def __init__(self, content: Callable[[], Text]) -> None:
        super().__init__()
        self._content = content

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="alone"):
            yield Static(self._content(), id="content")
        yield Footer()

    def update(self) -> None:
        """Show how it is now."""
        self.query_one("#content", Static).update(self._content())


class Choice(Screen[Path]):
    """Lets people choose an application."""

    BINDINGS = [Binding("q,escape", "app.quit", "Leave")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._listed: list[str] = []

    def compose(self) -> ComposeResult:
        yield Static("Applications that run; Enter takes one", classes="title")
        yield OptionList(id="choice")
        yield Footer()

    def on_mount(self) -> None:
        self._list()
        self.set_interval(2.0, self._list)

    def _list(self) -> None:
        options = self.query_one("#choice", OptionList)
        found = running()
        paths = [each["path"] for each in found]
        if paths == self._listed:
            return  # pragma: no cover - two seconds without a change
        self._listed = paths
        options.clear_options()
        for each in found:
            worker = f", worker {each['worker']}" if each["worker"] else ""
            text = (
                f"{Path(each['path']).stem:>8}  {each['command']}{worker}, {each['state']}, up "
                f"{figures.seconds(each['uptime'])}"
            )
            options.add_option(Option(Text(text), id=each["path"]))
        options.highlighted = 0 if found else None

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(Path(event.option.id or ""))
