"""The tables: which columns they have, and how these are sorted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import figures
from .reading import Reading

Text = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: its head.
        text: what stands there of a row.
        key: what rows are sorted by.
        number: it holds numbers: to the right, and the greatest are first.
        wide: it is shown where there is much room only.
        plain: what stands there in place of `text` where the rows are not in their own order.
    """

    title: str
    text: Text
    key: Callable[[Any], Any]
    number: bool = False
    wide: bool = False
    plain: Text | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of what there are several of.

    Attributes:
        title: what it shows.
        rows: its rows of a reading.
        key: what tells rows apart, from one reading to the next.
        columns: its columns; the first is never left out.
        empty: what to say where there is no row.
    """

    title: str
    rows: Callable[[Reading], Sequence[Any]]
    key: Callable[[Any], str]
    columns: Sequence[Column]
    empty: str


def place(frame: dict[str, Any] | None) -> str:
    """Where something is, in few characters: the function, the file and the line."""
    if frame is None:
        return ""
    path = Path(frame["file"])
    name = f"{path.parent.name}/{path.name}" if path.name == "__init__.py" else path.name
    return f"{frame['function'].rpartition('<locals>.')[2]} {name}:{frame['line']}"


def _text(title: str, name: str, *, wide: bool = False) -> Column:
    def of(row: Any) -> str:
        return str(_get(row, name) or "")

    return Column(title, of, of, wide=wide)


def _number(
    title: str, name: str, figure: Callable[[float | None], str], *, wide: bool = False
) -> Column:
    def key(row: Any) -> float:
        value = _get(row, name)
        return -1.0 if value is None else float(value)

    return Column(title, lambda row: figure(_get(row, name)), key, number=True, wide=wide)


def _get(row: Any, name: str) -> Any:
    return row.get(name) if isinstance(row, dict) else getattr(row, name)


COMPONENTS = Table(
    "Components",
    lambda reading: reading.components,
    lambda row: str(row.id),
    (
        Column(
            "component",
            lambda row: row.title,
            lambda row: row.name.lower(),
            plain=lambda row: row.name,
        ),
        _text("state", "state"),
        _number("in/s", "comes", figures.rate),
        _number("out/s", "goes", figures.rate),
        _number("p50", "middle", figures.seconds),
        _number("p99", "most", figures.seconds),
        _number("waits", "waits", figures.count),
        _number("peers", "peers", figures.count, wide=True),
        _number("errors", "wrong", figures.count),
        _text("kind", "kind", wide=True),
    ),
    "No component runs.",
)
PEERS = Table(
    "Peers",
    lambda reading: reading.peers,
    lambda row: f"{row['component_id']} {row['address']}",
    (
        _text("peer", "address"),
        _text("of", "component"),
        _number("since", "age", figures.seconds),
        _number("in/s", "received_rate", figures.rate),
        _number("out/s", "sent_rate", figures.rate),
        _number("B in/s", "bytes_received_rate", figures.size),
        _number("B out/s", "bytes_sent_rate", figures.size),
        _number("waits", "waiting", figures.size),
        _number("in", "received", figures.count, wide=True),
        _number("out", "sent", figures.count, wide=True),
        _text("note", "note", wide=True),
    ),
    "No component tells of peers.",
)
QUEUES = Table(
    "Queues",
    lambda reading: reading.queues,
    lambda row: f"{row['component_id']} {row['name']}",
    (
        _text("queue", "name"),
        _text("of", "component"),
        _number("waiting", "waiting", figures.count),
        _number("active", "active", figures.count),
        _number("bound", "bound", figures.count),
        _text("note", "note"),
    ),
    "No component tells of queues.",
)
TIMERS = Table(
    "Timers",
    lambda reading: reading.timers,
    lambda row: f"{row['component_id']} {row['name']}",
    (
        _text("timer", "name"),
        _text("schedule", "schedule"),
        _number("due in", "due", figures.seconds),
        Column("now", lambda row: "runs" if row["active"] else "", lambda row: row["active"]),
        _text("note", "note"),
    ),
    "No timer runs.",
)
TASKS = Table(
    "Tasks",
    lambda reading: reading.tasks,
    lambda row: str(row["id"]),
    (
        _text("task", "name"),
        _text("state", "state"),
        _number("loop", "share", figures.share),
        _number("seen", "seen", figures.seconds),
        Column("at", lambda row: place(row["at"]), lambda row: place(row["at"])),
        _text("waits for", "waits_for", wide=True),
    ),
    "No task runs.",
)

TABLES = (COMPONENTS, PEERS, QUEUES, TIMERS, TASKS)


def header(reading: Reading) -> list[str]:
    """What is said of the application as a whole, in short pieces."""
    snapshot = reading.snapshot
    application, process, loop = snapshot["application"], snapshot["process"], snapshot["loop"]
    worker = f", worker {application['worker']}" if application["worker"] else ""
    pieces = [
        f"process {application['pid']}{worker}",
        f"{application['state']}, up {figures.seconds(application['uptime'])}",
        f"CPU {figures.share(reading.cpu)}",
        f"memory {figures.size(process['memory'])}",
        f"descriptors {figures.count(process['descriptors'])}",
        f"{loop['kind']} loop, busy {figures.share(loop['busy'])}",
        f"lag {figures.seconds(loop['lag'])}",
        f"{snapshot['tasks_total']} tasks",
        f"Python {process['python']}",
    ]
    if errors := application["errors"]:
        pieces.insert(2, f"{errors} error{'s' if errors > 1 else ''}")
    return pieces


def trouble(reading: Reading) -> str:
    """What is wrong with the event loop now; empty where nothing is."""
    blocked = reading.snapshot["loop"]["blocked"]
    if blocked is None:
        return ""
    stack = blocked["stack"]
    where = f" at {place(stack[-1])}" if stack else ""
    age = reading.snapshot["age"]
    seen = f"; the rest is {figures.seconds(age)} old" if age is not None else ""
    return (
        f"The event loop is blocked by {blocked['name'] or 'something unknown'}, for "
        f"{figures.seconds(blocked['seconds'])} or more,{where}{seen}."
    )
