"""What two snapshots of an application tell: what is, and how fast it changes."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gestalt.core.metrics import Histogram

# The metrics that make the columns of the components; of each row, the first that there is.
COMES = ("received", "handled", "fired")
GOES = ("sent", "published", "calls")
WAITS = ("backlog", "in_flight", "unconfirmed")
TAKES = ("latency", "lateness")
GOES_WRONG = ("failed", "reported", "faults", "dropped", "parked", "refused", "unreported")

Row = Mapping[str, Any]


@dataclass(slots=True)
class ComponentReading:
    """A component.

    Attributes:
        title: its name, indented to its place in the tree.
        depth: how deep in the tree it is.
        comes, goes: messages a second; None where it has none, or there is one snapshot only.
        middle, most: which latency half, and 99 percent, of the last calls did not exceed.
        waits: how much waits in it.
        wrong: how much went wrong in it since its start.
        metrics: what it counts, by rows of name, value and rate.
    """

    id: int
    parent: int | None
    name: str
    kind: str
    state: str
    title: str = ""
    depth: int = 0
    comes: float | None = None
    goes: float | None = None
    middle: float | None = None
    most: float | None = None
    waits: float | None = None
    wrong: float = 0
    peers: float | None = None
    metrics: list["MetricReading"] = field(default_factory=list)


@dataclass(slots=True)
class MetricReading:
    """A metric, with how much it grows a second; of a histogram, its percentiles instead."""

    name: str
    kind: str
    unit: str
    help: str
    value: float | None
    rate: float | None = None
    percentiles: tuple[float | None, float | None, float | None] | None = None


@dataclass(slots=True)
class Reading:
    """An application at an instant."""

    snapshot: dict[str, Any]
    components: list[ComponentReading]
    peers: list[Row]
    queues: list[Row]
    timers: list[Row]
    tasks: list[Row]
    cpu: float | None
    interval: float | None

    def component(self, identifier: object) -> ComponentReading | None:
        """The component of an id, if it is still there."""
        return next((each for each in self.components if each.id == identifier), None)


class Readings:
    """Makes readings of one snapshot after another."""

    def __init__(self) -> None:
        self._previous: dict[str, Any] | None = None

    def read(self, snapshot: dict[str, Any]) -> Reading:
        """What a snapshot tells, compared with the one before it."""
        previous = self._previous
        # One of a blocked event loop repeats what it saw last.
        if previous is None or snapshot["loop"]["blocked"] is None:
            self._previous = snapshot
        interval = None
        if previous is not None:
            interval = max(1e-3, snapshot["time"] - previous["time"])
        before = {each["id"]: each for each in previous["components"]} if previous else {}
        components = [
            _component(each, before.get(each["id"]), interval) for each in snapshot["components"]
        ]
        names = {each.id: each.name for each in components}
        return Reading(
            snapshot=snapshot,
            components=list(_as_tree(components)),
            peers=_peers(snapshot, before, interval, names),
            queues=_rows(snapshot, "queues", names),
            timers=_rows(snapshot, "timers", names),
            tasks=_tasks(snapshot),
            cpu=_cpu(snapshot, previous, interval),
            interval=interval,
        )


def _as_tree(components: list[ComponentReading]) -> Iterator[ComponentReading]:
    """The components, each below the one that has started it, and their titles."""
    known = {each.id for each in components}
    children: dict[int | None, list[ComponentReading]] = defaultdict(list)
    for each in components:
        children[each.parent if each.parent in known else None].append(each)

    def walk(parent: int | None, stems: str, depth: int) -> Iterator[ComponentReading]:
        below = children.pop(parent, [])
        for number, each in enumerate(below, 1):
            last = number == len(below)
            branch = ("└ " if last else "├ ") if depth else ""
            each.title, each.depth = f"{stems}{branch}{each.name}", depth
            yield each
            deeper = stems + (("  " if last else "│ ") if depth else "")
            yield from walk(each.id, deeper, depth + 1)

    yield from walk(None, "", 0)


def _component(
    now: dict[str, Any], before: dict[str, Any] | None, interval: float | None
) -> ComponentReading:
    old = {_key(each): each["value"] for each in before["metrics"]} if before else {}
    metrics = [_metric(each, old.get(_key(each)), interval) for each in now["metrics"]]
    reading = ComponentReading(
        now["id"], now["parent"], now["name"], now["kind"], now["state"], metrics=metrics
    )
    reading.comes = _first_rate(metrics, COMES)
    reading.goes = _first_rate(metrics, GOES)
    reading.waits = _sum(metrics, WAITS)
    if reading.waits is None and now["queues"]:
        reading.waits = sum(each["waiting"] + each["active"] for each in now["queues"])
    reading.wrong = _sum(metrics, GOES_WRONG) or 0
    reading.peers = _sum(metrics, ("peers",))
    if reading.peers is None and now["peers"]:
        reading.peers = len(now["peers"])
    for name in TAKES:
        if found := [each for each in metrics if each.name == name and each.percentiles]:
            halves, _, mosts = zip(*(each.percentiles or () for each in found), strict=True)
            reading.middle, reading.most = _greatest(halves), _greatest(mosts)
            break
    return reading


def _metric(now: dict[str, Any], old: Any, interval: float | None) -> MetricReading:
    labels = ",".join(now["labels"].values())
    name = f"{now['name']} {labels}" if labels else now["name"]
    reading = MetricReading(now["name"], now["kind"], now["unit"], now["help"], None)
    value = now["value"]
    if now["kind"] == "histogram":
        reading.value = sum(value["counts"])
        reading.percentiles = _percentiles(value, old)
        reading.rate = _rate(reading.value, sum(old["counts"]) if old else None, interval)
    else:
        reading.value = value
        if now["kind"] == "counter":
            reading.rate = _rate(value, old, interval)
    reading.help = f"{name}: {now['help']}"
    return reading


def _percentiles(now: Any, old: Any) -> tuple[float | None, float | None, float | None]:
    """Of what was recorded since the last snapshot; without one, of all."""
    histogram = Histogram(bounds=now["bounds"])
    if old and old["bounds"] == now["bounds"]:
        counts = [a - b for a, b in zip(now["counts"], old["counts"], strict=True)]
        histogram.counts = counts if min(counts) >= 0 else now["counts"]
    else:
        histogram.counts = now["counts"]
    found = [histogram.percentile(p) for p in (50, 90, 99)]
    half, many, most = (None if math.isnan(each) else each for each in found)
    return half, many, most


def _rate(now: float | None, old: float | None, interval: float | None) -> float | None:
    if now is None or old is None or interval is None or now < old:
        return None
    return (now - old) / interval


def _first_rate(metrics: list[MetricReading], names: Iterable[str]) -> float | None:
    for name in names:
        rates = [each.rate for each in metrics if each.name == name]
        if rates:
            known = [each for each in rates if each is not None]
            return sum(known) if known else None
    return None


def _sum(metrics: list[MetricReading], names: Iterable[str]) -> float | None:
    found = [each.value for each in metrics if each.name in names and each.value is not None]
    return sum(found) if found else None


def _greatest(values: Iterable[float | None]) -> float | None:
    return max((each for each in values if each is not None), default=None)


def _key(metric: dict[str, Any]) -> tuple[str, str]:
    return metric["name"], str(metric["labels"])


def _rows(snapshot: dict[str, Any], kind: str, names: dict[int, str]) -> list[Row]:
    return [
        {**row, "component": names[each["id"]], "component_id": each["id"]}
        for each in snapshot["components"]
        for row in each[kind]
    ]


def _peers(
    snapshot: dict[str, Any],
    before: dict[int, dict[str, Any]],
    interval: float | None,
    names: dict[int, str],
) -> list[Row]:
    old = {
        (identifier, peer["address"]): peer
        for identifier, each in before.items()
        for peer in each["peers"]
    }
    rows: list[Row] = []
    for row in _rows(snapshot, "peers", names):
        last = old.get((row["component_id"], row["address"]), {})
        rates = {
            f"{name}_rate": _rate(row[name], last.get(name), interval)
            for name in ("received", "sent", "bytes_received", "bytes_sent")
        }
        rows.append({**row, **rates})
    return rows


def _tasks(snapshot: dict[str, Any]) -> list[Row]:
    holders = {each["name"]: each["share"] for each in snapshot["loop"]["holders"]}
    return [{**task, "share": holders.get(task["name"])} for task in snapshot["tasks"]]


def _cpu(
    now: dict[str, Any], previous: dict[str, Any] | None, interval: float | None
) -> float | None:
    if previous is None or interval is None:
        return None
    return _rate(now["process"]["cpu"], previous["process"]["cpu"], interval)
