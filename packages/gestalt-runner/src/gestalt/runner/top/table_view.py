"""A table of the terminal program: sorted, filtered, and the same row selected as before."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text
from textual.message import Message
from textual.widgets import DataTable

from . import figures
from .reading import Reading
from .tables import Column, Table

# From how many columns of the terminal on the columns that may be left out are shown.
WIDE = 110

# How many columns of the terminal the numbers of a row may take.
NUMBERS = 60

STYLES = {
    "running": "green",
    "starting": "yellow",
    "stopping": "yellow",
    "cancelling": "yellow",
    "failed": "bold red",
}


class TableView(DataTable[Text]):
    """Shows the rows of a table; `s` sorts by the next column, `r` the other way round.

    Args:
        table: what it shows.
    """

    class Selected(Message):
        """Another row is selected."""

    def __init__(self, table: Table) -> None:
        super().__init__(cursor_type="row", zebra_stripes=True, id=f"table-{table.title.lower()}")
        self.table = table
        self.filter_text = ""
        self._reading: Reading | None = None
        self._columns: Sequence[Column] = ()
        self._heads: list[str] = []
        # The column that is sorted by, by its title; None as the rows come.
        self._sorted_by: str | None = None
        self._reversed = False
        self._rows: list[Any] = []

    @property
    def selected(self) -> Any:
        """The row that is selected; None where there is none."""
        return self._rows[self.cursor_row] if self.cursor_row < len(self._rows) else None

    def update(self, reading: Reading) -> None:
        """Show another reading."""
        self._reading = reading
        wide = self.app.size.width >= WIDE
        selected = self.selected
        self._columns = [column for column in self.table.columns if wide or not column.wide]
        self._show_heads()
        self._rows = self._arranged(reading)
        cells = [self._cells(row) for row in self._rows]
        keys = [self.table.key(row) for row in self._rows]
        if keys == [key.value for key in self.rows]:
            self._change(keys, cells)
        else:
            self._fill(keys, cells, None if selected is None else self.table.key(selected))
        self.post_message(self.Selected())

    def refresh_rows(self) -> None:
        """Show the same reading anew."""
        if self._reading is not None:  # pragma: no branch - before the first reading
            self.update(self._reading)

    def sort_next(self) -> None:
        """Sort by the next column; after the last, not at all."""
        titles: list[str | None] = [None, *(column.title for column in self._columns)]
        number = titles.index(self._sorted_by) if self._sorted_by in titles else 0
        self._sort(titles[(number + 1) % len(titles)])

    def sort_reversed(self) -> None:
        """Sort the other way round."""
        self._reversed = not self._reversed
        self.refresh_rows()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        event.stop()
        title = self._columns[event.column_index].title
        if title == self._sorted_by:
            self.sort_reversed()
        else:
            self._sort(title)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        self.post_message(self.Selected())

    def _sort(self, title: str | None) -> None:
        self._sorted_by, self._reversed = title, False
        self.refresh_rows()

    def _show_heads(self) -> None:
        """Make the columns anew, where they or their order have changed."""
        heads = [self._head(column) for column in self._columns]
        if heads == self._heads:
            return
        self._heads = heads
        self.clear(columns=True)
        for column, head in zip(self._columns, heads, strict=True):
            self.add_column(_cell(head, column), key=column.title)

    def _head(self, column: Column) -> str:
        if column.title != self._sorted_by:
            return column.title
        return f"{column.title} {'▲' if self._reversed == column.number else '▼'}"

    def _arranged(self, reading: Reading) -> list[Any]:
        """The rows that are shown, in their order."""
        rows = list(self.table.rows(reading))
        if self.filter_text:
            words = self.filter_text.lower().split()
            rows = [row for row in rows if all(word in self._words(row) for word in words)]
        column = next((each for each in self._columns if each.title == self._sorted_by), None)
        if column is not None:
            # Of numbers, the greatest are asked for.
            rows.sort(key=column.key, reverse=column.number is not self._reversed)
        elif self._reversed:
            rows.reverse()
        return rows

    def _words(self, row: Any) -> str:
        return " ".join(column.text(row) for column in self.table.columns).lower()

    def _cells(self, row: Any) -> list[Text]:
        cells = []
        # In a narrow terminal, a long name would leave no room for the numbers.
        longest = max(16, self.app.size.width - NUMBERS)
        in_order = not (self.filter_text or self._sorted_by or self._reversed)
        for column in self._columns:
            text = (column.text if in_order else column.plain or column.text)(row)
            if column is self._columns[0] and len(text) > longest:
                text = f"{text[: longest - 1]}…"
            style = STYLES.get(text, "") if column.title == "state" else ""
            if column.title == "errors" and text != "0":
                style = "bold red"
            elif column.number and text in ("0", figures.NONE):
                style = "dim"
            cells.append(_cell(text, column, style))
        return cells

    def _change(self, keys: list[str], cells: list[list[Text]]) -> None:
        """Change what has changed; the rows are the same."""
        for key, line in zip(keys, cells, strict=True):
            for column, old, new in zip(self._columns, self.get_row(key), line, strict=True):
                if old != new:
                    self.update_cell(key, column.title, new, update_width=True)

    def _fill(self, keys: list[str], cells: list[list[Text]], selected: str | None) -> None:
        """Make all rows anew, and select the one that was selected."""
        scrolled = self.scroll_y
        self.clear()
        for key, line in zip(keys, cells, strict=True):
            self.add_row(*line, key=key)
        if selected in keys:
            self.move_cursor(row=keys.index(selected), scroll=False)
        self.scroll_y = scrolled


def _cell(text: str, column: Column, style: str = "") -> Text:
    return Text(text, style=style, justify="right" if column.number else "left", no_wrap=True)
