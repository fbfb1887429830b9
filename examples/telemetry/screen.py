"""What people see: a table that is drawn anew on a terminal, and lines of text elsewhere."""

import asyncio
import io
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from .table import WIDTH, Row, peaks

LINE_INTERVAL = 1.0
"""How often there is a line where no table can be drawn, in seconds."""

WIDE = 56
"""How many columns a screen needs for the bars and the samples, too."""

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = "_.-:=+*#"


class Screen:
    """Shows rows and says sentences, on the standard output.

    Attributes:
        gone: set when what is written reaches nobody any more: the terminal was closed, or the
            program that the output was piped into has ended.
    """

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A terminal may know fewer characters than a table has.
            sys.stdout.reconfigure(errors="replace")
        self._console = Console(highlight=False, markup=False)
        self._size = self._console.size
        self._is_terminal = sys.stdout.isatty()
        self._live: Live | None = None
        self._rows: Sequence[Row] = ()
        self._last_line = 0.0

    def open(self, text: str) -> None:
        """Begin, with `text` in the place of the table until there are rows."""
        if self._is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                Text(text),
                console=self._console,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=sys.stderr.isatty(),
            )
            self._write(self._live.start, True)
            # Whatever becomes of this process, the terminal is left with its cursor.
            self._write(self._console.show_cursor, True)
        else:
            self.say(text)

    def show(self, rows: Sequence[Row]) -> None:
        """Show rows in the place of those before, or as one more line."""
        self._rows = rows
        if self._live:
            self._draw("Ctrl-C ends the demo")
        elif rows and time.monotonic() - self._last_line >= LINE_INTERVAL:
            self._last_line = time.monotonic()
            self.say(line(rows))

    def say(self, text: str) -> None:
        """Print a sentence; above the table, when there is one."""
        if self._live:
            self._write(self._console.print, Text(text))
        elif self._is_terminal:
            # The last column is left free: some terminals go on to the next line there.
            self._write(print, textwrap.fill(text, max(10, shutil.get_terminal_size().columns - 1)))
        else:
            self._write(print, text)

    def ending(self) -> None:
        """Show that the end has begun."""
        if self._live:
            self._draw("ending ...")
        elif self._is_terminal:
            # Below the ^C that stands there.
            self.say("")

    def close(self) -> None:
        """The table stays as it is, and what is said stands below it."""
        if self._live:
            self._draw(None)
            self._write(self._live.stop)
            self._live = None

    def _draw(self, caption: str | None) -> None:
        if self._live is None:
            return
        if self._console.size != self._size:
            # The terminal has moved what it showed: where the table begins is not known any more.
            self._size = self._console.size
            self._write(self._console.clear)
        if self._rows:
            # What is typed stands below the table, and does not move it.
            wide = self._size.width >= WIDE
            self._live.update(Group(table(self._rows, caption, wide=wide), ""))
        self._write(self._live.refresh)

    def _write(self, write: Callable[..., object], *arguments: object) -> None:
        if self.gone.is_set():
            return
        try:
            write(*arguments)
            sys.stdout.flush()
        except OSError as error:
            self.gone.set()
            abandon_output(error)


def abandon_output(error: OSError) -> None:
    """Give up the standard output, which cannot be written to; tell why, if that is no surprise."""
    # What is left in the buffer would fail once more when the process ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        with_reason = f"The output cannot be written: {error.strerror}"
        try:
            print(with_reason, file=sys.stderr, flush=True)
        except OSError:
            # A terminal that was closed took both.
            os.dup2(sys.stdout.fileno(), sys.stderr.fileno())


def print_lines(lines: Sequence[str]) -> int:
    """Print lines; the status of the process: 0, or 1 when nobody takes them."""
    try:
        print("\n".join(lines), flush=True)
    except OSError as error:
        abandon_output(error)
        return 1
    return 0


def line(rows: Sequence[Row]) -> str:
    """All rows in one line, each host's after its name."""
    parts: dict[str, list[str]] = {}
    for row in rows:
        parts.setdefault(row.host, []).append(f"{row.what} {row.now or '-'}")
    values = "; ".join(f"{host}: {', '.join(each)}" for host, each in parts.items())
    return f"{time.strftime('%H:%M:%S')} {values}"


def table(rows: Sequence[Row], caption: str | None, *, wide: bool) -> Table:
    """The rows as a table, with all columns where they find room."""
    table = Table(title="Host telemetry, the last minute", caption=caption)
    table.add_column("host", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("now", no_wrap=True, justify="right")
    if wide:
        # The only one that may get narrower than what is in it.
        table.add_column("last minute")
        table.add_column("samples", no_wrap=True, justify="right")
    for row in rows:
        more = (Bars(row.bars), str(row.samples)) if wide else ()
        table.add_row(row.host, row.what, row.now, *more)
    return table


class Bars:
    """A line of bars: one for each height, or for the greatest of some where there is less room."""

    def __init__(self, heights: list[int]) -> None:
        self._heights = heights

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        drawn = PLAIN if options.ascii_only else BLOCKS
        yield Text("".join(drawn[int(n)] for n in peaks(list(self._heights), options.max_width)))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(8, options.max_width), min(WIDTH, options.max_width))
