"""The live table of the collector."""

from operator import attrgetter

from rich.console import Console
from rich.live import Live
from rich.table import Table

from gestalt.core import Component, Timer

from .messages import Cpu, Disk, Memory, Network
from .statistics import rates
from .window import Window

BARS = "▁▂▃▄▅▆▇█"


class LiveTable(Component):
    """Shows what the collector has of the last minute, twice a second, if there is a terminal."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self._window = window
        # The standard output is for the report.
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._timer = Timer.every(0.5, self._refresh)

    async def _open(self) -> None:
        if self._live.console.is_terminal:
            self._live.start()
            await self._timer.start()

    async def _close(self) -> None:
        await self._timer.stop()
        self._live.stop()

    def _refresh(self) -> None:
        self._live.update(render(self._window), refresh=True)


def render(window: Window) -> Table:
    """The last minute of every host."""
    table = Table(title="Host telemetry, the last minute", caption="Ctrl-C ends the demo")
    for column in ("host", "what", "now", "last minute", "samples"):
        table.add_column(column, justify="right" if column in ("now", "samples") else "left")
    for host, cpu in window.of(Cpu).items():
        percent = [s.percent for s in cpu]
        table.add_row(host, "CPU", f"{percent[-1]:.0f} %", bars(percent, 100), f"{len(cpu)}")
    for host, memory in window.of(Memory).items():
        used = [100 * s.used / s.total for s in memory]
        table.add_row(host, "memory", f"{used[-1]:.0f} %", bars(used, 100), f"{len(memory)}")
    for kind, what, counter in (
        (Network, "network in", attrgetter("received")),
        (Network, "network out", attrgetter("sent")),
        (Disk, "disk read", attrgetter("read")),
        (Disk, "disk written", attrgetter("written")),
    ):
        for host, samples in window.of(kind).items():
            speeds = rates(samples, counter)
            now = f"{speeds[-1]:.0f} KiB/s" if speeds else ""
            table.add_row(host, what, now, bars(speeds), f"{len(samples)}")
    return table


def bars(values: list[float], top: float | None = None, width: int = 30) -> str:
    """A line of bars, each the greatest of the values that it stands for."""
    top = top or max(values, default=0) or 1
    size = -(-len(values) // width) or 1
    peaks = [max(values[n : n + size]) for n in range(0, len(values), size)]
    return "".join(BARS[min(7, int(8 * max(0, peak) / top))] for peak in peaks)
