"""What there is to know of one row of a table, as text with styles."""

from typing import Any

from rich.text import Text

from . import figures
from .reading import ComponentReading, MetricReading, Reading
from .stack_text import describe_stack
from .tables import PEERS, QUEUES, TIMERS, Table

FIGURES = {"seconds": figures.seconds, "bytes": figures.size, "": figures.count}


def of_component(component: ComponentReading, reading: Reading, width: int) -> Text:
    """A component: its metrics, and what else it tells, in lines of `width` at most."""
    text = Text()
    text.append(component.name, style="bold")
    text.append(f"  {component.kind}, {component.state}\n")
    for table in (PEERS, QUEUES, TIMERS):
        rows = [row for row in table.rows(reading) if row["component_id"] == component.id]
        if rows:
            _append_rows(text, table, rows)
    for metric in component.metrics:
        _append_metric(text, metric)
    lines = text.split("\n")
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n").join(lines)


def _append_metric(text: Text, metric: MetricReading) -> None:
    figure = FIGURES[metric.unit]
    name, _, meaning = metric.help.partition(": ")
    text.append(f"\n{name:26} ")
    if metric.percentiles is not None:
        half, many, most = (figure(each) for each in metric.percentiles)
        shown = f"p50 {half}, p90 {many}, p99 {most}"
        text.append(f"{shown:34}")
    else:
        text.append(f"{figure(metric.value):>12}", style="bold" if metric.value else "")
        rate = "" if metric.rate is None else f"{figures.rate(metric.rate)}/s"
        text.append(f" {rate:>12}         ")
    text.append(f" {meaning}", style="dim")


def _append_rows(text: Text, table: Table, rows: list[Any]) -> None:
    text.append(f"\n{table.title}", style="bold")
    for row in rows[:100]:
        cells = [
            column.text(row) if not column.number else f"{column.title} {column.text(row)}"
            for column in table.columns
            if column.title != "of" and column.text(row) not in ("", figures.NONE)
        ]
        text.append("\n  " + "  ".join(cells))
    text.append("\n")


def of_row(table: Table, row: Any) -> Text:
    """A row of a table: all its columns."""
    text = Text()
    for column in table.columns:
        text.append(f"{column.title:>12}  ", style="dim")
        text.append(f"{column.text(row)}\n")
    return text


def of_task(task: Any, stacks: Any | None) -> Text:
    """A task, with its stack where that is known."""
    text = Text()
    text.append(task["name"], style="bold")
    waits = f", for {task['waits_for']}" if task["waits_for"] else ""
    text.append(f"  {task['state']}{waits}\n")
    if stacks is None:
        return text
    found = next((each for each in stacks["tasks"] if each["id"] == task["id"]), None)
    text.append("It has ended." if found is None else describe_stack(found["stack"]))
    return text
