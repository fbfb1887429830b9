"""A reading as text, and as JSON: for scripts, and where there is no terminal."""

from collections.abc import Sequence
from typing import Any

from .reading import Reading
from .tables import TABLES, Column, Table, header, trouble


def describe(reading: Reading) -> str:
    """Everything, as tables in plain text."""
    lines = [reading.snapshot["application"]["command"], " · ".join(header(reading))]
    if wrong := trouble(reading):
        lines.append(wrong)
    for table in TABLES:
        rows = table.rows(reading)
        if rows:
            lines += ["", f"{table.title} ({len(rows)})", *_lines(table, rows)]
    return "\n".join(lines)


def _lines(table: Table, rows: Sequence[Any]) -> list[str]:
    cells = [[column.text(row) for column in table.columns] for row in rows]
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
