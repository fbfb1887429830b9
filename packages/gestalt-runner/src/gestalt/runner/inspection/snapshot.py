"""How the application is at one instant: components, what waits in them, tasks."""

import asyncio
import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gestalt.core import Component, census
from gestalt.core.details import PeerRow, QueueRow, Row, TimerRow, read
from gestalt.core.metrics import Histogram, Metric, measure

from .stacks import place_of, state_of, waits_for

MOST_COMPONENTS = 500
"""How many components a snapshot tells of."""

MOST_TASKS = 500
"""How many tasks a snapshot tells of."""


class Snapshots:
    """Takes snapshots of the components and tasks of an event loop, in that loop.

    Args:
        loop: the event loop.
        others: gives the components that are parts of other applications of the process.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, others: Callable[[], Sequence[Component]]
    ) -> None:
        self._loop = loop
        self._others = others
        # When a task was first seen: asyncio does not tell its age.
        self._seen: weakref.WeakKeyDictionary[asyncio.Task[Any], float]
        self._seen = weakref.WeakKeyDictionary()

    def take(self) -> dict[str, Any]:
        """A snapshot, ready to be made JSON."""
        components = census.components()
        if others := self._others():
            # They belong to another event loop, and are not to be touched here.
            components = [each for each in components if _root(each) not in others]
        return {
            "components": [_component(each) for each in components[:MOST_COMPONENTS]],
            "components_total": len(components),
            "measured": _metrics(measure()),
            **self._tasks(),
        }

    def _tasks(self) -> dict[str, Any]:
        now = self._loop.time()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            self._seen.setdefault(task, now)
        # The oldest first, which are those that an application is made of, and those with names.
        listed = sorted(
            tasks,
            key=lambda task: (
                task.get_name().startswith("Task-"),
                self._seen[task],
                task.get_name(),
            ),
        )
        current = asyncio.current_task(self._loop)
        return {
            "tasks": [
                {
                    "id": id(task),
                    "name": task.get_name(),
                    "state": state_of(task, current),
                    "seen": now - self._seen[task],
                    "waits_for": waits_for(task),
                    "at": place_of(task),
                }
                for task in listed[:MOST_TASKS]
            ],
            "tasks_total": len(tasks),
        }


def _root(component: Component) -> Component:
    while (parent := census.parent_of(component)) is not None:
        component = parent  # pragma: no cover - what another application has started
    return component


def _component(component: Component) -> dict[str, Any]:
    parent = census.parent_of(component)
    rows = read(component)
    return {
        "id": id(component),
        "parent": None if parent is None else id(parent),
        "name": component.name,
        "kind": type(component).__name__,
        "state": component.state.value,
        "metrics": _metrics(measure(component)),
        "peers": _rows(rows, PeerRow),
        "queues": _rows(rows, QueueRow),
        "timers": _rows(rows, TimerRow),
    }


def _rows(rows: Iterable[Row], kind: type[Row]) -> list[dict[str, Any]]:
    return [
        {name: _plain(value) for name, value in row._asdict().items()}
        for row in rows
        if isinstance(row, kind)
    ]


def _metrics(metrics: Iterable[Metric]) -> list[dict[str, Any]]:
    found = []
    for metric in metrics:
        value = metric.value
        found.append(
            {
                "name": metric.name,
                "kind": metric.kind,
                "unit": metric.unit,
                "labels": dict(metric.labels),
                "help": metric.help,
                "value": _histogram(value) if isinstance(value, Histogram) else _plain(value),
            }
        )
    return found


def _histogram(histogram: Histogram) -> dict[str, Any]:
    counts = list(histogram.counts)
    return {"bounds": histogram.bounds, "counts": counts, "sum": _plain(histogram.sum)}


def _plain(value: Any) -> Any:
    """A value that JSON has: it knows no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None  # pragma: no cover - nothing of ours is infinite
    return value
