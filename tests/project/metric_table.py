"""Every metric of Gestalt, as its components give them; docs/runner/metrics.md has the table.

./dev run python -m tests.project.metric_table            prints it
./dev run python -m tests.project.metric_table --write    and writes it there
"""

import asyncio
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from gestalt.amq import Partitioned, connect
from gestalt.amq.embedded import ThreadedBroker
from gestalt.core import Component, Group, Supervisor, Timer
from gestalt.core.metrics import Metric, measures
from gestalt.net import DatagramEndpoint, Mti, StreamServer, Wire
from gestalt.runner.exporters import watch_lag
from gestalt.runner.exporters.reading import Family, read

PAGE = Path(__file__).parents[2] / "docs" / "runner" / "metrics.md"
ROWS = re.compile(r"(?:^\| `gestalt_\w+` \|.*\|\n)+", re.MULTILINE)
COMMON = ("component", "kind")


class Strange(Component):
    """Has a metric that cannot be shown."""

    async def _open(self) -> None:
        pass

    async def _close(self) -> None:
        pass

    @measures
    def _strange(self) -> Iterable[Metric]:
        yield Metric("no name", "gauge", 0)


async def families() -> list[Family]:
    """What there is where each kind of component lives, and each has done something."""
    with ThreadedBroker() as broker:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            watch_lag()
            await enter(Group(Supervisor(Timer.every(60.0, print)), Strange()))
            read()  # counts what cannot be shown
            await enter(StreamServer("tcp://127.0.0.1:0", Wire(Mti()), on_message=print))
            await enter(DatagramEndpoint("udp://127.0.0.1:0", Wire(Mti()), on_message=print))
            bus = await enter(connect(broker.url))
            await bus.subscribe("telemetry", "#", lambda message: None, queue="tracker")
            await bus.subscribe("orders", "#", lambda message: None, queue=Partitioned("orders", 2))
            await bus.respond("pricing", lambda request: None)
            await bus.publisher("telemetry").publish("position", "vehicle.1")
            await bus.requester("pricing").request("price")
            return read()


def rows(found: list[Family]) -> Iterator[str]:
    for family in found:
        name = family.name
        if family.unit and not name.endswith(family.unit):
            name += f"_{family.unit}"
        if family.kind == "counter":
            name += "_total"
        labels = dict.fromkeys(label for labels in family.samples for label, _ in labels)
        own = ", ".join(f"`{label}`" for label in labels if label not in COMMON)
        yield f"| `{name}` | {family.kind} | {own} | {family.help} |\n"


def table() -> str:
    """The rows of the page's table, in the order of their names."""
    found = asyncio.run(families())
    return "".join(rows([family for family in found if family.subsystem]))


if __name__ == "__main__":
    text = table()
    print(text, end="")
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(ROWS.sub(lambda _: text, PAGE.read_text(), count=1))
