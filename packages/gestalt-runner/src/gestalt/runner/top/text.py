"""A reading as text, and as JSON: for scripts, and where there is no terminal."""

from collections.abc import Sequence
from typing import Any

from .reading import Reading
from .tables import TABLES, Column, Table, header, trouble

LONGEST = 100
"""How many characters a cell has at most."""


def describe(reading: Reading) -> str:
    """Everything, as tables in plain text."""
    lines = [
        _line_of(reading.snapshot["application"]["command"]),
        _line_of(" · ".join(header(reading))),
    ]
    if wrong := trouble(reading):
        lines.append(_line_of(wrong))
    for table in TABLES:
        rows = table.rows(reading)
        if rows:
            lines += ["", f"{table.title} ({len(rows)})", *_lines(table, rows)]
    return "\n".join(lines)


def _line_of(text: str) -> str:
    return text.translate({ord("\n"): " ", ord("\t"): " "})


def _cell(text: str) -> str:
    line = _line_of(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _lines(table: Table, rows: Sequence[Any]) -> list[str]:
    cells = [[_cell(column.text(row)) for column in table.columns] for row in rows]
    widths = [
        max(len(column.title), *(len(line[number]) for line in cells))
        for number, column in enumerate(table.columns)
    ]
    titles = [column.title for column in table.columns]
    return [_line(table.columns, widths, line) for line in [titles, *cells]]


def _line(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str]) -> str:
    aligned = [
        cell.rjust(width) if column.number else cell.ljust(width)
        for column, width, cell in zip(columns, widths, cells, strict=True)
    ]
    return f"  {'  '.join(aligned)}".rstrip()


def as_data(reading: Reading) -> dict[str, Any]:
    """Everything, as JSON has it: the snapshot, with rates and percentiles in it."""
    snapshot = dict(reading.snapshot)
    rates = {each.id: each for each in reading.components}
    snapshot["interval"] = reading.interval
    snapshot["process"] = {**snapshot["process"], "cpu_share": reading.cpu}
    snapshot["components"] = [
        {
            **each,
            "in_rate": rates[each["id"]].comes,
            "out_rate": rates[each["id"]].goes,
            "p50": rates[each["id"]].middle,
            "p99": rates[each["id"]].most,
        }
        for each in snapshot["components"]
        if each["id"] in rates
    ]
    return snapshot
