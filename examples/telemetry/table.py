"""The rows of the table: what the collector has of the last minute."""

from dataclasses import dataclass
from operator import attrgetter

from .messages import Cpu, Disk, Memory, Network
from .statistics import rates
from .window import Window

LEVELS = 8
"""How many heights a bar may have."""

WIDTH = 30
"""How many bars a row has at most."""


@dataclass
class Row:
    """One line of the table.

    Attributes:
        host: the name of the host.
        what: how the value is called.
        now: its latest value, with the unit; empty while there is none.
        bars: the heights of the bars, from 0 to LEVELS - 1, the oldest first.
        samples: how many samples of it came in the last minute.
    """

    host: str
    what: str
    now: str
    bars: list[int]
    samples: int


def rows(window: Window) -> list[Row]:
    """The last minute of every host."""
    found = []
    for host, cpu in window.of(Cpu).items():
        percent = [each.percent for each in cpu]
        found.append(Row(host, "CPU", f"{percent[-1]:.0f} %", bars(percent, 100), len(cpu)))
    for host, memory in window.of(Memory).items():
        used = [100 * each.used / each.total for each in memory]
        found.append(Row(host, "memory", f"{used[-1]:.0f} %", bars(used, 100), len(memory)))
    for kind, what, counter in (
        (Network, "network in", attrgetter("received")),
        (Network, "network out", attrgetter("sent")),
        (Disk, "disk read", attrgetter("read")),
        (Disk, "disk written", attrgetter("written")),
    ):
        for host, samples in window.of(kind).items():
            speeds = rates(samples, counter)
            now = f"{speeds[-1]:.0f} KiB/s" if speeds else ""
            found.append(Row(host, what, now, bars(speeds), len(samples)))
    return found


def bars(values: list[float], top: float | None = None) -> list[int]:
    """The heights of at most WIDTH bars, each of the greatest of the values it stands for."""
    top = top or max(values, default=0) or 1
    return [min(LEVELS - 1, int(LEVELS * max(0, peak) / top)) for peak in peaks(values, WIDTH)]


def peaks(values: list[float], count: int) -> list[float]:
    """The greatest value of each of at most `count` equal stretches."""
    size = -(-len(values) // count) or 1
    return [max(values[n : n + size]) for n in range(0, len(values), size)]
